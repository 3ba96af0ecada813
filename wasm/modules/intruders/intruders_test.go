package intruders

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/reference"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

func TestReference(t *testing.T) {
	golden := reference.ReadDiagnostics(t)
	report := run(t, map[string]float64{"k": 3}, golden.Own())
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

// Of a W of rank 3 only three directions count: the others are whatever the decomposition fills up with, and being like one of them makes
// nothing known to W.
func TestRankOfTheBase(t *testing.T) {
	w := diagtest.Zeros(12, 8)
	for i := range 3 {
		w.Values[i*8+i] = float64(4 - i)
	}
	for out := range 12 {
		target := diagtest.Target{Name: "w", Scale: 16, A: diagtest.Zeros(1, 8), B: diagtest.Zeros(12, 1), Base: w}
		target.A.Values[7], target.B.Values[out] = 1, 1
		report := run(t, map[string]float64{"k": 1}, target)
		want := 1.0
		if out < 3 {
			want = 0
		}
		rank, _ := report.Metric("w", "", "intruders_base_rank")
		if count, ok := report.Metric("w", "", "intruders"); !ok || count != want || rank != 3 {
			t.Errorf("a change of output %d has %g intruders beside %g directions, want %g beside 3", out, count, rank, want)
		}
		for _, f := range report.Findings {
			if strings.Contains(f.Message, "at most") {
				t.Errorf("all directions of W are known, and it says %q", f.Message)
			}
		}
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
	adapter := configured(t, nil, random(&stream, 22, 16, 3))
	if report := diagtest.MustRun(t, adapter, Diagnose); len(report.Metrics) != 5 || len(report.Grids) != 2 {
		t.Fatalf("metrics %v, grids %v", report.Metrics, report.Grids)
	}
	diagtest.Invariant(t, adapter, Diagnose, diagtest.Comparison{Relative: 1e-9, Absolute: 1e-9}, append(diagtest.SameChange(),
		diagtest.RescaleAll(3), diagtest.RescaleAll(-1), diagtest.StoreTransposed())...)
}

func TestMoreDirectionsThanThereAre(t *testing.T) {
	stream := splitmix.New("test", "more", 0)
	report := run(t, map[string]float64{"k": 100}, random(&stream, 6, 4, 2))
	if cosines, ok := report.Grid("w", "", "intruder_maxcos"); !ok || cosines.Cols != 4 {
		t.Errorf("cosines %v", cosines)
	}
}

func random(stream *splitmix.Stream, out, in, rank int) diagtest.Target {
	return diagtest.Target{
		Name: "w", Scale: 0.5, A: diagtest.Filled(rank, in, stream.Normals), B: diagtest.Filled(out, rank, stream.Normals),
		Base: diagtest.Filled(out, in, stream.Normals),
	}
}

func run(t *testing.T, params map[string]float64, target diagtest.Target) *diagtest.Report {
	t.Helper()
	return diagtest.MustRun(t, configured(t, params, target), Diagnose)
}

// configured is an adapter of one target as the manifest runs it, but for the parameters given.
func configured(t *testing.T, params map[string]float64, target diagtest.Target) diagtest.Adapter {
	t.Helper()
	return diagtest.Configured(t, "intruders.json", diagtest.Adapter{Targets: []diagtest.Target{target}, Params: params})
}
