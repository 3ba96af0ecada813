package intruders

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// noInfinity makes JSON of what Python writes; the values compared here are all finite.
var noInfinity = strings.NewReplacer("-Infinity", "null", "Infinity", "null", "NaN", "null")

func TestReference(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "reference", "golden_diag.json"))
	if err != nil {
		t.Skipf("skipped: no reference values: %v", err)
	}
	var golden struct {
		W, B, A   [][]float64
		Scale     float64
		Intruders struct {
			Count  int
			MaxCos []float64
			Share  float64 `json:"energy_share"`
		} `json:"intruders_k3"`
	}
	if err := json.Unmarshal([]byte(noInfinity.Replace(string(text))), &golden); err != nil {
		t.Fatal(err)
	}
	report := run(t, map[string]float64{"k": 3}, diagtest.Target{
		Name: "w", A: diagtest.Rows(golden.A...), B: diagtest.Rows(golden.B...), Base: diagtest.Rows(golden.W...), Scale: golden.Scale,
	})
	count, _ := report.Metric("w", "", "intruders")
	share, _ := report.Metric("w", "", "intruder_energy_share")
	cosines, ok := report.Grid("w", "", "intruder_maxcos")
	if count != float64(golden.Intruders.Count) || share != golden.Intruders.Share || !ok || cosines.Cols != 3 {
		t.Fatalf("%g intruders with share %g, cosines %v", count, share, cosines)
	}
	for i, want := range golden.Intruders.MaxCos {
		if !(math.Abs(cosines.Values[i]-want) <= 1e-9*want) {
			t.Errorf("cosine %d is %.17g, want %.17g", i, cosines.Values[i], want)
		}
	}
	sweep, _ := report.Grid("w", "", "intruder_sweep")
	want := diagtest.Rows([]float64{.3, .4, .5, .6, .7, .8, .9}, []float64{0, 0, 0, 1, 1, 1, 3})
	if sweep.Rows != 3 || !slices.Equal(sweep.Values[:14], want.Values) || sweep.Values[20] != 1 {
		t.Errorf("sweep is %v", sweep)
	}
}

// W has the axes 1 to 8 of 12-space as its left directions; the delta writes to an axis it has, or to one it does not.
func TestByHand(t *testing.T) {
	w := diagtest.Zeros(12, 8)
	for i := range 8 {
		w.Values[i*8+i] = float64(8 - i)
	}
	along := func(out int, size float64) diagtest.Target {
		target := diagtest.Target{Name: "w", Scale: size, A: diagtest.Zeros(1, 8), B: diagtest.Zeros(12, 1), Base: w}
		target.A.Values[7], target.B.Values[out] = 1, 1
		return target
	}
	zero, zeroW, nanA, nanW := along(0, 0), along(0, 1), along(0, 1), along(0, 1)
	zeroW.Base = diagtest.Zeros(12, 8)
	nanA.A = diagtest.Rows(slices.Repeat([]float64{math.NaN()}, 8))
	nanW.Base = diagtest.Zeros(12, 8)
	nanW.Base.Values[5] = math.Inf(-1)
	tests := []struct {
		name          string
		target        diagtest.Target
		count, margin float64
		metrics       int
		codes         []string
	}{
		{"a direction of the base", along(7, 16), 0, 2, 5, nil},
		{"a new one, strong", along(11, 16), 1, 2, 5, []string{"INTRUDERS"}},
		{"a new one, weak", along(11, 0.25), 0, 1. / 32, 5, nil},
		{"delta zero", zero, 0, 0, 0, []string{"INTRUDERS_UNDEFINED w"}},
		{"base zero", zeroW, 0, 0, 0, []string{"INTRUDERS_UNDEFINED w"}},
		{"factor not finite", nanA, 0, 0, 0, []string{"INTRUDERS_UNDEFINED w"}},
		{"base not finite", nanW, 0, 0, 0, []string{"INTRUDERS_UNDEFINED w"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report := run(t, nil, test.target)
			count, _ := report.Metric("w", "", "intruders")
			margin, _ := report.Metric("w", "", "spike_margin")
			if count != test.count || math.Abs(margin-test.margin) > 1e-12 || len(report.Metrics) != test.metrics {
				t.Errorf("%g intruders, margin %g, want %g and %g; metrics %v", count, margin, test.count, test.margin, report.Metrics)
			}
			if codes := report.Codes(); !slices.Equal(codes, test.codes) {
				t.Errorf("findings are %q, want %q", codes, test.codes)
			}
			for _, f := range report.Findings {
				if f.Severity != abi.Info && f.Code == "INTRUDERS" || strings.Contains(f.Message, "at most") {
					t.Errorf("finding %+v", f)
				}
			}
		})
	}
	// The intruder is the first of the eight directions; its energy is 16² + 1 of that and 8² + … + 2².
	report := run(t, nil, along(11, 16))
	if share, _ := report.Metric("w", "", "intruder_energy_share"); !(math.Abs(share-257./(257+203)) < 1e-12) {
		t.Errorf("energy share is %g, want %g", share, 257./(257+203))
	}
	if rank, _ := report.Metric("w", "", "intruders_base_rank"); rank != 8 {
		t.Errorf("base rank is %g", rank)
	}
	if null, _ := report.Metric("w", "", "intruder_maxcos_null"); !(math.Abs(null-math.Sqrt(2*math.Log(8)/12)) < 1e-12) {
		t.Errorf("null is %g", null)
	}
}

