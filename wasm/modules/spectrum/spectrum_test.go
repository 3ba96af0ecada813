package spectrum

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/reference"
)

func TestReferenceSpectrum(t *testing.T) {
	golden := reference.ReadDiagnostics(t)
	wantMetrics(t, run(t, golden.Own()), map[string]float64{
		"sigma_1": golden.Spectrum["sigma1"], "effective_rank": golden.Spectrum["erank_roy"],
		"effective_rank_energy": golden.Spectrum["erank_energy"], "stable_rank": golden.Spectrum["stable_rank"],
		"participation_ratio": golden.Spectrum["participation"], "energy_rank_90": golden.Spectrum["rank@0.9"],
		"energy_rank_99": golden.Spectrum["rank@0.99"], "concentration": golden.Spectrum["conc_energy"],
		"concentration_l1": golden.Spectrum["conc_l1"], "entropy_l1": golden.Spectrum["entropy_l1"],
		"frobenius_norm": golden.Spectrum["fro"], "nuclear_norm": golden.Spectrum["nuclear"],
		"dominance": golden.Singular[0] / golden.Singular[1],
	})
}

// diagonal is a target whose singular values are scale times those given.
func diagonal(name string, scale float64, singular ...float64) diagtest.Target {
	n := len(singular)
	a, b := diagtest.Zeros(n, n), diagtest.Zeros(n, n)
	for i, s := range singular {
		a.Values[i*n+i], b.Values[i*n+i] = s, 1
	}
	return diagtest.Target{Name: name, A: a, B: b, Scale: scale}
}

