package hygiene

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// factorsOnly is what a policy that never reads W grants and sets.
func factorsOnly(t testing.TB, attrs map[string]string, targets ...diagtest.Target) *diagtest.Report {
	t.Helper()
	return diagtest.MustRun(t, diagtest.Adapter{
		Targets: targets, Attrs: attrs, Params: map[string]float64{"merged": 0}, Grants: []abi.Capability{abi.CapKernels},
	}, Diagnose)
}

// drawn is a target with normal entries.
func drawn(name string, seed uint64) diagtest.Target {
	rng := rand.New(rand.NewPCG(seed, 1))
	t := diagtest.Target{Name: name, Scale: 2, A: diagtest.Zeros(4, 6), B: diagtest.Zeros(5, 4)}
	for _, m := range []diagtest.Matrix{t.A, t.B} {
		for i := range m.Values {
			m.Values[i] = rng.NormFloat64()
		}
	}
	return t
}

func q(layer int) string { return "layers." + strconv.Itoa(layer) + ".q.weight" }

func TestSurvey(t *testing.T) {
	change := func(target diagtest.Target, change func(*diagtest.Target)) diagtest.Target {
		change(&target)
		return target
	}
	clearRow := func(m diagtest.Matrix, row int) { clear(m.Values[row*m.Cols : (row+1)*m.Cols]) }
	clearCol := func(m diagtest.Matrix, col int) {
		for i := range m.Rows {
			m.Values[i*m.Cols+col] = 0
		}
	}
	one, two := drawn(q(0), 1), drawn(q(1), 2)
	third := drawn("layers.0.k.weight", 3)
	tests := []struct {
		name    string
		targets []diagtest.Target
		want    []string // severity, code and target
		says    string
		value   float64
	}{
		{"healthy", []diagtest.Target{one, two, third}, nil, "", 0},
		{"a zero row of A and a zero column of B", []diagtest.Target{change(drawn(q(0), 1), func(t *diagtest.Target) {
			clearRow(t.A, 1)
			clearCol(t.B, 1)
			clearCol(t.B, 3)
		}), two}, []string{"info AD_DEAD_RANK"}, "2 of 8 rank components are never used, because their row of A or their column of B is zero; 50 % of those of " + q(0), 2},
		{"a zero column of B", []diagtest.Target{change(drawn(q(0), 1), func(t *diagtest.Target) { clearCol(t.B, 2) })},
			[]string{"info AD_DEAD_RANK"}, "1 of 4 rank components", 1},
		{"every component dead, by turns", []diagtest.Target{change(drawn(q(0), 1), func(t *diagtest.Target) {
			clearRow(t.A, 0)
			clearRow(t.A, 1)
			clearCol(t.B, 2)
			clearCol(t.B, 3)
		}), two}, []string{"warn AD_ZERO " + q(0)}, "the product of the factors is zero", 0},
		{"zero rows of B and columns of A", []diagtest.Target{change(drawn(q(0), 1), func(t *diagtest.Target) {
			clearRow(t.B, 0)
			clearRow(t.B, 1)
			clearCol(t.A, 5)
		})}, []string{"info AD_ZERO_ROWS"}, "2 outputs never change and 1 inputs are never read", 3},
		{"a copy under another name", []diagtest.Target{one, change(one, func(t *diagtest.Target) { t.Name = q(1) })},
			[]string{"warn AD_DUPLICATE"}, "both factors of 1 weights are those of another weight, value by value: for one " + q(1) + " has those of " + q(0), 1},
		{"B copied", []diagtest.Target{one, change(two, func(t *diagtest.Target) { t.B = one.B })}, []string{"warn AD_SHARED_B"}, "factor B of 1", 1},
		{"A shared between layers", []diagtest.Target{one, change(two, func(t *diagtest.Target) { t.A = one.A })},
			[]string{"info AD_SHARED_A"}, "factor A of 1", 1},
		{"A shared within a layer is a design", []diagtest.Target{one, change(third, func(t *diagtest.Target) { t.A = one.A })}, nil, "", 0},
		{"same statistics, other values", []diagtest.Target{one, change(two, func(t *diagtest.Target) {
			t.A.Values = slices.Clone(one.A.Values)
			t.A.Values[0], t.A.Values[1] = t.A.Values[1], t.A.Values[0]
		})}, nil, "", 0},
		{"scales differ", []diagtest.Target{one, change(two, func(t *diagtest.Target) { t.Scale = 20 })},
			[]string{"info AD_SCALES_DIFFER"}, "from 2 to 20", 10},
		{"dtypes differ", []diagtest.Target{one, change(two, func(t *diagtest.Target) { t.FactorDType = abi.DTypeBF16 })},
			[]string{"info AD_DTYPE_MIX"}, "stored in BF16 and F32", 2},
		{"scale is not alpha / r", []diagtest.Target{change(one, func(t *diagtest.Target) { t.Alpha = 4 })},
			[]string{"warn AD_SCALE " + q(0)}, "the scale is 2, and alpha / r of the configuration is 1", 2},
		{"scale is alpha / sqrt(r)", []diagtest.Target{change(one, func(t *diagtest.Target) { t.Alpha, t.RsLoRA = 4, true })}, nil, "", 0},
		{"few subnormal values", []diagtest.Target{change(drawn(q(0), 1), func(t *diagtest.Target) { t.A.Values[3] = 1e-40 })}, nil, "", 0},
		{"some subnormal values in F16", []diagtest.Target{change(drawn(q(0), 1), func(t *diagtest.Target) {
			t.FactorDType = abi.DTypeF16
			for i := range t.B.Values {
				t.B.Values[i] *= 1e-4
			}
		})}, []string{"info AD_SUBNORMAL"}, "worst in B of " + q(0), 0.45},
		{"a factor of subnormal values", []diagtest.Target{change(drawn(q(0), 1), func(t *diagtest.Target) {
			for i := range t.B.Values {
				t.B.Values[i] *= 1e-40
			}
		})}, []string{"warn AD_SUBNORMAL"}, "up to 100 % of a factor; worst in B of " + q(0), 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report := factorsOnly(t, nil, test.targets...)
			var got []string
			for _, f := range report.Findings {
				severity := map[abi.Severity]string{diag.Info: "info ", diag.Warn: "warn ", diag.Deny: "deny "}[f.Severity]
				got = append(got, strings.TrimSpace(severity+f.Code+" "+f.Target))
				if f.Hint == "" {
					t.Errorf("%s has no hint", f.Code)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Fatalf("findings are %q, want %q", got, test.want)
			}
			if len(got) == 0 {
				return
			}
			if f := report.Findings[0]; !strings.Contains(f.Message, test.says) || math.Abs(f.Value-test.value) > 0.1 {
				t.Errorf("finding is %+v, want %q and %g", f, test.says, test.value)
			}
		})
	}
}

