package figure

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/report"
)

// spectra draws the singular values of ΔW against their number, one panel for each kind of weight and a line for each of a few layers.
func spectra(r *report.Report) (Figure, bool) {
	f := Figure{ID: "spectra", Title: "Over how many directions is the change spread?",
		Caption: "The singular values of ΔW, largest first, on a logarithmic scale. A line that falls steeply means that few " +
			"directions do the work and a smaller rank would hold nearly all of the change; a line that stays level uses all of its rank."}
	grids := map[string]report.Grid{}
	var targets []string
	for _, g := range r.Grids {
		if g.Name == "singular_values" && g.With == "" && g.Rows == 1 && wellFormed(g) {
			grids[g.Target] = g
			targets = append(targets, g.Target)
		}
	}
	all, kinds := places(targets)
	labels := report.KindLabels(kinds)
	const layers = 4
	for i, kind := range kinds {
		plot := Lines{XLabel: "direction", YLabel: "singular value", LogY: true}
		for _, p := range thin(slices.DeleteFunc(slices.Clone(all), func(p place) bool { return p.kind != kind }), layers) {
			s := Series{Name: "ΔW", Y: flat(grids[p.target])}
			if p.layer >= 0 {
				s.Name = fmt.Sprintf("layer %d", p.layer)
			}
			for n := range s.Y {
				s.X = append(s.X, float64(n+1))
			}
			plot.Series = append(plot.Series, s)
		}
		f.Panels = append(f.Panels, Panel{Title: labels[i], Plot: plot})
	}
	share(f.Panels)
	return f, len(f.Panels) > 0
}

// mergeLoss draws how much of ΔW survives rounding, in the base's own dtype and in formats the merged weight might be stored in.
func mergeLoss(r *report.Report) []Figure {
	measures := []measure{{metric: "merge_gain", name: "as it will be stored"}}
	for _, format := range report.GainFormats(r.Metrics) {
		measures = append(measures, measure{metric: "merge_gain_" + format, name: "if stored as " + strings.ToUpper(report.Escape(format))})
	}
	f, ok := layerFigure(Figure{ID: "merge-loss", Title: "How much of the change survives the merge?",
		Caption: "Gain: how much of ΔW is still there once W + ΔW is rounded to what the merged weight is stored in. " +
			"At 1 all of it arrives; near 0 the merged model is the base again, and the adapter should be served unmerged or merged into a wider format."},
		r, "", Lines{YLabel: "gain", Unit: true}, measures)
	if !ok {
		return nil
	}
	return []Figure{f}
}