func TestByHand(t *testing.T) {
	// Singular values 4 and 2, so shares 2/3 and 1/3 of the length, 4/5 and 1/5 of the energy.
	uneven := map[string]float64{
		"sigma_1": 4, "effective_rank": 3 / math.Cbrt(4), "effective_rank_energy": 5 / math.Pow(4, 0.8), "stable_rank": 1.25,
		"participation_ratio": 25. / 17, "energy_rank_90": 2, "energy_rank_99": 2, "concentration": 0.8,
		"frobenius_norm": math.Sqrt(20), "nuclear_norm": 6, "entropy_l1": math.Log(3 / math.Cbrt(4)), "concentration_l1": 2. / 3, "dominance": 2,
	}
	equal := map[string]float64{
		"sigma_1": 3, "effective_rank": 3, "effective_rank_energy": 3, "stable_rank": 3, "participation_ratio": 3,
		"energy_rank_90": 3, "energy_rank_99": 3, "concentration": 1. / 3,
		"frobenius_norm": math.Sqrt(27), "nuclear_norm": 9, "entropy_l1": math.Log(3), "concentration_l1": 1. / 3, "dominance": 1,
	}
	one := map[string]float64{
		"sigma_1": 2, "effective_rank": 1, "effective_rank_energy": 1, "stable_rank": 1, "participation_ratio": 1,
		"energy_rank_90": 1, "energy_rank_99": 1, "concentration": 1,
		"frobenius_norm": 2, "nuclear_norm": 2, "entropy_l1": 0, "concentration_l1": 1, // no second direction, so no dominance
	}
	huge, tiny := maps.Clone(uneven), maps.Clone(uneven)
	for _, name := range []string{"sigma_1", "frobenius_norm", "nuclear_norm"} {
		huge[name], tiny[name] = 1e200*uneven[name], 1e-200*uneven[name]
	}
	nan := diagonal("w", 1, 1, 1)
	nan.A.Values[3] = math.NaN()
	tests := []struct {
		name    string
		target  diagtest.Target
		metrics map[string]float64
		codes   []string
	}{
		{"4 and 2", diagonal("w", 2, 2, 1), uneven, nil},
		{"three alike", diagonal("w", 1, 3, 3, 3), equal, nil},
		{"rank one", diagonal("w", 1, 2), one, nil},
		{"squares beyond a float", diagonal("w", 2e200, 2, 1), huge, nil},
		{"squares below a float", diagonal("w", 2e-200, 2, 1), tiny, nil},
		{"one of two directions", diagonal("w", 1, 2, 0), one, []string{"RANK_TO_SPARE"}},
		{"delta zero", diagonal("w", 1, 0, 0), nil, []string{"SPECTRUM_UNDEFINED w"}},
		{"scale zero", diagonal("w", 0, 1, 1), nil, []string{"SPECTRUM_UNDEFINED w"}},
		{"factor not finite", nan, nil, []string{"SPECTRUM_UNDEFINED w"}},
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
}

func TestRankToSpare(t *testing.T) {
	nan := diagonal("c", 1, 1, 1)
	nan.A.Values[0] = math.Inf(1)
	hint := func(rank, all, worst string) string {
		return "`tenon compress --rank " + rank + "` keeps " + all + " % of the energy of all weights together and at least " + worst +
			" % of each; then compare the outputs, because energy is not quality"
	}
	tests := []struct {
		name          string
		targets       []diagtest.Target
		message, hint string // empty: no hint
		share         float64
	}{
		{"half of one rank", []diagtest.Target{diagonal("a", 1, 5, 4, 0, 0), diagonal("b", 1, 5, .1, .1, .1)},
			"rank 4, of which at most 2 carry 99 % of the energy of every weight", hint("2", "99.96", "99.92"), 0.5},
		{"one direction", []diagtest.Target{diagonal("a", 1, 5, .1, .1, .1)},
			"rank 4, of which at most 1 carries 99 % of the energy of every weight", hint("1", "99.88", "99.88"), 0.25},
		{"one of sixteen", []diagtest.Target{diagonal("a", 1, append([]float64{5}, make([]float64, 15)...)...)},
			"rank 16, of which at most 1 carries 99 % of the energy of every weight", hint("1", "100", "100"), 1. / 16},
		{"one of fifteen", []diagtest.Target{diagonal("a", 1, append([]float64{5}, make([]float64, 14)...)...)},
			"rank 15, of which at most 1 carries 99 % of the energy of every weight", hint("1", "100", "100"), 1. / 15},
		{"ranks that differ", []diagtest.Target{diagonal("a", 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0), diagonal("b", 1, 5, .1)},
			"ranks 2 to 10, of which at most half carries 99 % of the energy of every weight", hint("3", "100", "100"), 0.5},
		{"a weight that does not change", []diagtest.Target{diagonal("a", 1, 0, 0), diagonal("b", 1, 5, .1)},
			"rank 2, of which at most 1 carries 99 % of the energy of every weight", hint("1", "99.96", "99.96"), 0.5},
		{"one weight needs more", []diagtest.Target{diagonal("a", 1, 5, 4, 0, 0), diagonal("b", 1, 5, 4, 3, 0)}, "", "", 0},
		{"rank one has nothing to spare", []diagtest.Target{diagonal("a", 1, 5)}, "", "", 0},
		{"a weight without singular values", []diagtest.Target{diagonal("a", 1, 5, 0), nan}, "", "", 0},
		{"nothing changes", []diagtest.Target{diagonal("a", 1, 0, 0)}, "", "", 0},
		{"no targets", nil, "", "", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []diagtest.Finding
			for _, finding := range run(t, test.targets...).Findings {
				if finding.Target == "" {
					got = append(got, finding)
				}
			}
			var want []diagtest.Finding
			if test.message != "" {
				severity := diag.Info
				if test.share <= 1./16 {
					severity = diag.Warn
				}
				want = []diagtest.Finding{{
					Severity: severity, Code: "RANK_TO_SPARE", Message: test.message, Hint: test.hint, Value: test.share, Limit: 0.5,
				}}
			}
			if !slices.Equal(got, want) {
				t.Errorf("findings about the adapter\n got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestGridOfSingularValues(t *testing.T) {
	report := run(t, diagonal("w", 2, 1, 3, 0))
	grid, ok := report.Grid("w", "", "singular_values")
	if want := []float64{6, 2}; !ok || grid.Rows != 1 || !slices.Equal(grid.Values, want) {
		t.Errorf("the grid is %+v, %t, want %v", grid, ok, want)
	}
}

func run(t *testing.T, targets ...diagtest.Target) *diagtest.Report {
	t.Helper()
	return diagtest.MustRun(t, diagtest.Configured(t, "spectrum.json", diagtest.Adapter{Targets: targets}), Diagnose)
}

// wantMetrics wants exactly these metrics of w, to 1e-9.
func wantMetrics(t *testing.T, report *diagtest.Report, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		got, ok := report.Metric("w", "", name)
		if !ok || !(math.Abs(got-value) <= 1e-9*math.Abs(value)) {
			t.Errorf("%s is %.17g, %t, want %.17g", name, got, ok, value)
		}
	}
	if len(report.Metrics) != len(want) {
		t.Errorf("metrics are %v, want %v", report.Metrics, want)
	}
}