// With merged off nothing of W is read, so a policy need not grant it.
func TestFactorsOnly(t *testing.T) {
	lost := with("w", func(t *diagtest.Target) { t.Scale = 0x1p-9 })
	report := diagtest.Run(t, diagtest.Adapter{Targets: []diagtest.Target{lost}, Params: map[string]float64{"merged": 0}}, Diagnose)
	if report.Err != nil || len(report.Findings) > 0 {
		t.Errorf("error %v, findings %+v", report.Err, report.Findings)
	}
}

// wide is a target of 64 x 128, the A of which draw gives.
func wide(name string, draw func(row, col int) float64) diagtest.Target {
	t := diagtest.Target{Name: name, Scale: 1, A: diagtest.Zeros(64, 128), B: diagtest.Zeros(2, 64)}
	for i := range t.A.Values {
		t.A.Values[i] = draw(i/128, i%128)
	}
	for i := range t.B.Values {
		t.B.Values[i] = 1 + float64(i)
	}
	return t
}

func TestUntouchedA(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 5))
	uniform := func(_, _ int) float64 { return (2*rng.Float64() - 1) / math.Sqrt(128) }
	normal := func(_, _ int) float64 { return rng.NormFloat64() / 64 }
	moved := func(by float64) func(int, int) float64 {
		return func(row, col int) float64 { return uniform(row, col) + by*rng.NormFloat64()/math.Sqrt(128) }
	}
	uniformly := map[string]string{"init_lora_weights": "true"}
	gaussian := map[string]string{"init_lora_weights": "gaussian"}
	tests := []struct {
		name  string
		attrs map[string]string
		draw  func(int, int) float64
		says  string // empty: no finding
	}{
		{"uniform", uniformly, uniform, "uniform"},
		{"uniform, method not known", nil, uniform, "uniform"},
		{"uniform where the method is gaussian", gaussian, uniform, ""},
		{"normal", gaussian, normal, "normal"},
		{"normal where the method is uniform", uniformly, normal, ""},
		{"moved by a hundredth", uniformly, moved(0.01), ""},
		{"orthogonal", map[string]string{"init_lora_weights": "orthogonal"}, uniform, ""},
		{"half as large", nil, func(row, col int) float64 { return uniform(row, col) / 2 }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report := factorsOnly(t, test.attrs, wide(q(0), test.draw), wide(q(1), test.draw))
			var found []diagtest.Finding
			for _, f := range report.Findings {
				if f.Code == "AD_UNTOUCHED_A" {
					found = append(found, f)
				}
			}
			if len(found) > 0 != (test.says != "") {
				t.Fatalf("findings are %+v", report.Findings)
			}
			if len(found) > 0 && (!strings.Contains(found[0].Message, "its "+test.says+" initialization: it is as if only B was trained") || found[0].Severity != diag.Info) {
				t.Errorf("finding is %+v", found[0])
			}
		})
	}
}

// Of initialized factors, few are missed; of factors that moved a little, none is taken for one.
func TestUntouchedAErrors(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 7))
	const trials, n = 1000, 4096
	missed, taken := 0, 0
	for range trials {
		var initialized, trained pool
		for range n {
			x := 2*rng.Float64() - 1
			initialized.take(x)
			trained.take(x + 0.01*rng.NormFloat64())
		}
		if !initialized.asUniform(0x1p-23) {
			missed++
		}
		if trained.asUniform(0x1p-23) {
			taken++
		}
	}
	if missed > 4 || taken > 0 { // 0.04 % of 1000 are 0.4 expected
		t.Errorf("%d of %d initialized factors are missed, %d that moved by a hundredth are taken for initialized", missed, trials, taken)
	}
}

func (p *pool) take(x float64) {
	p.n++
	p.sum += x
	p.squares += x * x
	p.largest = max(p.largest, math.Abs(x))
}

// What leaves delta W as it is, or scales it, leaves the findings; rank padding adds that it is padding.
func TestMetamorphic(t *testing.T) {
	plain := drawn(q(0), 1)
	for _, test := range []struct {
		diagtest.Rewriting
		codes []string
	}{
		{diagtest.Refactor(1), nil}, {diagtest.FlipSigns(), nil}, {diagtest.FlipSigns(2), nil}, {diagtest.Rebalance(4), nil},
		{diagtest.Rescale(1e10), nil}, {diagtest.Rescale(-1), nil}, {diagtest.Pad(2), []string{"AD_DEAD_RANK"}},
	} {
		if codes := factorsOnly(t, nil, test.Of(plain)).Codes(); !slices.Equal(codes, test.codes) {
			t.Errorf("%s: findings are %q, want %q", test.Name, codes, test.codes)
		}
	}
}
