package figure

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/report"
)

// phiKind is a grid of φ and how it is told about.
type phiKind struct {
	grid, id, title, caption string
	grey, greyWith           string // grids of where the cuts of rows and of columns are noise, or ""
	rows                     string // grid of the numbers of the rows, or "" where they count from 1
	random                   string // grid of the same φ with random directions, or ""
	detail                   bool
}

const phiReading = " A cell (i, j) says what share of the smaller of two subspaces lies inside the larger one, when the first i " +
	"directions of one are held against the first j of the other: 0 none, 1 all of it. Cells with a dot are no more than random " +
	"directions give (up to three standard deviations above their mean), and a line parts them from the rest."

// greyReading is told of figures with a grey cell only.
const greyReading = " Grey: the factors are not stored precisely enough to say where that direction ends and the next begins."

var phiKinds = []phiKind{
	{grid: "phi_delta", id: "phi-delta", grey: "grey", greyWith: "grey_with", title: "Shared input directions of ΔW, with %s",
		caption: "Do both adapters react to the same inputs? φ of the right singular vectors of ΔW; " +
			"i counts this adapter's directions, j the other's."},
	{grid: "phi_delta_left", id: "phi-delta-left", grey: "grey", greyWith: "grey_with", detail: true, title: "Shared output directions of ΔW, with %s",
		caption: "Do both adapters write to the same outputs? φ of the left singular vectors of ΔW; " +
			"i counts this adapter's directions, j the other's."},
	{grid: "phi_a", id: "phi-a", grey: "grey_a", greyWith: "grey_a_with", random: "phi_gaussian", detail: true,
		title: "Shared directions of A alone, with %s",
		caption: "The figure of the LoRA paper, of factor A alone. " +
			"It also counts what both adapters share if they started from the same random numbers."},
	{grid: "phi_base", id: "phi-base", greyWith: "grey", rows: "phi_base_rows", random: "phi_base_random",
		title:   "ΔW against the base's own directions: inputs",
		caption: "Does the change stay inside what the base already does strongly? φ of the right singular vectors of W (i) and of ΔW (j)."},
	{grid: "phi_base_left", id: "phi-base-left", greyWith: "grey", rows: "phi_base_rows", detail: true,
		title:   "ΔW against the base's own directions: outputs",
		caption: "φ of the left singular vectors of W (i) and of ΔW (j)."},
}

// phiFigures draws one figure for each kind of φ and each adapter compared with, a panel for each weight. most bounds the panels of a
// figure: the layers of each kind of weight are then thinned evenly, in details to half as many; 0 draws all.
func phiFigures(r *report.Report, most int) []Figure {
	labels := report.PeerLabels(r.Peers)
	var withs []string
	for _, p := range r.Peers {
		withs = append(withs, p.Digest)
	}
	var figures []Figure
	for _, kind := range phiKinds {
		for n, with := range append([]string{""}, withs...) {
			f := Figure{ID: kind.id, Title: kind.title, Caption: kind.caption + phiReading, Detail: kind.detail}
			if with != "" {
				f.Title = strings.Replace(f.Title, "%s", labels[with], 1)
				f.ID = fmt.Sprintf("%s-%d", kind.id, n)
			}
			if kind.detail {
				f.phiPanels(r, kind, with, most/2)
			} else {
				f.phiPanels(r, kind, with, most)
			}
			if slices.ContainsFunc(f.Panels, hasGrey) {
				f.Caption += greyReading
			}
			if len(f.Panels) > 0 {
				figures = append(figures, f)
			}
		}
	}
	return figures
}

// hasGrey reports whether a panel shows a grey cell.
func hasGrey(p Panel) bool {
	h, ok := p.Plot.(Heatmap)
	return ok && slices.Contains(h.Unknown, true)
}

// phiPanels adds the panels of one kind of φ with one adapter, or with the base where with is empty.
func (f *Figure) phiPanels(r *report.Report, kind phiKind, with string, most int) {
	grids := gridsOf(r, kind.grid, with)
	random := gridsOf(r, kind.random, with)
	var targets []string
	for _, g := range r.Grids {
		if _, ok := grids[g.Target]; ok {
			targets = append(targets, g.Target)
		}
	}
	all, kinds := places(targets)
	names := report.KindLabels(kinds)
	perKind := 0
	for i, name := range kinds {
		of := slices.DeleteFunc(slices.Clone(all), func(p place) bool { return p.kind != name })
		perKind = max(perKind, len(of))
		if most > 0 {
			of = thin(of, max(most/len(kinds), 1))
		}
		for n, p := range of {
			title := names[i]
			if p.layer >= 0 {
				title += fmt.Sprintf(", layer %d", p.layer)
			}
			detail := n != len(of)/2
			f.Panels = append(f.Panels, Panel{Title: title, Plot: phiPlot(r, kind, grids[p.target]), Detail: detail})
			if g, ok := random[p.target]; ok {
				plot := phiPlot(r, phiKind{grid: kind.grid, rows: kind.rows}, g)
				plot.XLabel = "j, random directions"
				f.Panels = append(f.Panels, Panel{Title: title + ": random directions instead", Plot: plot, Detail: detail})
			}
		}
	}
	shareTop(f.Panels)
	if most == 0 && perKind <= 8 && len(random) == 0 {
		f.Columns = perKind
	}
}

