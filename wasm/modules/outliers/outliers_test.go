package outliers

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
	"github.com/tenon-ml/tenon/wasm/modules/internal/robust"
)

// name is that of a weight in a layer.
func name(layer int, kind string) string {
	return "model.layers." + strconv.Itoa(layer) + "." + kind + ".weight"
}

// sized is a weight whose delta has the given norm.
func sized(name string, norm float64) diagtest.Target {
	return diagtest.Target{Name: name, Scale: norm / 5, A: diagtest.Rows([]float64{3, 4}), B: diagtest.Rows([]float64{0}, []float64{1})}
}

// column is one kind of weight with these norms in layers 0, 1, 2 and so on.
func column(kind string, norms ...float64) []diagtest.Target {
	var out []diagtest.Target
	for i, norm := range norms {
		out = append(out, sized(name(i, kind), norm))
	}
	return out
}

var params = map[string]float64{"limit": 3.5, "min_layers": 5}

func run(t testing.TB, grants []abi.Capability, targets ...diagtest.Target) *diagtest.Report {
	t.Helper()
	return diagtest.MustRun(t, diagtest.Adapter{Targets: targets, Params: params, Grants: grants}, Diagnose)
}

var kernels = []abi.Capability{abi.CapKernels}

// The logarithms are -2 -1 0 1 2 times ln 2, and one far away: median and distances are known.
func TestByHand(t *testing.T) {
	norms := []float64{0.25, 0.5, 1, 2, 4, 1, 1024}
	// Logarithms to base 2: -2 -1 0 0 1 2 10, median 0, distances 0 0 1 1 2 2 10, their median 1.
	report := run(t, kernels, column("q", norms...)...)
	for i, norm := range norms {
		z, ok := report.Metric(name(i, "q"), "", "outlier_z")
		if want := 0.6745 * math.Log2(norm); !ok || !(math.Abs(z-want) <= 1e-12) {
			t.Errorf("z of layer %d is %g, %t, want %g", i, z, ok, want)
		}
	}
	want := []diagtest.Finding{{
		Target: name(6, "q"), Severity: diag.Info, Code: "OUTLIER",
		Message: "in layer 6 the change of q is 1.02e+03 times larger than the median of its 7 layers",
		Hint:    "check the scale of this layer (alpha_pattern, rank_pattern) and whether the tensor comes from another adapter or checkpoint",
		Value:   0.6745 * 10, Limit: 3.5,
	}}
	for i := range report.Findings {
		report.Findings[i].Value = math.Round(report.Findings[i].Value*1e9) / 1e9
	}
	if !slices.Equal(report.Findings, want) {
		t.Errorf("findings\n got %+v\nwant %+v", report.Findings, want)
	}
}

func TestFindings(t *testing.T) {
	even := []float64{1, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98, 1.08}
	planted := func(at int, factor float64) []float64 {
		out := slices.Clone(even)
		out[at] *= factor
		return out
	}
	tests := []struct {
		name    string
		targets []diagtest.Target
		codes   []string
		worst   abi.Severity
		says    string
	}{
		{"even", column("q", even...), nil, 0, ""},
		{"one layer ten times larger", column("q", planted(3, 10)...), []string{"OUTLIER " + name(3, "q")}, diag.Warn, "times larger"},
		{"one layer ten times smaller", column("q", planted(3, 0.1)...), []string{"OUTLIER " + name(3, "q")}, diag.Warn, "times smaller"},
		{"four layers", column("q", 1, 2, 3, 400), []string{"OUTLIER_UNDEFINED"}, diag.Info, "fewer than 5 layers change q"},
		{"half of the layers alike", column("q", 1, 1, 1, 2, 3), []string{"OUTLIER_UNDEFINED"}, diag.Info, "at least half of the layers change q"},
		{"alike but for rounding", column("q", 1, 1+1e-15, 1-1e-15, 1, 3), []string{"OUTLIER_UNDEFINED"}, diag.Info, "by exactly as much"},
		{"a zero delta has no size", column("q", 0, 1, 1.1, 1.2, 1.3), []string{"OUTLIER_UNDEFINED"}, diag.Info, "fewer than 5"},
		{"weights outside layers", []diagtest.Target{sized("lm_head.weight", 1), sized("embed.weight", 1000)}, nil, 0, ""},
		{"nothing adapted", nil, nil, 0, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report := run(t, kernels, test.targets...)
			if codes := report.Codes(); !slices.Equal(codes, test.codes) {
				t.Fatalf("findings are %q, want %q", codes, test.codes)
			}
			if len(test.codes) > 0 {
				f := report.Findings[0]
				if f.Severity != test.worst || !strings.Contains(f.Message, test.says) || f.Hint == "" {
					t.Errorf("finding is %+v, want severity %d and %q", f, test.worst, test.says)
				}
			}
		})
	}
}

