package anomaly

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/reference"
)

func run(t testing.TB, adapter diagtest.Adapter) *diagtest.Report {
	t.Helper()
	return diagtest.MustRun(t, diagtest.Configured(t, "anomaly.json", adapter), Diagnose)
}

// empty is a bank without adapters: features are reported, and nothing is held against them.
var empty = &diagtest.Bank{}

func TestCostsNothingWithoutABank(t *testing.T) {
	report := diagtest.Run(t, diagtest.Adapter{Targets: []diagtest.Target{{
		Name: "w", Scale: 1, A: diagtest.Rows([]float64{math.NaN()}), B: diagtest.Rows([]float64{1}),
	}}, Grants: []abi.Capability{}, Params: map[string]float64{}}, Diagnose)
	if report.Err != nil || len(report.Metrics)+len(report.Grids)+len(report.Findings) > 0 {
		t.Errorf("without a bank: %+v", report)
	}
}

func TestReferenceFeatures(t *testing.T) {
	golden := reference.ReadDiagnostics(t)
	report := run(t, diagtest.Adapter{Bank: empty, Targets: []diagtest.Target{golden.Own()}})
	grid, ok := report.Grid("w", "", "features")
	if !ok || grid.Rows != 1 || grid.Cols != features {
		t.Fatalf("features are %+v, %t", grid, ok)
	}
	s := golden.Spectrum
	want := []float64{s["sigma1"], s["fro"], s["conc_energy"], s["entropy_l1"], golden.Kurtosis}
	got := slices.Clone(grid.Values)
	got[excessKurtosis] += 3 + 6/s["participation"]
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= 1e-9*math.Abs(want[i])) {
			t.Errorf("%s is %.17g, want %.17g", said[i], got[i], want[i])
		}
	}
	if codes := report.Codes(); !slices.Equal(codes, []string{"ANOMALY_UNDEFINED"}) {
		t.Errorf("findings are %q", codes)
	}
}

// matrix has normal entries.
func matrix(rng *rand.Rand, rows, cols int) diagtest.Matrix {
	return diagtest.Filled(rows, cols, func(values []float64) {
		for i := range values {
			values[i] = rng.NormFloat64()
		}
	})
}

// featuresOf gives the features of one target.
func featuresOf(t *testing.T, target diagtest.Target) vector {
	t.Helper()
	grid, ok := run(t, diagtest.Adapter{Bank: empty, Targets: []diagtest.Target{target}}).Grid(target.Name, "", "features")
	if !ok {
		t.Fatalf("%s has no features", target.Name)
	}
	return vector(grid.Values)
}

func TestInvariance(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	target := diagtest.Target{Name: "w", Scale: 0.5, A: matrix(rng, 2, 9), B: matrix(rng, 7, 2)}
	want := featuresOf(t, target)
	for _, rewriting := range append(diagtest.SameChange(), diagtest.Rescale(-1), diagtest.Rescale(100), diagtest.Transpose()) {
		t.Run(rewriting.Name, func(t *testing.T) {
			changed := rewriting.Of(target)
			got, grows := featuresOf(t, changed), math.Abs(changed.Delta().At(0, 0)/target.Delta().At(0, 0))
			for i, value := range want {
				if i == sigma1 || i == deltaNorm {
					value *= grows
				}
				if !(math.Abs(got[i]-value) <= 1e-10*max(1, math.Abs(value))) {
					t.Errorf("%s is %g, want %g", said[i], got[i], value)
				}
			}
		})
	}
}

