package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/report"
)

func (c *command) inspect() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "inspect ADAPTER",
		Short: "Say what is in an adapter, without a base",
		Long: `Inspect lists an adapter's tensors, ranks and scales, and everything that would
keep it from being merged. It needs no base and decides nothing: an adapter with
problems is still an answer.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("output", format, formats...); err != nil {
				return err
			}
			in, err := adapter.Inspect(args[0])
			if err != nil {
				return err
			}
			view := newInspection(in)
			if format == "json" {
				return json.MarshalWrite(c.stdout, view, json.Deterministic(true), jsontext.WithIndent("  "))
			}
			return c.printInspection(view)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(formats, ", "))
	return cmd
}

// inspection is the JSON of tenon inspect, schema tenon.inspection/v1.
type inspection struct {
	SchemaVersion string              `json:"schemaVersion"`
	Ref           string              `json:"ref"`
	Format        string              `json:"format"`
	Digest        string              `json:"digest"`
	Base          string              `json:"base"` // what the adapter says it was trained on
	Rank          []int               `json:"rank"`
	Scale         []report.Number     `json:"scale"`
	Parameters    int64               `json:"parameters"`
	Tensors       []inspectionTensor  `json:"tensors"`
	Notes         []inspectionProblem `json:"notes"`
	Problems      []inspectionProblem `json:"problems"`
}

type inspectionTensor struct {
	Name   string `json:"name"`
	DType  string `json:"dtype"`
	Shape  []int  `json:"shape"`
	Module string `json:"module"`
	Part   string `json:"part"`
}

type inspectionProblem struct {
	Code  string `json:"code"`
	Place string `json:"place"`
	Cause string `json:"cause"`
	Hint  string `json:"hint"`
}

func newInspection(in *adapter.Inspection) inspection {
	view := inspection{
		SchemaVersion: "tenon.inspection/v1", Ref: in.Ref, Format: in.Format, Digest: merge.DigestString(in.Digest), Base: in.Config.BaseModel,
		Rank: in.Ranks, Parameters: in.Parameters, Notes: problems(in.Notes), Problems: problems(in.Problems),
	}
	for _, s := range in.Scales {
		view.Scale = append(view.Scale, report.Number(s))
	}
	for _, t := range in.Tensors {
		view.Tensors = append(view.Tensors, inspectionTensor{t.Name, t.DType.String(), t.Shape, t.Key.Module, string(t.Key.Part)})
	}
	return view
}

func problems(list fault.List) []inspectionProblem {
	var out []inspectionProblem
	for _, e := range list {
		out = append(out, inspectionProblem{string(e.Code), e.Place(), e.Cause, e.Remedy})
	}
	return out
}

func (c *command) printInspection(in inspection) error {
	fmt.Fprintf(c.stdout, "adapter  %s\nformat   %s\ndigest   %s\nbase     %s, it says\nrank     %s\nscale    %s\nweights  %s parameters in %d tensors\n\n",
		report.Escape(in.Ref), in.Format, in.Digest, report.Escape(in.Base), join(in.Rank), join(in.Scale), report.Count(in.Parameters), len(in.Tensors))
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MODULE\tPART\tDTYPE\tSHAPE")
	for _, t := range in.Tensors {
		module := t.Module
		if module == "" || t.Part == "parameter" { // of which a module can have several
			module = t.Name
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", report.Escape(module), report.Escape(t.Part), t.DType, strings.Trim(fmt.Sprint(t.Shape), "[]"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, list := range []struct {
		title string
		items []inspectionProblem
	}{{"notes", in.Notes}, {"what keeps it from being merged", in.Problems}} {
		if len(list.items) == 0 {
			continue
		}
		fmt.Fprintf(c.stdout, "\n%s\n", list.title)
		for _, p := range list.items {
			writeWrapped(c.stdout, "  "+p.Code+"  ", strings.TrimPrefix(p.Place+": "+p.Cause, ": "), 80)
			if p.Hint != "" {
				writeWrapped(c.stdout, "    ", p.Hint, 80)
			}
		}
	}
	return nil
}

func join[T any](values []T) string {
	if len(values) == 0 {
		return "unknown"
	}
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ", ")
}
