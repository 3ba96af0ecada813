package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/compress"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

func (c *command) compress() *cobra.Command {
	var choice compress.Choice
	var out, format string
	cmd := &cobra.Command{
		Use:   "compress ADAPTER (--rank N | --energy SHARE) [--out DIR]",
		Short: "Write an adapter again with fewer directions",
		Long: `Compress decomposes the change of every weight and keeps its strongest
directions: as many as --rank says, or as few as hold a --energy share of the
change. No other adapter of those ranks is closer. The result is a PEFT
directory like the original, with its scale folded into the factors.

Without --out nothing is written, and the table says what would be kept.

Energy is how close the weights stay, and not how good the model is: evaluate
the compressed adapter before it replaces the other.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags := cmd.Flags()
			err := oneOf("output", format, formats...)
			if flags.Changed("rank") == flags.Changed("energy") {
				err = errors.Join(err, fault.New(fault.UsageFlag, "either --rank or --energy is needed").Fix("for instance --energy 0.99"))
			}
			if flags.Changed("rank") && choice.Rank < 1 {
				err = errors.Join(err, fault.New(fault.UsageFlag, "--rank %d is no rank", choice.Rank).Fix("give a whole number from 1"))
			}
			if flags.Changed("energy") && !(choice.Energy > 0 && choice.Energy <= 1) {
				err = errors.Join(err, fault.New(fault.UsageFlag, "--energy %v is no share", choice.Energy).
					Fix("give a number above 0 and at most 1, such as 0.99"))
			}
			if err != nil {
				return err
			}
			a, err := adapter.Open(args[0])
			if err != nil {
				return err
			}
			defer a.Close()
			plan, err := compress.New(cmd.Context(), a, choice)
			if err != nil {
				return err
			}
			if out != "" {
				if err := plan.Write(cmd.Context(), out); err != nil {
					return err
				}
			}
			view := newCompression(plan, out)
			if format == "json" {
				return json.MarshalWrite(c.stdout, view, json.Deterministic(true), jsontext.WithIndent("  "))
			}
			return c.printCompression(view)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&choice.Rank, "rank", 0, "keep `N` directions of every weight, or all where it has fewer")
	flags.Float64Var(&choice.Energy, "energy", 0, "keep the fewest directions that hold this `SHARE` of ‖ΔW‖² of each weight")
	flags.StringVar(&out, "out", "", "`DIR` to write; must not exist")
	flags.StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(formats, ", "))
	return cmd
}

// compression is the JSON of tenon compress, schema tenon.compression/v1.
type compression struct {
	SchemaVersion string              `json:"schemaVersion"`
	Ref           string              `json:"ref"`
	Out           string              `json:"out"`    // "" when nothing was written
	Energy        report.Number       `json:"energy"` // share of ‖ΔW‖² kept, over all weights
	BytesBefore   int64               `json:"bytesBefore"`
	BytesAfter    int64               `json:"bytesAfter"`
	Targets       []compressionTarget `json:"targets"`
	Dropped       []string            `json:"dropped"` // tensors that no reader reads
}

type compressionTarget struct {
	Module    string        `json:"module"`
	Rank      int           `json:"rank"`      // as stored
	Numerical int           `json:"numerical"` // of ΔW
	Kept      int           `json:"kept"`
	Energy    report.Number `json:"energy"` // share kept
}

func newCompression(p *compress.Plan, out string) compression {
	view := compression{SchemaVersion: "tenon.compression/v1", Ref: p.Adapter.Ref, Out: out, Energy: report.Number(p.Energy()),
		BytesBefore: p.BytesBefore, BytesAfter: p.BytesAfter, Dropped: append([]string{}, p.Dropped...)}
	for _, t := range p.Targets {
		view.Targets = append(view.Targets, compressionTarget{t.Module, t.Rank, t.Numerical, t.Kept, report.Number(t.EnergyKept / t.Energy)})
	}
	return view
}

func (c *command) printCompression(view compression) error {
	written := report.Escape(view.Out)
	if view.Out == "" {
		written = "nothing; give --out DIR"
	}
	fmt.Fprintf(c.stdout, "adapter  %s\nwritten  %s\nenergy   %s of the change ‖ΔW‖² is kept\nweights  %s bytes before, %s after (%.0f %%)\n\n",
		report.Escape(view.Ref), written, share(float64(view.Energy)), report.Count(view.BytesBefore), report.Count(view.BytesAfter),
		100*float64(view.BytesAfter)/float64(view.BytesBefore))
	kinds := compressionKinds(view.Targets)
	widest := len("weights")
	for _, kind := range kinds {
		widest = max(widest, utf8.RuneCountInString(kind.label))
	}
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "%-*s\tn\trank\tkept\tenergy\tleast\t\n", widest, "weights")
	for _, kind := range kinds {
		fmt.Fprintf(table, "%-*s\t%d\t%s\t%s\t%s\t%s\t\n", widest, kind.label, len(kind.targets),
			span(kind.targets, func(t compressionTarget) int { return t.Rank }), span(kind.targets, func(t compressionTarget) int { return t.Kept }),
			share(kind.median()), share(kind.least()))
	}
	if err := table.Flush(); err != nil {
		return fault.New(fault.IOWrite, "the result cannot be written").Wrap(err)
	}
	fmt.Fprintln(c.stdout)
	if len(view.Dropped) > 0 {
		left := fmt.Sprintf("%d tensors that no reader of adapters reads, such as %s", len(view.Dropped), view.Dropped[0])
		writeWrapped(c.stdout, "left out  ", left, 80)
	}
	if view.BytesAfter >= view.BytesBefore {
		writeWrapped(c.stdout, "note  ", "nothing is saved: the adapter has no more directions than are kept", 80)
	}
	writeWrapped(c.stdout, "note  ", "energy is how close the weights are, and not how good the model is: a direction that holds little of it can "+
		"matter. Evaluate the compressed adapter, or compare the two: tenon compare", 80)
	return nil
}

// compressionKind is the weights of one kind.
type compressionKind struct {
	label   string
	targets []compressionTarget
}

func compressionKinds(targets []compressionTarget) []*compressionKind {
	var names []string
	var kinds []*compressionKind
	for _, t := range targets {
		name := report.Kind(t.Module)
		i := slices.Index(names, name)
		if i < 0 {
			i = len(names)
			names, kinds = append(names, name), append(kinds, &compressionKind{})
		}
		kinds[i].targets = append(kinds[i].targets, t)
	}
	for i, label := range report.KindLabels(names) {
		kinds[i].label = label
	}
	return kinds
}

// energies are the shares kept, ascending, of the weights that change at all.
func (k *compressionKind) energies() []float64 {
	var all []float64
	for _, t := range k.targets {
		if e := float64(t.Energy); !math.IsNaN(e) {
			all = append(all, e)
		}
	}
	slices.Sort(all)
	return all
}

func (k *compressionKind) median() float64 {
	all := k.energies()
	if n := len(all); n > 0 {
		return (all[(n-1)/2] + all[n/2]) / 2
	}
	return math.NaN()
}

func (k *compressionKind) least() float64 {
	if all := k.energies(); len(all) > 0 {
		return all[0]
	}
	return math.NaN()
}

// span is the least and the most of a number of weights.
func span(targets []compressionTarget, number func(compressionTarget) int) string {
	least, most := number(targets[0]), number(targets[0])
	for _, t := range targets {
		least, most = min(least, number(t)), max(most, number(t))
	}
	if least == most {
		return strconv.Itoa(least)
	}
	return fmt.Sprintf("%d–%d", least, most)
}

// share writes a share as a percentage that is 100 only where all is kept.
func share(v float64) string {
	switch {
	case math.IsNaN(v):
		return "none"
	case v >= 1:
		return "100 %"
	case v > 0.9999:
		return ">99.99 %"
	}
	return strconv.FormatFloat(100*v, 'f', 2, 64) + " %"
}
