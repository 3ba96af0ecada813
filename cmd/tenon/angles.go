package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/tenon-ml/tenon/host/report"
)

// angleKind is the principal angles between two adapters, of all weights of one kind: the cosines, largest first, for each weight.
type angleKind struct {
	name            string
	inputs, outputs [][]float64
}

// printAngles writes how close the two adapters' spaces come, by kind of weight.
func printAngles(w io.Writer, r *report.Report) error {
	kinds := angleKinds(r.Grids)
	if len(kinds) == 0 {
		return nil
	}
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	fmt.Fprint(w, "\nPrincipal angles  median over the layers\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  weights\tn\tclosest inputs\twithin 45°\tclosest outputs\twithin 45°")
	for i, label := range report.KindLabels(names) {
		k := kinds[i]
		inputs, near := nearest45(k.inputs)
		outputs, nearOut := nearest45(k.outputs)
		fmt.Fprintf(table, "  %s\t%d\t%s\t%s\t%s\t%s\n", label, len(k.inputs), inputs, near, outputs, nearOut)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	writeWrapped(w, "  ", "the angle between the closest directions of the two, 0° where both have it, and how many of the smaller number of directions "+
		"lie within 45° of the other's", 80)
	return nil
}

// angleKinds gathers the grids of module similarity that hold cosines, in the order of the weights.
func angleKinds(grids []report.Grid) []*angleKind {
	var kinds []*angleKind
	for _, g := range grids {
		isAngles := g.Module == "similarity" && (g.Name == "angles" || g.Name == "angles_left")
		if !isAngles || len(g.Values) != 1 || len(g.Values[0]) == 0 {
			continue
		}
		name := report.Kind(g.Target)
		i := slices.IndexFunc(kinds, func(k *angleKind) bool { return k.name == name })
		if i < 0 {
			i = len(kinds)
			kinds = append(kinds, &angleKind{name: name})
		}
		cosines := make([]float64, len(g.Values[0]))
		for j, v := range g.Values[0] {
			cosines[j] = float64(v)
		}
		if g.Name == "angles" {
			kinds[i].inputs = append(kinds[i].inputs, cosines)
		} else {
			kinds[i].outputs = append(kinds[i].outputs, cosines)
		}
	}
	return kinds
}

// nearest45 is the smallest angle, and how many of all are below 45°, both the median over weights.
func nearest45(all [][]float64) (angle, near string) {
	if len(all) == 0 {
		return "-", "-"
	}
	var angles []float64
	var counts, totals []int
	for _, cosines := range all {
		angles = append(angles, math.Acos(min(cosines[0], 1))*180/math.Pi)
		count := 0
		for _, c := range cosines {
			if c >= math.Sqrt2/2 {
				count++
			}
		}
		counts, totals = append(counts, count), append(totals, len(cosines))
	}
	return strconv.FormatFloat(middle(angles), 'f', 0, 64) + "°", fmt.Sprintf("%d of %d", middle(counts), middle(totals))
}

// middle is the lower median.
func middle[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}