func TestWithoutBase(t *testing.T) {
	report := run(t, nil, diagtest.Target{Name: "w", Scale: 1, A: diagtest.Rows([]float64{1, 2}), B: diagtest.Rows([]float64{1}, []float64{0})})
	if codes := report.Codes(); !slices.Equal(codes, []string{"INTRUDERS_UNDEFINED"}) || len(report.Metrics) > 0 {
		t.Errorf("findings are %q, metrics %v", codes, report.Metrics)
	}
}

// The null is close to what random directions do: the medians of diagnostics B.4.
func TestRandomCosine(t *testing.T) {
	for d, want := range map[int]float64{64: 0.32, 256: 0.19, 1024: 0.106, 4096: 0.059} {
		if got := randomCosine(d, d); !(math.Abs(got/want-1) < 0.15) {
			t.Errorf("of %d dimensions %g, want about %g", d, got, want)
		}
	}
}

// The numbers depend on delta W, not on how it is written. Signs and scale change W + delta W, except where both change together.
func TestMetamorphic(t *testing.T) {
	stream := splitmix.New("test", "metamorphic", 0)
	matrix := func(rows, cols int) diagtest.Matrix {
		m := diagtest.Zeros(rows, cols)
		stream.Normals(m.Values)
		return m
	}
	target := diagtest.Target{Name: "w", Scale: 0.5, A: matrix(3, 16), B: matrix(22, 3), Base: matrix(22, 16)}
	g := diagtest.Rows([]float64{2, 1, 0}, []float64{0, 1, 3}, []float64{1, 0, 1})
	inverse := diagtest.Rows([]float64{.2, -.2, .6}, []float64{.6, .4, -1.2}, []float64{-.2, .2, .4})
	refactored, scaled, negated, padded, fan := target, target, target, target, target
	refactored.A, refactored.B = product(inverse, target.A), product(target.B, g)
	scaled.Scale, scaled.Base = 3*target.Scale, times(target.Base, 3)
	negated.Scale, negated.Base = -target.Scale, times(target.Base, -1)
	padded.A, padded.B = corner(target.A, 5, 16), corner(target.B, 22, 5)
	fan.FanInFanOut = true
	want := run(t, nil, target)
	for name, changed := range map[string]diagtest.Target{
		"B G and inverse of G times A": refactored, "alpha and W": scaled, "all signs": negated, "rank padded with zeros": padded,
		"stored transposed": fan,
	} {
		got := run(t, nil, changed)
		if len(got.Metrics) != 5 || len(got.Grids) != 2 {
			t.Fatalf("%s: metrics %v, grids %v", name, got.Metrics, got.Grids)
		}
		for i, m := range want.Metrics {
			if value := got.Metrics[i].Value; !(math.Abs(value-m.Value) <= 1e-9*max(1, math.Abs(m.Value))) {
				t.Errorf("%s: %s is %g, want %g", name, m.Name, value, m.Value)
			}
		}
		for i, grid := range want.Grids {
			if !slices.EqualFunc(got.Grids[i].Values, grid.Values, func(a, b float64) bool { return math.Abs(a-b) <= 1e-9 }) {
				t.Errorf("%s: grid %s is %v, want %v", name, grid.Name, got.Grids[i], grid)
			}
		}
	}
}

func TestMoreDirectionsThanThereAre(t *testing.T) {
	stream := splitmix.New("test", "more", 0)
	a, b, w := diagtest.Zeros(2, 4), diagtest.Zeros(6, 2), diagtest.Zeros(6, 4)
	for _, m := range []diagtest.Matrix{a, b, w} {
		stream.Normals(m.Values)
	}
	report := run(t, map[string]float64{"k": 100}, diagtest.Target{Name: "w", Scale: 1, A: a, B: b, Base: w})
	if cosines, ok := report.Grid("w", "", "intruder_maxcos"); !ok || cosines.Cols != 4 {
		t.Errorf("cosines %v", cosines)
	}
}

func run(t *testing.T, params map[string]float64, target diagtest.Target) *diagtest.Report {
	t.Helper()
	all := map[string]float64{"k": 10, "eps": 0.5}
	for name, value := range params {
		all[name] = value
	}
	report := diagtest.Run(t, diagtest.Adapter{
		Targets: []diagtest.Target{target}, Params: all, Grants: []abi.Capability{abi.CapBase, abi.CapKernels},
	}, Diagnose)
	if report.Err != nil {
		t.Fatal(report.Err)
	}
	return report
}

func product(m, n diagtest.Matrix) diagtest.Matrix {
	out := diagtest.Zeros(m.Rows, n.Cols)
	for i := range m.Rows {
		for j := range n.Cols {
			for k := range m.Cols {
				out.Values[i*n.Cols+j] += m.At(i, k) * n.At(k, j)
			}
		}
	}
	return out
}

func times(m diagtest.Matrix, factor float64) diagtest.Matrix {
	out := diagtest.Zeros(m.Rows, m.Cols)
	for i, v := range m.Values {
		out.Values[i] = factor * v
	}
	return out
}

// corner gives m in the corner of rows x cols zeros.
func corner(m diagtest.Matrix, rows, cols int) diagtest.Matrix {
	out := diagtest.Zeros(rows, cols)
	for i := range m.Rows {
		copy(out.Values[i*cols:], m.Values[i*m.Cols:(i+1)*m.Cols])
	}
	return out
}