// A layer whose W is larger by as much as its delta is no outlier where the base is granted, and one where it is not.
func TestRelativeToTheBase(t *testing.T) {
	targets := column("q", 1, 1.1, 0.9, 1.05, 0.95, 20)
	for i := range targets {
		targets[i].Base = diagtest.Rows([]float64{1, 0}, []float64{0, 1})
	}
	targets[5].Base = diagtest.Rows([]float64{20, 0}, []float64{0, 20})
	if codes := run(t, nil, targets...).Codes(); len(codes) > 0 {
		t.Errorf("relative to the base the findings are %q", codes)
	}
	if codes := run(t, kernels, targets...).Codes(); !slices.Equal(codes, []string{"OUTLIER " + name(5, "q")}) {
		t.Errorf("without the base the findings are %q", codes)
	}
	// One W that is not finite makes all sizes absolute.
	targets[0].Base = diagtest.Rows([]float64{math.NaN(), 0}, []float64{0, 1})
	if codes := run(t, nil, targets...).Codes(); !slices.Equal(codes, []string{"OUTLIER " + name(5, "q")}) {
		t.Errorf("with a broken base the findings are %q", codes)
	}
}

// What leaves every delta W as it is, or scales all of them alike, leaves every z.
func TestInvariance(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	normals := func(values []float64) {
		for i := range values {
			values[i] = rng.NormFloat64()
		}
	}
	adapter := diagtest.Adapter{Params: params}
	for i := range 7 {
		adapter.Targets = append(adapter.Targets, diagtest.Target{
			Name: name(i, "q"), Scale: 1, A: diagtest.Filled(2, 5, normals), B: diagtest.Filled(4, 2, normals), Base: diagtest.Filled(4, 5, normals),
		})
	}
	diagtest.Invariant(t, adapter, Diagnose, diagtest.Comparison{Relative: 1e-9, Absolute: 1e-9}, append(diagtest.SameChange(),
		diagtest.Rescale(70), diagtest.Rescale(-1))...)
}

// extreme is the largest modified z of a sample.
func extreme(values []float64) float64 {
	median, mad := robust.Center(values)
	var z float64
	for _, v := range values {
		z = max(z, robust.Consistency*math.Abs(v-median)/mad)
	}
	return z
}

// The limits for a warning are what they claim: of normal samples one in a thousand has a value beyond.
func TestRareZ(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const samples = 40_000
	for _, n := range []int{6, 12, 32} {
		beyond := 0
		values := make([]float64, n)
		for range samples {
			for i := range values {
				values[i] = rng.NormFloat64()
			}
			if extreme(values) > rareZ(n) {
				beyond++
			}
		}
		// A binomial of mean 40 has a standard deviation of 6.3.
		if beyond < 15 || beyond > 65 {
			t.Errorf("of %d samples of %d, %d are beyond %g, want about %d", samples, n, beyond, rareZ(n), samples/1000)
		}
	}
	if !math.IsInf(rareZ(4), 1) || rareZ(7) != rareZ(6) || rareZ(1000) != 5 {
		t.Error("outside the table the limits are not those of the nearest smaller sample")
	}
}
