package figure

import (
	"fmt"

	"github.com/tenon-ml/tenon/host/report"
)

// FromReport draws everything a report has numbers for, the most telling first. most bounds the panels of figures with one panel for each
// weight, whose layers are then thinned evenly; 0 draws all.
func FromReport(r *report.Report, most int) []Figure {
	r = report.Own(r)
	var figures []Figure
	add := func(f Figure, ok bool) {
		if ok {
			figures = append(figures, f)
		}
	}
	add(layerFigure(Figure{ID: "size", Title: "How large is the change?",
		Caption: "The size of the change beside the size of the weight it changes, ‖ΔW‖/‖W‖, layer by layer. " +
			"At 1 the change is as large as the weight. A layer that stands out from its neighbours deserves a look."},
		r, "", Lines{YLabel: "‖ΔW‖ / ‖W‖", LogY: true}, []measure{{metric: "norm_ratio", name: "this adapter"}}))
	add(layerFigure(Figure{ID: "amplification", Title: "Does it amplify directions of the base?",
		Caption: "The amplification factor of the LoRA paper, ‖ΔW‖/‖UᵀWV‖: how much stronger the change is than what the base already " +
			"does along the same directions. Broken line: what random directions of the same number give. Where the two lie together, the " +
			"factor says how large the change is and nothing about which directions it picked; below the broken line, the change " +
			"follows directions the base uses."},
		r, "", Lines{YLabel: "amplification", LogY: true},
		[]measure{{metric: "amplification", name: "this adapter"}, {metric: "amplification_random", name: "random directions", null: true}}))
	add(spectra(r))
	for _, f := range phiLayers(r) {
		add(f, true)
	}
	phi := phiFigures(r, most)
	for _, detail := range []bool{false, true} {
		for _, f := range phi {
			add(f, f.Detail == detail)
		}
	}
	return append(figures, mergeLoss(r)...)
}

// phiLayers draws φ at (1, 1) and at full ranks against the layer, one figure for each adapter compared with.
func phiLayers(r *report.Report) []Figure {
	labels := report.PeerLabels(r.Peers)
	var figures []Figure
	for n, peer := range r.Peers {
		f, ok := layerFigure(Figure{ID: fmt.Sprintf("overlap-%d", n+1), Title: "How much is shared with " + labels[peer.Digest] + "?",
			Caption: "φ of the two adapters' changes, layer by layer: of the strongest direction of each (1, 1), and of all directions. " +
				"1 means that one lies inside the other. Broken and dotted line: what random directions give."},
			r, peer.Digest, Lines{YLabel: "overlap φ", Unit: true}, []measure{{metric: "phi_delta_11", name: "strongest direction"},
				{metric: "phi_delta_full", name: "all directions"}, {metric: "phi_delta_full_null", name: "all, by chance", null: true},
				{metric: "phi_delta_11_null", name: "strongest, by chance", null: true}})
		if ok {
			figures = append(figures, f)
		}
	}
	return figures
}

// ForPage draws the figures of a report as a page holds them: every panel on its own, so that a narrow page can set them below each other.
func ForPage(r *report.Report) []report.Figure {
	const most, peers = 48, 3
	var page []report.Figure
	kept := *r
	kept.Peers = r.Peers[:min(len(r.Peers), peers)]
	for _, f := range FromReport(&kept, most) {
		out := report.Figure{ID: f.ID, Title: f.Title, Caption: f.Caption, Folded: f.Detail}
		for _, p := range f.Panels {
			out.Panels = append(out.Panels, report.Panel{Title: p.Title, SVG: p.SVG(), Folded: p.Detail})
		}
		page = append(page, out)
	}
	return page
}
