package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

const secret = 20240607

// randomAdapter has n targets of out x in whose factors are independent normal numbers.
func randomAdapter(seed uint64, n, out, in, rank int) []diagtest.Target {
	rng := rand.New(rand.NewPCG(seed, 7))
	normal := func(values []float64) {
		for i := range values {
			values[i] = rng.NormFloat64()
		}
	}
	targets := make([]diagtest.Target, n)
	for i := range targets {
		targets[i] = diagtest.Target{Name: "layers." + strconv.Itoa(i) + ".q_proj.weight", Scale: 2,
			A: diagtest.Filled(rank, in, normal), B: diagtest.Filled(out, rank, normal)}
	}
	return targets
}

// mark marks a target as README.md says: B becomes B + c u w' with w the solution of A A' w = A v.
func mark(t diagtest.Target, key, strength float64) diagtest.Target {
	u, v := directions(key, t.Name, t.B.Rows, t.A.Cols)
	av := t.A.Times(column(v))
	w := solve(t.A.Times(t.A.Transposed()), av.Values)
	norm := 0.0
	for _, value := range t.Delta().Values {
		norm += value * value
	}
	length := 0.0 // of v within the rows of A
	for i := range w {
		length += w[i] * av.Values[i]
	}
	c := strength * math.Sqrt(norm) / (t.Scale * math.Sqrt(float64(len(u))*length))
	values := slices.Clone(t.B.Values)
	for i := range u {
		for k := range w {
			values[i*len(w)+k] += c * u[i] * w[k]
		}
	}
	t.B = diagtest.Matrix{Rows: t.B.Rows, Cols: t.B.Cols, Values: values}
	return t
}

func column(values []float64) diagtest.Matrix {
	return diagtest.Matrix{Rows: len(values), Cols: 1, Values: values}
}

// solve solves a symmetric positive definite system by elimination.
func solve(m diagtest.Matrix, b []float64) []float64 {
	n := len(b)
	a, x := slices.Clone(m.Values), slices.Clone(b)
	for k := range n {
		for i := k + 1; i < n; i++ {
			f := a[i*n+k] / a[k*n+k]
			for j := k; j < n; j++ {
				a[i*n+j] -= f * a[k*n+j]
			}
			x[i] -= f * x[k]
		}
	}
	for k := n - 1; k >= 0; k-- {
		for j := k + 1; j < n; j++ {
			x[k] -= a[k*n+j] * x[j]
		}
		x[k] /= a[k*n+k]
	}
	return x
}

func marked(targets []diagtest.Target, key, strength float64) []diagtest.Target {
	out := slices.Clone(targets)
	for i := range out {
		out[i] = mark(out[i], key, strength)
	}
	return out
}

// run runs the diagnostic under its manifest.
func run(t *testing.T, targets []diagtest.Target, params map[string]float64) *diagtest.Report {
	t.Helper()
	return diagtest.Run(t, diagtest.Configured(t, "watermark.json", diagtest.Adapter{Targets: targets, Params: params}), diagnose)
}

func metric(t *testing.T, r *diagtest.Report, target, name string) float64 {
	t.Helper()
	value, ok := r.Metric(target, "", name)
	if !ok {
		t.Fatalf("no metric %s %s: %v", target, name, r.Err)
	}
	return value
}

// Without the mark z of a weight has mean 0 and variance 1, and is above x with a chance of at most exp(-x^2/2), whatever the weight is: one
// with many directions, one of rank 1, one whose change lies in one row. So has z of the adapter.
func TestNullOnUnmarkedAdapters(t *testing.T) {
	spike := func(targets []diagtest.Target) []diagtest.Target {
		for i := range targets {
			clear(targets[i].B.Values[1:])
		}
		return targets
	}
	for _, test := range []struct {
		name    string
		targets []diagtest.Target
	}{
		{"rank 4", randomAdapter(1, 16, 40, 30, 4)},
		{"rank 1", randomAdapter(2, 16, 50, 20, 1)},
		{"one row", spike(randomAdapter(3, 16, 20, 20, 1))},
	} {
		t.Run(test.name, func(t *testing.T) {
			var zs, totals []float64
			for key := range 60 {
				report := run(t, test.targets, map[string]float64{"key": float64(key + 1), "expect": 0})
				for _, target := range test.targets {
					zs = append(zs, metric(t, report, target.Name, "z"))
				}
				totals = append(totals, metric(t, report, "", "z"))
				if codes := report.Codes(); slices.Contains(codes, "WATERMARK_PRESENT") {
					t.Errorf("key %d is found", key)
				}
			}
			for _, z := range [][]float64{zs, totals} {
				n := float64(len(z))
				mean, squares, above := 0.0, 0.0, 0.0
				for _, value := range z {
					mean += value / n
					squares += value * value / n
					if value > 2 {
						above += 1 / n
					}
				}
				// Four standard deviations of each: 1/sqrt(n), sqrt(2/n) or less, and of a share of exp(-2) or less.
				if math.Abs(mean) > 4/math.Sqrt(n) || math.Abs(squares-1) > 4*math.Sqrt(2/n) || above > math.Exp(-2)+4*math.Sqrt(math.Exp(-2)/n) {
					t.Errorf("of %g z the mean is %g, the variance %g, the share above 2 %g", n, mean, squares, above)
				}
			}
		})
	}
}