// gridsOf are the grids of a name with one adapter, by target.
func gridsOf(r *report.Report, name, with string) map[string]report.Grid {
	grids := map[string]report.Grid{}
	for _, g := range r.Grids {
		if name != "" && g.Name == name && g.With == with && wellFormed(g) {
			grids[g.Target] = g
		}
	}
	return grids
}

func phiPlot(r *report.Report, kind phiKind, g report.Grid) Heatmap {
	plot := NewPhi(rowNumbers(r, kind.rows, g), g.Cols, flat(g), dimension(r, kind.grid, g.Target, g.With),
		cuts(r, g.Module, kind.grey, g.Target, ""), cuts(r, g.Module, kind.greyWith, g.Target, greyOwner(kind, g.With)))
	plot.XLabel, plot.YLabel = "j, directions of the other", "i, of this adapter"
	if strings.HasPrefix(kind.grid, "phi_base") {
		plot.XLabel, plot.YLabel = "j, directions of ΔW", "i, directions of W"
	}
	return plot
}

// rowNumbers are the i of a grid's rows: those of another grid, or 1, 2, 3.
func rowNumbers(r *report.Report, name string, g report.Grid) []int {
	numbers := make([]int, g.Rows)
	given, ok := gridsOf(r, name, g.With)[g.Target]
	for i := range numbers {
		numbers[i] = i + 1
		if ok && i < given.Cols {
			numbers[i] = max(int(given.Values[0][i]), 1)
		}
	}
	return numbers
}

// greyOwner is the adapter under which the noise of the columns' cuts is reported: that of a peer under the peer.
func greyOwner(kind phiKind, with string) string {
	if strings.HasSuffix(kind.greyWith, "_with") {
		return with
	}
	return ""
}

// thin keeps n of the places, the first, the last, and evenly between.
func thin(all []place, n int) []place {
	if len(all) <= n {
		return all
	}
	if n == 1 {
		return all[len(all)/2 : len(all)/2+1]
	}
	kept := make([]place, n)
	for i := range n {
		kept[i] = all[i*(len(all)-1)/(n-1)]
	}
	return kept
}

// mostCells bounds the side of a grid that is drawn: nobody can read more, and a page would not stay small.
const mostCells = 512

// wellFormed reports whether a grid can be drawn, and its values are as many as it says: a report that was read from a file need not be.
func wellFormed(g report.Grid) bool {
	return g.Rows > 0 && g.Cols > 0 && g.Rows <= mostCells && g.Cols <= mostCells && len(g.Values) == g.Rows &&
		!slices.ContainsFunc(g.Values, func(row []report.Number) bool { return len(row) != g.Cols })
}

func flat(g report.Grid) []float64 {
	values := make([]float64, 0, g.Rows*g.Cols)
	for _, row := range g.Values {
		for _, v := range row {
			values = append(values, float64(v))
		}
	}
	return values
}

// dimension is the dimension of the space that φ was taken in, told by its mean over random directions, 1/d at (1, 1); 0 if not reported.
func dimension(r *report.Report, grid, target, with string) int {
	for _, m := range r.Metrics {
		if m.Name == grid+"_11_null" && m.Target == target && m.With == with && m.Value > 0 && m.Value <= 1 {
			return int(math.Round(1 / float64(m.Value)))
		}
	}
	return 0
}

// cuts tells for each direction whether the cut after it means something; nil where the module that reports φ says nothing of that. A
// module judges by the dtype of the stored factors, which a figure does not know.
func cuts(r *report.Report, module, grid, target, with string) []bool {
	if grid == "" {
		return nil
	}
	for _, g := range r.Grids {
		if g.Module != module || g.Name != grid || g.Target != target || g.With != with || !wellFormed(g) {
			continue
		}
		means := make([]bool, g.Cols)
		for i, grey := range g.Values[0] {
			means[i] = grey != 1
		}
		return means
	}
	return nil
}
