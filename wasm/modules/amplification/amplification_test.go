package amplification

import (
	"math"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/reference"
)

func TestReferenceTable7(t *testing.T) {
	golden := reference.ReadDiagnostics(t)
	wantMetrics(t, run(t, golden.Own()), map[string]float64{
		"rank": golden.Table7["rank"], "delta_norm": golden.Table7["norm_dW"], "base_norm": golden.Table7["norm_W"],
		"norm_ratio":      golden.Table7["norm_dW"] / golden.Table7["norm_W"],
		"projection_norm": golden.Table7["proj_dW"], "projection_norm_random": golden.Table7["proj_random_analytic"],
		"projection_norm_base": golden.Table7["proj_W"], "amplification": golden.Table7["amplification"],
		"amplification_random": golden.Table7["amplification_random"], "alignment_lift": golden.Table7["alignment_lift"],
		"fraction_of_max": golden.Table7["proj_dW"] / golden.Table7["proj_W"], "alignment_lift_null": 1,
		"alignment_lift_z": anything,
	})
}

// W is diag(2, 1) in the corner of 3 x 2 and the delta points along its first or second axis, so every column can be told by hand.
func TestByHand(t *testing.T) {
	first := diagtest.Target{
		Name: "w", Scale: 3, A: diagtest.Rows([]float64{1, 0}), B: diagtest.Rows([]float64{1}, []float64{0}, []float64{0}),
		Base: diagtest.Rows([]float64{2, 0}, []float64{0, 1}, []float64{0, 0}),
	}
	zeroB, zeroW, zeroBoth, nanW, nanA, twice := first, first, first, first, first, first
	zeroB.B = diagtest.Zeros(3, 1)
	zeroW.Base = diagtest.Zeros(3, 2)
	zeroBoth.B, zeroBoth.Base = zeroB.B, zeroW.Base
	nanW.Base = diagtest.Rows([]float64{2, math.NaN()}, []float64{0, 1}, []float64{0, 0})
	nanA.A = diagtest.Rows([]float64{1, math.NaN()})
	twice.A = diagtest.Rows([]float64{1, 0}, []float64{1, 0})
	twice.B = diagtest.Rows([]float64{.5, .5}, []float64{0, 0}, []float64{0, 0})
	w := math.Sqrt(5)
	whole := map[string]float64{
		"rank": 1, "delta_norm": 3, "base_norm": w, "norm_ratio": 3 / w, "projection_norm": 2, "projection_norm_random": w / math.Sqrt(6),
		"projection_norm_base": 2, "amplification": 1.5, "amplification_random": 3 * math.Sqrt(6) / w, "alignment_lift": 2 * math.Sqrt(6) / w,
		"fraction_of_max": 1, "alignment_lift_null": 1,
		// The mean of (2 u1 v1 + u2 v2)^4 over random units of 3 and 2 dimensions is 1.475, of the square 5/6.
		"alignment_lift_z": (4/(5./6) - 1) / math.Sqrt(1.475/(5./6*5./6)-1),
	}
	across := first
	across.A = diagtest.Rows([]float64{0, 1})
	orthogonal := map[string]float64{
		"rank": 1, "delta_norm": 3, "base_norm": w, "norm_ratio": 3 / w, "projection_norm": 0, "projection_norm_random": w / math.Sqrt(6),
		"projection_norm_base": 2, "amplification_random": 3 * math.Sqrt(6) / w, "alignment_lift": 0, "fraction_of_max": 0,
		"alignment_lift_null": 1, "alignment_lift_z": -1 / math.Sqrt(1.475/(5./6*5./6)-1),
	}
	tests := []struct {
		name    string
		target  diagtest.Target
		metrics map[string]float64
		codes   []string
	}{
		{"along the top direction", first, whole, nil},
		{"the numerical rank counts, not the configured one", twice, whole, nil},
		{"W does nothing along the delta", across, orthogonal, []string{"AMPLIFICATION_UNDEFINED w"}},
		{"delta zero", zeroB, map[string]float64{"rank": 0, "delta_norm": 0, "base_norm": w, "norm_ratio": 0},
			[]string{"AMPLIFICATION_UNDEFINED w"}},
		{"base zero", zeroW, map[string]float64{
			"rank": 1, "delta_norm": 3, "base_norm": 0, "norm_ratio": math.Inf(1), "projection_norm": 0, "projection_norm_random": 0,
			"projection_norm_base": 0,
		}, []string{"AMPLIFICATION_UNDEFINED w"}},
		{"delta and base zero", zeroBoth, map[string]float64{"rank": 0, "delta_norm": 0, "base_norm": 0}, []string{"AMPLIFICATION_UNDEFINED w"}},
		{"base not finite", nanW, nil, []string{"AMPLIFICATION_UNDEFINED w"}},
		{"factor not finite", nanA, nil, []string{"AMPLIFICATION_UNDEFINED w"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report := run(t, test.target)
			wantMetrics(t, report, test.metrics)
			if codes := report.Codes(); !slices.Equal(codes, test.codes) {
				t.Errorf("findings are %q, want %q", codes, test.codes)
			}
		})
	}
	report := run(t, first)
	gain, _ := report.Grid("w", "", "gain")
	random, _ := report.Grid("w", "", "gain_random")
	if len(gain.Values) != 1 || math.Abs(gain.Values[0]-1.5) > 1e-12 || math.Abs(random.Values[0]-3*math.Sqrt(6)/w) > 1e-12 {
		t.Errorf("gains are %v beside %v", gain, random)
	}
}

// Where the policy does not let the module read W, the numbers of delta W alone are left, and one finding says why.
func TestWithoutBase(t *testing.T) {
	adapter := diagtest.Adapter{Params: map[string]float64{"samples": 0}, Targets: []diagtest.Target{
		{Name: "v", Scale: 1, A: diagtest.Rows([]float64{3, 4}), B: diagtest.Rows([]float64{1}, []float64{0})},
		{Name: "w", Scale: 1, A: diagtest.Zeros(1, 2), B: diagtest.Zeros(2, 1)},
	}}
	report := diagtest.Run(t, adapter, Diagnose)
	if norm, _ := report.Metric("v", "", "delta_norm"); report.Err != nil || len(report.Metrics) != 4 || math.Abs(norm-5) > 1e-12 {
		t.Errorf("%v, metrics %v", report.Err, report.Metrics)
	}
	if codes := report.Codes(); !slices.Equal(codes, []string{"AMPLIFICATION_UNDEFINED"}) {
		t.Errorf("findings are %q", codes)
	}
}

// configured is an adapter of one target as the manifest runs it.
func configured(t *testing.T, target diagtest.Target) diagtest.Adapter {
	t.Helper()
	return diagtest.Configured(t, "amplification.json", diagtest.Adapter{Targets: []diagtest.Target{target}})
}

func run(t *testing.T, target diagtest.Target) *diagtest.Report {
	t.Helper()
	return diagtest.MustRun(t, configured(t, target), Diagnose)
}

// anything stands for a finite number.
const anything = -12345.678

// wantMetrics wants exactly these metrics.
func wantMetrics(t *testing.T, report *diagtest.Report, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		got, ok := report.Metric("w", "", name)
		if value == anything && ok && got-got == 0 {
			continue
		}
		if same := got == value || math.IsNaN(got) && math.IsNaN(value) || math.Abs(got-value) <= max(1e-9*math.Abs(value), 1e-15); !ok || !same {
			t.Errorf("%s is %g, %t, want %g", name, got, ok, value)
		}
	}
	if len(report.Metrics) != len(want) {
		t.Errorf("metrics are %v, want %v", report.Metrics, want)
	}
}