// A sample of the rows is near the whole, the same whatever the adapter, and of the size asked for.
func TestSampledRows(t *testing.T) {
	rows := sample("w", 1000, 64)
	if len(rows) != 64 || !slices.IsSorted(rows) || len(slices.Compact(slices.Clone(rows))) != 64 || !slices.Equal(rows, sample("w", 1000, 64)) {
		t.Errorf("the sample is %v", rows)
	}
	if slices.Equal(rows, sample("v", 1000, 64)) {
		t.Error("two weights have the same sample")
	}
	if all := sample("w", 5, 5); !slices.Equal(all, []int{0, 1, 2, 3, 4}) {
		t.Errorf("all rows are %v", all)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	target := diagtest.Target{Name: "w", Scale: 1, A: matrix(rng, 4, 60), B: matrix(rng, 800, 4)}
	whole := featuresOf(t, target)
	sampled, _ := run(t, diagtest.Adapter{
		Bank: empty, Targets: []diagtest.Target{target}, Params: map[string]float64{"p": 0, "min_bank": 0, "kurtosis_entries": 24_000},
	}).Grid("w", "", "features")
	if difference := math.Abs(sampled.Values[excessKurtosis] - whole[excessKurtosis]); difference == 0 || difference > 0.5 {
		t.Errorf("from half of the rows the kurtosis differs by %g", difference)
	}
}

// adapters draws as many adapters of four layers, each from a generator of its own.
func adapters(n int, change func(adapter int, targets []diagtest.Target)) [][]diagtest.Target {
	var out [][]diagtest.Target
	for i := range n {
		rng := rand.New(rand.NewPCG(uint64(i), 9))
		var targets []diagtest.Target
		for layer := range 4 {
			targets = append(targets, diagtest.Target{
				Name: "layers." + strconv.Itoa(layer) + ".q.weight", Scale: 1 + 0.2*rng.Float64(), A: matrix(rng, 2, 8), B: matrix(rng, 6, 2),
			})
		}
		change(i, targets)
		out = append(out, targets)
	}
	return out
}

// bankOf makes a bank of adapters named "0", "1" and so on.
func bankOf(t *testing.T, members [][]diagtest.Target) *diagtest.Bank {
	t.Helper()
	bank := &diagtest.Bank{Targets: map[string][][]float64{}}
	for i, targets := range members {
		bank.Names = append(bank.Names, "sha256:"+strconv.Itoa(i))
		report := run(t, diagtest.Adapter{Bank: empty, Targets: targets})
		for _, target := range targets {
			var row []float64
			if grid, ok := report.Grid(target.Name, "", "features"); ok {
				row = grid.Values
			}
			for len(bank.Targets[target.Name]) < i {
				bank.Targets[target.Name] = append(bank.Targets[target.Name], nil)
			}
			bank.Targets[target.Name] = append(bank.Targets[target.Name], row)
		}
	}
	return bank
}

func TestAgainstABank(t *testing.T) {
	members := adapters(61, func(int, []diagtest.Target) {})
	bank := bankOf(t, members[1:])
	own := members[0]
	strong := slices.Clone(own)
	for i := range strong {
		strong[i].Scale *= 100
	}
	zero := slices.Clone(own)
	for i := range zero {
		zero[i].Scale = 0
	}
	partly := slices.Clone(strong)
	partly[1].Scale, partly[2].Scale = 0, math.NaN()
	elsewhere := []diagtest.Target{own[0]}
	elsewhere[0].Name = "layers.0.v.weight"
	small := &diagtest.Bank{Names: bank.Names[:3], Targets: maps.Clone(bank.Targets)}
	for name, rows := range small.Targets {
		small.Targets[name] = rows[:3]
	}
	other := &diagtest.Bank{Names: bank.Names[:1], Targets: map[string][][]float64{own[0].Name: {{1, 2}}}}
	tests := []struct {
		name    string
		targets []diagtest.Target
		bank    *diagtest.Bank
		digest  string
		p, n    float64 // p of -1: none
		codes   []string
		says    string
	}{
		{"ordinary", own, bank, "", -2, 60, nil, ""},
		{"scale times hundred", strong, bank, "", 1. / 61, 60, []string{"UNLIKE_BANK"}, "unlike the 60 adapters of your bank that change the same weights: none of them"},
		{"two weights without features", partly, bank, "", 1. / 61, 60, []string{"ANOMALY_PARTIAL", "UNLIKE_BANK"},
			"compared without 2 of its 4 weights (layers.1.q.weight is one)"},
		{"a small bank", strong, small, "", 1. / 4, 3, []string{"BANK_SMALL"}, "your bank has 3 adapters to compare with, so p cannot be below 0.25"},
		{"an empty bank", own, empty, "", -1, -1, []string{"ANOMALY_UNDEFINED"}, "no other adapter"},
		{"other weights", elsewhere, bank, "", -1, 0, []string{"ANOMALY_UNDEFINED"}, "none of the 60 adapters"},
		{"another version's features", own, other, "", -1, 0, []string{"ANOMALY_UNDEFINED"}, "none of the 1 adapters"},
		{"nothing changes", zero, bank, "", -1, -1, []string{"ANOMALY_UNDEFINED"}, "no weight changes"},
		{"itself in the bank", own, bank, "sha256:7", -2, 59, nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report := run(t, diagtest.Adapter{Targets: test.targets, Bank: test.bank, Attrs: map[string]string{"adapter.digest": test.digest}})
			if codes := report.Codes(); !slices.Equal(codes, test.codes) {
				t.Fatalf("findings are %+v, want %q", report.Findings, test.codes)
			}
			if test.says != "" && !strings.Contains(report.Findings[0].Message, test.says) {
				t.Errorf("message is %q, want %q", report.Findings[0].Message, test.says)
			}
			for _, f := range report.Findings {
				if f.Severity > diag.Warn || f.Hint == "" {
					t.Errorf("finding %+v is more than a warning, or has no hint", f)
				}
			}
			p, ok := report.Metric("", "", "anomaly_p")
			if ok != (test.p != -1) || test.p > 0 && p != test.p {
				t.Errorf("p is %g, %t, want %g", p, ok, test.p)
			}
			if n, ok := report.Metric("", "", "bank_adapters"); ok && n != test.n || ok != (test.n >= 0) {
				t.Errorf("compared with %g, %t, want %g", n, ok, test.n)
			}
		})
	}
}

// An adapter of the bank that lacks one of the weights is not compared with.
func TestIncompleteMembers(t *testing.T) {
	members := adapters(5, func(i int, targets []diagtest.Target) {
		if i == 2 {
			targets[1].Scale = 0
		}
	})
	report := run(t, diagtest.Adapter{Targets: members[0], Bank: bankOf(t, members[1:])})
	if n, _ := report.Metric("", "", "bank_adapters"); n != 3 {
		t.Errorf("compared with %g adapters, want 3", n)
	}
}
