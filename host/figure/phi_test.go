package figure

import (
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/report"
)

// Cells are grey where the module that reports φ says so, whatever the gaps are, and a caption tells of grey only where there is some.
func TestGrey(t *testing.T) {
	const with, target = "sha256:p", "layers.0.q_proj.weight"
	row := func(module, name, with string, values ...report.Number) report.Grid {
		return report.Grid{Module: module, Target: target, Name: name, With: with, Rows: 1, Cols: len(values), Values: [][]report.Number{values}}
	}
	square := func(module, name, with string) report.Grid {
		return report.Grid{Module: module, Target: target, Name: name, With: with, Rows: 2, Cols: 2, Values: [][]report.Number{{1, 1}, {1, 1}}}
	}
	for name, c := range map[string]struct {
		grids []report.Grid
		want  []bool
	}{
		"rows and columns": {[]report.Grid{square("similarity", "phi_delta", with), row("similarity", "grey", "", 0, 1), row("similarity", "grey_with", with, 1, 0)},
			[]bool{true, false, true, true}},
		"left": {[]report.Grid{square("similarity", "phi_delta_left", with), row("similarity", "grey", "", 1, 0), row("similarity", "grey_with", with, 0, 0)},
			[]bool{true, true, false, false}},
		"A": {[]report.Grid{square("similarity", "phi_a", with), row("similarity", "grey", "", 1, 1), row("similarity", "grey_a", "", 0, 0),
			row("similarity", "grey_a_with", with, 0, 1)}, []bool{false, true, false, true}},
		"base": {[]report.Grid{square("base-overlap", "phi_base", ""), row("similarity", "grey", "", 1, 1), row("base-overlap", "grey", "", 0, 1)},
			[]bool{false, true, false, true}},
		"gaps alone": {[]report.Grid{square("similarity", "phi_delta", with), row("similarity", "gap", "", 0, 0.001), row("similarity", "gap_with", with, 0, 0)},
			[]bool{false, false, false, false}},
		"exact factors": {[]report.Grid{square("similarity", "phi_delta", with), row("similarity", "gap", "", 0.001, 0.001), row("similarity", "grey", "", 0, 0)},
			[]bool{false, false, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			figures := phiFigures(&report.Report{Peers: []report.Peer{{Ref: "peer", Digest: with}}, Grids: c.grids}, 0)
			if len(figures) != 1 || len(figures[0].Panels) != 1 {
				t.Fatalf("%d figures", len(figures))
			}
			if got := figures[0].Panels[0].Plot.(Heatmap).Unknown; !slices.Equal(got, c.want) {
				t.Errorf("grey %v, want %v", got, c.want)
			}
			if told := strings.Contains(figures[0].Caption, "Grey"); told != slices.Contains(c.want, true) {
				t.Errorf("the caption: %s", figures[0].Caption)
			}
		})
	}
}

// A caption says no more than the numbers do.
func TestCaptions(t *testing.T) {
	r := &report.Report{Grids: []report.Grid{{Target: "w", Name: "singular_values", Rows: 1, Cols: 1, Values: [][]report.Number{{1}}},
		{Target: "w", Name: "phi_a", With: "sha256:p", Rows: 1, Cols: 1, Values: [][]report.Number{{1}}}},
		Peers: []report.Peer{{Ref: "peer", Digest: "sha256:p"}}}
	want := map[string]string{"spectra": "a smaller rank would hold nearly all of the change", "phi-a-1": "if they started from the same random numbers"}
	for _, f := range FromReport(r, 0) {
		if part, ok := want[f.ID]; !ok || !strings.Contains(f.Caption, part) {
			t.Errorf("%s: %s", f.ID, f.Caption)
		}
		delete(want, f.ID)
	}
	if len(want) > 0 {
		t.Errorf("no figures %v", want)
	}
}
