package figure

import (
	"cmp"
	"math"
	"slices"

	"github.com/tenon-ml/tenon/host/report"
)

// place is where a target stands: its kind and its layer.
type place struct {
	target, kind string
	layer        int
}

// places are the targets of a report that match, in the order of their kinds and layers. Kinds keep the order in which they come.
func places(targets []string) (all []place, kinds []string) {
	seen := map[string]bool{}
	order := map[string]int{}
	for _, target := range targets {
		if target == "" || seen[target] {
			continue
		}
		seen[target] = true
		p := place{target: target, kind: report.Kind(target), layer: report.Layer(target)}
		if _, ok := order[p.kind]; !ok {
			order[p.kind] = len(kinds)
			kinds = append(kinds, p.kind)
		}
		all = append(all, p)
	}
	slices.SortStableFunc(all, func(a, b place) int {
		return cmp.Or(cmp.Compare(order[a.kind], order[b.kind]), cmp.Compare(a.layer, b.layer), cmp.Compare(a.target, b.target))
	})
	return all, kinds
}

// byLayer is one metric of one kind of weight against the layer. Where a layer has several weights of a kind, such as the experts of a
// mixture, it is their median.
func byLayer(metrics []report.Metric, kind, with, name string) (layers, values []float64) {
	found := map[int][]float64{}
	for _, m := range metrics {
		if m.Name == name && m.With == with && m.Target != "" && report.Kind(m.Target) == kind && !math.IsNaN(float64(m.Value)) {
			layer := report.Layer(m.Target)
			found[layer] = append(found[layer], float64(m.Value))
		}
	}
	var order []int
	for layer := range found {
		order = append(order, layer)
	}
	slices.Sort(order)
	for _, layer := range order {
		slices.Sort(found[layer])
		n := len(found[layer])
		layers = append(layers, float64(layer))
		values = append(values, (found[layer][(n-1)/2]+found[layer][n/2])/2)
	}
	return layers, values
}

// measure is one line of a layer figure.
type measure struct {
	metric, name string
	null         bool
}

// layerFigure draws metrics against the layer, one panel for each kind of weight; ok is false where the report has none of them.
func layerFigure(f Figure, r *report.Report, with string, style Lines, measures []measure) (Figure, bool) {
	var targets []string
	for _, m := range r.Metrics {
		if m.With == with && slices.ContainsFunc(measures, func(s measure) bool { return s.metric == m.Name && !s.null }) {
			targets = append(targets, m.Target)
		}
	}
	_, kinds := places(targets)
	labels := report.KindLabels(kinds)
	for i, kind := range kinds {
		plot := style
		plot.XLabel, plot.Series = "layer", nil
		for _, m := range measures {
			if x, y := byLayer(r.Metrics, kind, with, m.metric); len(x) > 0 {
				plot.Series = append(plot.Series, Series{Name: m.name, X: x, Y: y, Null: m.null})
			}
		}
		if len(plot.Series) > 0 {
			f.Panels = append(f.Panels, Panel{Title: labels[i], Plot: plot})
		}
	}
	share(f.Panels)
	return f, len(f.Panels) > 0
}
