package similarity

import (
	"math"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/reference"
)

const peerName = "sha256:peer"

// What core_svd, numpy's SVD and projection_metric of ref_diag.py give for the inputs of golden_diag.json.
var (
	goldenAngles       = []float64{0.8330701464843991, 0.6384299538244715, 0.44302783847711646}
	goldenAnglesLeft   = []float64{0.6980320619848723, 0.3031398989467737, 0.21855618429001317}
	goldenDistance     = 1.3046561460516868
	goldenDistanceLeft = 1.5404838968377041
)

func TestReferencePhi(t *testing.T) {
	golden := reference.ReadDiagnostics(t)
	report := run(t, nil, golden.Own(), golden.Theirs())
	for mode, want := range map[string][][]float64{"phi_a": golden.PhiA, "phi_delta": golden.PhiRight, "phi_delta_left": golden.PhiLeft} {
		grid, ok := report.Grid("w", peerName, mode)
		if !ok || grid.Rows != len(want) || grid.Cols != len(want[0]) {
			t.Fatalf("%s is %d x %d, %t", mode, grid.Rows, grid.Cols, ok)
		}
		for i, row := range want {
			for j, value := range row {
				if !(math.Abs(grid.At(i, j)-value) <= 1e-9*math.Abs(value)) {
					t.Errorf("%s(%d, %d) is %.17g, want %.17g", mode, i+1, j+1, grid.At(i, j), value)
				}
			}
		}
		wantMetric(t, report, mode+"_11", want[0][0])
		wantMetric(t, report, mode+"_full", want[len(want)-1][len(want[0])-1])
	}
	wantMetric(t, report, "cosine", golden.Cosine)
	for name, want := range map[string][]float64{"angles": goldenAngles, "angles_left": goldenAnglesLeft} {
		grid, ok := report.Grid("w", peerName, name)
		if !ok || !slices.EqualFunc(grid.Values, want, func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*b }) {
			t.Errorf("%s is %v, want %v", name, grid.Values, want)
		}
	}
	wantMetric(t, report, "projection_distance", goldenDistance)
	wantMetric(t, report, "projection_distance_left", goldenDistanceLeft)
}

// The adapters agree in one direction of three and have others of their own, so every φ can be told by hand.
func TestByHand(t *testing.T) {
	own := diagtest.Target{
		Name: "w", Scale: 1,
		A: diagtest.Rows([]float64{1, 0, 0, 0}, []float64{0, 2, 0, 0}),
		B: diagtest.Rows([]float64{3, 0}, []float64{0, 1}, []float64{0, 0}),
	}
	theirs := diagtest.Target{
		Name: "w", Scale: -2,
		A: diagtest.Rows([]float64{0, 0, 1, 0}, []float64{1, 0, 0, 0}),
		B: diagtest.Rows([]float64{1, 0}, []float64{0, 2}, []float64{0, 0}),
	}
	report := run(t, nil, own, theirs)
	// Own: s = 3 (e1 e1'), 2 (e2 e2'). Theirs: s = 4 (e2 e1'), 2 (e1 e3'). A alone: own e2 (2), e1 (1); theirs a tie of e3 and e1.
	right, _ := report.Grid("w", peerName, "phi_delta")
	left, _ := report.Grid("w", peerName, "phi_delta_left")
	if want := []float64{1, 1, 1, .5}; !near(right.Values, want) {
		t.Errorf("phi_delta is %v, want %v", right.Values, want)
	}
	if want := []float64{0, 1, 1, 1}; !near(left.Values, want) {
		t.Errorf("phi_delta_left is %v, want %v", left.Values, want)
	}
	wantMetric(t, report, "phi_a_full", .5)
	wantMetric(t, report, "phi_delta_11_null", 1./4)
	wantMetric(t, report, "phi_delta_full_null", 2./4)
	wantMetric(t, report, "phi_delta_left_full_null", 2./3)
	wantMetric(t, report, "cosine", 0)
	sd := math.Sqrt(2. * 3 * 3 / (16 * 3 * 6))
	wantMetric(t, report, "phi_delta_11_z", (1-.25)/sd)
	wantMetric(t, report, "projection_distance", 1)
	wantMetric(t, report, "projection_distance_left", 0)
	for name, want := range map[string]struct {
		peer   string
		values []float64
	}{"gap": {"", []float64{1. / 3, 2. / 3}}, "gap_with": {peerName, []float64{.5, .5}},
		"gap_a": {"", []float64{.5, .5}}, "gap_a_with": {peerName, []float64{0, 1}},
		"grey": {"", []float64{0, 0}}, "grey_a": {"", []float64{0, 0}}, "grey_with": {peerName, []float64{0, 0}},
		"grey_a_with": {peerName, []float64{1, 0}}, "angles": {peerName, []float64{1, 0}}, "angles_left": {peerName, []float64{1, 1}}} {
		if grid, ok := report.Grid("w", want.peer, name); !ok || grid.Rows != 1 || !near(grid.Values, want.values) {
			t.Errorf("%s is %v, %t, want %v", name, grid, ok, want.values)
		}
	}
	if len(report.Findings) > 0 {
		t.Errorf("findings are %q", report.Codes())
	}
}