// A marked adapter has the z and the strength that the formulas say, and nobody finds the mark with another key.
func TestMarkedAdapters(t *testing.T) {
	plain := randomAdapter(4, 24, 256, 64, 8)
	for _, strength := range []float64{0.05, 0.2, 1} {
		params := map[string]float64{"key": secret, "strength": strength}
		report := run(t, marked(plain, secret, strength), params)
		z, expected := metric(t, report, "", "z"), metric(t, report, "", "z_expected")
		if math.Abs(z-expected) > 5+0.1*expected || len(report.Findings) > 0 {
			t.Errorf("strength %g: z is %g, expected %g, findings %v", strength, z, expected, report.Codes())
		}
		if seen := metric(t, report, "", "strength_seen"); math.Abs(seen-strength) > 0.02+0.2*strength {
			t.Errorf("strength %g is seen as %g", strength, seen)
		}
		params["key"]++
		if codes := run(t, marked(plain, secret, strength), params).Codes(); !slices.Equal(codes, []string{"WATERMARK_MISSING"}) {
			t.Errorf("strength %g under another key: %v", strength, codes)
		}
	}
}

func TestFindings(t *testing.T) {
	plain := randomAdapter(5, 24, 256, 64, 8)
	small := randomAdapter(6, 2, 12, 10, 2)
	for _, test := range []struct {
		name    string
		targets []diagtest.Target
		expect  float64
		want    []string
	}{
		{"wanted and there", marked(plain, secret, 0.2), 1, nil},
		{"wanted and missing", plain, 1, []string{"WATERMARK_MISSING"}},
		{"wanted, too small to tell", small, 1, []string{"WATERMARK_UNDECIDABLE"}},
		{"unwanted and there", marked(plain, secret, 0.2), 0, []string{"WATERMARK_PRESENT"}},
		{"unwanted and missing", plain, 0, nil},
		{"unwanted, too small to tell", small, 0, []string{"WATERMARK_UNDECIDABLE"}},
		{"nothing at all", nil, 1, []string{"WATERMARK_UNDECIDABLE"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			report := run(t, test.targets, map[string]float64{"key": secret, "strength": 0.2, "expect": test.expect})
			if report.Err != nil || !slices.Equal(report.Codes(), test.want) {
				t.Errorf("%v %v, want %v", report.Err, report.Codes(), test.want)
			}
		})
	}
}

// An operator who forgot the key is told so, and nothing passes.
func TestNoKey(t *testing.T) {
	report := run(t, marked(randomAdapter(7, 24, 256, 64, 8), secret, 0.2), nil)
	if report.Err != nil || !slices.Equal(report.Codes(), []string{"WATERMARK_NO_KEY"}) || report.Findings[0].Severity != diag.Deny {
		t.Errorf("%v %+v", report.Err, report.Findings)
	}
}

// What cannot be decided ends the run, which keeps the gate closed.
func TestRunsThatFail(t *testing.T) {
	for _, test := range []struct {
		name   string
		params map[string]float64
		change func([]diagtest.Target)
		says   string
	}{
		{"a key that is no number", map[string]float64{"key": math.NaN()}, nil, "key"},
		{"no strength", map[string]float64{"key": 1, "strength": 0}, nil, "strength"},
		{"an unknown expectation", map[string]float64{"key": 1, "expect": 2}, nil, "expect"},
		{"NaN in a factor", map[string]float64{"key": 1}, func(ts []diagtest.Target) { ts[0].A.Values[3] = math.NaN() }, "finite"},
	} {
		t.Run(test.name, func(t *testing.T) {
			targets := randomAdapter(8, 2, 8, 8, 2)
			if test.change != nil {
				test.change(targets)
			}
			if report := run(t, targets, test.params); report.Err == nil || !strings.Contains(report.Err.Error(), test.says) {
				t.Errorf("the run ended with %v", report.Err)
			}
		})
	}
}

// z is of the change, not of the factors that make it.
func TestInvariance(t *testing.T) {
	targets := marked(randomAdapter(9, 4, 64, 32, 4), secret, 0.2)
	adapter := diagtest.Configured(t, "watermark.json", diagtest.Adapter{Targets: targets, Params: map[string]float64{"key": secret}})
	of := diagtest.Comparison{Relative: 1e-8, Except: []string{"z_expected", "strength_seen"}} // which go by the rank as configured
	diagtest.Invariant(t, adapter, diagnose, of, append(diagtest.SameChange(), diagtest.Rescale(1e-160), diagtest.Rescale(1e100))...)
	turned := diagtest.Comparison{Relative: 1e-8, Only: []string{"z"}, Factors: map[string]float64{"z": -1}}
	diagtest.Invariant(t, adapter, diagnose, turned, diagtest.Rescale(-1))
}

// A dead weight is no evidence either way.
func TestDeadWeightsAreLeftOut(t *testing.T) {
	targets := marked(randomAdapter(10, 24, 256, 64, 8), secret, 0.2)
	dead := diagtest.Target{Name: "dead", Scale: 1, A: diagtest.Zeros(2, 64), B: diagtest.Zeros(256, 2)}
	with := run(t, append(slices.Clone(targets), dead), map[string]float64{"key": secret})
	without := run(t, targets, map[string]float64{"key": secret})
	if metric(t, with, "", "z") != metric(t, without, "", "z") || metric(t, with, "", "targets") != 24 {
		t.Errorf("z is %g with a dead weight and %g without", metric(t, with, "", "z"), metric(t, without, "", "z"))
	}
}
