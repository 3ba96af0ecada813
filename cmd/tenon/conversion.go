package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/tenon-ml/tenon/host/convert"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// conversion is the JSON of tenon convert, schema tenon.conversion/v1.
type conversion struct {
	SchemaVersion string              `json:"schemaVersion"`
	Ref           string              `json:"ref"`
	Out           string              `json:"out"`
	From          string              `json:"from"`
	To            string              `json:"to"`
	Alpha         report.Number       `json:"alpha"` // of the new file
	Bytes         int64               `json:"bytes"` // of the new file of weights
	Weights       []conversionWeight  `json:"weights"`
	Dropped       []string            `json:"dropped"` // tensors that the new file does not have
	Notes         []inspectionProblem `json:"notes"`
}

type conversionWeight struct {
	Source    string        `json:"source"`
	Target    string        `json:"target"`
	Rank      int           `json:"rank"`
	Scale     report.Number `json:"scale"`     // of the source
	Folded    report.Number `json:"folded"`    // into B; 1 where nothing was
	Heads     int           `json:"heads"`     // whose rows were put in another order, or 0
	DTypeA    string        `json:"dtypeA"`    // as written
	DTypeB    string        `json:"dtypeB"`    // as written
	Rounded   int64         `json:"rounded"`   // entries that are not exactly the source's
	RoundedBy report.Number `json:"roundedBy"` // the largest of their relative changes
}

func newConversion(p *convert.Plan, ref, out string) conversion {
	view := conversion{SchemaVersion: "tenon.conversion/v1", Ref: ref, Out: out, From: p.From, To: p.To, Alpha: report.Number(p.Alpha), Bytes: p.Bytes,
		Dropped: append([]string{}, p.Dropped...), Notes: append([]inspectionProblem{}, problems(p.Notes)...)}
	for _, w := range p.Weights {
		view.Weights = append(view.Weights, conversionWeight{
			Source: w.Source, Target: w.Target, Rank: w.Rank, Scale: report.Number(w.Scale), Folded: report.Number(w.Folded), Heads: w.Heads,
			DTypeA: w.A.String(), DTypeB: w.B.String(), Rounded: w.Rounded, RoundedBy: report.Number(w.RoundedBy),
		})
	}
	return view
}

func (c *command) printConversion(view conversion) error {
	fmt.Fprintf(c.stdout, "adapter  %s (%s)\nwritten  %s (%s)\nalpha    %v\nweights  %d, in %s bytes\n\n",
		report.Escape(view.Ref), view.From, report.Escape(view.Out), view.To, view.Alpha, len(view.Weights), report.Count(view.Bytes))
	kinds := conversionKinds(view.Weights)
	var sources, targets []string
	for _, kind := range kinds {
		sources, targets = append(sources, report.Kind(kind[0].Source)), append(targets, report.Kind(kind[0].Target))
	}
	sources, targets = report.KindLabels(sources), report.KindLabels(targets)
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WEIGHTS\tBECOME\tN\tRANK\tTYPE\tROWS\tFOLDED\tROUNDED\tBY")
	for i, kind := range kinds {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n", sources[i], targets[i], len(kind),
			spanOf(kind, func(w conversionWeight) int { return w.Rank }), types(kind), changes(kind))
	}
	if err := table.Flush(); err != nil {
		return fault.New(fault.IOWrite, "the result cannot be written").Wrap(err)
	}
	fmt.Fprintln(c.stdout)
	if len(view.Dropped) > 0 {
		left := fmt.Sprintf("%d tensors that change nothing, such as %s", len(view.Dropped), report.Escape(view.Dropped[0]))
		writeWrapped(c.stdout, "left out  ", left, 80)
	}
	if view.To == "gguf" {
		writeWrapped(c.stdout, "note  ", "the file fits GGUF files of the base: llama-cli --lora "+report.Escape(filepath.Base(view.Out)), 80)
	}
	return nil
}

// conversionKinds are the weights of one kind each, in the order in which they come.
func conversionKinds(weights []conversionWeight) [][]conversionWeight {
	index := map[string]int{}
	var kinds [][]conversionWeight
	for _, w := range weights {
		kind := report.Kind(w.Source)
		at, ok := index[kind]
		if !ok {
			at = len(kinds)
			index[kind], kinds = at, append(kinds, nil)
		}
		kinds[at] = append(kinds[at], w)
	}
	return kinds
}

// spanOf is the least and the most of a number of weights.
func spanOf(weights []conversionWeight, number func(conversionWeight) int) string {
	least, most := number(weights[0]), number(weights[0])
	for _, w := range weights {
		least, most = min(least, number(w)), max(most, number(w))
	}
	if least == most {
		return strconv.Itoa(least)
	}
	return fmt.Sprintf("%d–%d", least, most)
}

// types are the types in which the factors of a kind are written.
func types(weights []conversionWeight) string {
	seen := map[string]bool{}
	var all []string
	for _, w := range weights {
		for _, t := range []string{w.DTypeA, w.DTypeB} {
			if !seen[t] {
				seen[t] = true
				all = append(all, t)
			}
		}
	}
	return strings.Join(all, ", ")
}

// changes are the columns that say what happened to the factors of a kind: the order of the rows, how many scales were folded, how many entries
// were rounded, and the largest of their relative changes.
func changes(weights []conversionWeight) string {
	rows, by, folded, rounded, largest := "kept", "-", 0, int64(0), 0.0
	for _, w := range weights {
		if w.Folded != 1 {
			folded++
		}
		rounded += w.Rounded
		largest = max(largest, float64(w.RoundedBy))
	}
	if weights[0].Heads > 0 {
		rows = "moved"
	}
	if rounded > 0 {
		by = strconv.FormatFloat(largest, 'e', 1, 64)
	}
	return fmt.Sprintf("%s\t%d\t%s\t%s", rows, folded, report.Count(rounded), by)
}