func TestGridsEndAtTheirRank(t *testing.T) {
	own := diagtest.Target{
		Name: "w", Scale: 1,
		A: diagtest.Rows([]float64{1, 0, 0}, []float64{0, 2, 0}), B: diagtest.Rows([]float64{3, 0}, []float64{0, 1}),
	}
	report := run(t, map[string]float64{"grid_rank": 1}, own, own)
	for _, name := range []string{"phi_a", "phi_delta", "phi_delta_left", "phi_gaussian", "gap_with", "grey_with"} {
		if grid, ok := report.Grid("w", peerName, name); !ok || grid.Rows != 1 || grid.Cols != 1 {
			t.Errorf("%s is %v, %t, want one entry", name, grid, ok)
		}
	}
	wantMetric(t, report, "phi_delta_full", 1)
	if _, ok := report.Metric("w", peerName, "phi_delta_left_full_z"); ok {
		t.Error("a subspace that is the whole space has a z")
	}
	if angles, ok := report.Grid("w", peerName, "angles"); !ok || !near(angles.Values, []float64{1, 1}) {
		t.Errorf("angles are %v, %t, want those of full ranks", angles, ok)
	}
	wantMetric(t, report, "cosine", 1)
}

func TestSingularCases(t *testing.T) {
	full := diagtest.Target{
		Name: "w", Scale: 1, A: diagtest.Rows([]float64{1, 0, 0}, []float64{0, 2, 0}),
		B: diagtest.Rows([]float64{3, 0}, []float64{0, 1}, []float64{0, 0}),
	}
	atInit, broken, dependent, elsewhere := full, full, full, full
	atInit.B = diagtest.Zeros(3, 2)
	broken.B = diagtest.Rows([]float64{math.NaN(), 0}, []float64{0, 1}, []float64{0, 0})
	dependent.A = diagtest.Rows([]float64{1, 0, 0}, []float64{2, 0, 0})
	elsewhere.Name = "v"
	gridsOfA := []string{"gap_a", "grey_a"}
	gridsOfOwn := []string{"gap_a", "grey_a", "gap", "grey"}
	tests := []struct {
		name        string
		own, theirs diagtest.Target
		grids       []string
		codes       []string
	}{
		{"own B zero", atInit, full, append(gridsOfA, "gap_a_with", "grey_a_with", "gap_with", "grey_with", "phi_a"),
			[]string{"SIMILARITY_UNDEFINED"}},
		{"their B zero", full, atInit, append(gridsOfOwn, "gap_a_with", "grey_a_with", "phi_a"), []string{"SIMILARITY_UNDEFINED"}},
		{"own factor broken", broken, full, nil, []string{"SIMILARITY_UNDEFINED w"}},
		{"their factor broken", full, broken, gridsOfOwn, []string{"SIMILARITY_UNDEFINED"}},
		{"dependent rows of A", dependent, full,
			append(gridsOfOwn, "gap_a_with", "grey_a_with", "gap_with", "grey_with", "phi_a", "phi_delta", "phi_delta_left", "angles",
				"angles_left"), nil},
		{"nothing in common", full, elsewhere, nil, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report := run(t, map[string]float64{"gaussian": 0}, test.own, test.theirs)
			var grids []string
			for _, grid := range report.Grids {
				grids = append(grids, grid.Name)
			}
			if !slices.Equal(grids, test.grids) {
				t.Errorf("grids are %q, want %q", grids, test.grids)
			}
			if codes := report.Codes(); !slices.Equal(codes, test.codes) {
				t.Errorf("findings are %q, want %q", codes, test.codes)
			}
			if grid, ok := report.Grid("w", peerName, "phi_a"); ok && test.name == "dependent rows of A" && grid.Rows != 1 {
				t.Errorf("phi_a has %d rows, want the numerical rank 1", grid.Rows)
			}
		})
	}
}

func TestNoPeers(t *testing.T) {
	report := diagtest.Run(t, diagtest.Adapter{Targets: []diagtest.Target{{
		Name: "w", Scale: 1, A: diagtest.Zeros(1, 2), B: diagtest.Zeros(2, 1)}}}, Diagnose)
	if report.Err != nil || len(report.Metrics)+len(report.Grids)+len(report.Findings) > 0 {
		t.Errorf("without peers: %+v", report)
	}
}

// run runs the diagnostic with its default parameters, changed as given, on adapters of one weight.
func run(t *testing.T, params map[string]float64, own, theirs diagtest.Target) *diagtest.Report {
	t.Helper()
	return diagtest.MustRun(t, configured(t, params, []diagtest.Target{own}, []diagtest.Target{theirs}), Diagnose)
}

// configured is an adapter and its peer as the manifest runs them, but for the parameters given.
func configured(t *testing.T, params map[string]float64, own, theirs []diagtest.Target) diagtest.Adapter {
	t.Helper()
	return diagtest.Configured(t, "similarity.json", diagtest.Adapter{
		Targets: own, Peers: []diagtest.Peer{{Name: peerName, Targets: theirs}}, Params: params,
	})
}

func wantMetric(t *testing.T, report *diagtest.Report, name string, want float64) {
	t.Helper()
	if got, ok := report.Metric("w", peerName, name); !ok || !(math.Abs(got-want) <= max(1e-9*math.Abs(want), 1e-12)) {
		t.Errorf("%s is %.17g, %t, want %.17g", name, got, ok, want)
	}
}

func near(got, want []float64) bool {
	return slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a-b) < 1e-12 })
}
