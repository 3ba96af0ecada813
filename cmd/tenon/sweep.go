package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/figure"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/sweep"
)

// sweepFormats are what a sweep is written in.
var sweepFormats = []string{"text", "json", "csv"}

func (c *command) sweep() *cobra.Command {
	var baseRef, format, figures string
	var evaluations []string
	var question sweep.Question
	var higher bool
	cmd := &cobra.Command{
		Use:   "sweep ADAPTER... --base MODEL [--eval FILE]...",
		Short: "Lay adapters of several ranks side by side and recommend a rank",
		Long: `Sweep shows, for each adapter, how its change looks beside what random
directions give, and its results from --eval. It recommends the smallest rank
whose result is within --tolerance of the best, or within what seeds differ by
where there are several runs of one rank, and says when the runs cannot tell.

--eval reads JSON or CSV, by the adapters' names or by rank, and what
tenon eval -o json wrote when it is given as ADAPTER=FILE:

  {"e2e-r8": {"val_loss": 3.31, "bleu": 0.68}}   or   rank,val_loss
                                                      8,3.31`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(need("base", baseRef), oneOf("output", format, sweepFormats...)); err != nil {
				return err
			}
			if cmd.Flags().Changed("higher") {
				question.Higher = &higher
			}
			evaluation, err := readEvaluations(evaluations, args)
			if err != nil {
				return err
			}
			reports, err := c.sweepReports(cmd.Context(), baseRef, args)
			if err != nil {
				return err
			}
			s, err := sweep.New(reports, evaluation)
			if err != nil {
				return err
			}
			choice, reason, err := s.Choose(question)
			if err != nil {
				return err
			}
			return c.printSweep(s, choice, reason, format, figures)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&baseRef, "base", "", "base checkpoint: a `DIR` in Hugging Face layout")
	flags.StringArrayVar(&evaluations, "eval", nil, "results: a `FILE`, or ADAPTER=FILE of one adapter; repeat for several")
	flags.StringVar(&question.By, "by", "", "`COLUMN` of the results to choose by (default: the first that is known, such as val_loss)")
	flags.BoolVar(&higher, "higher", false, "more of that column is better (default: looked up by its name)")
	flags.Float64Var(&question.Tolerance, "tolerance", 0.01, "`SHARE` of the best value by which a smaller rank may be worse")
	flags.StringVar(&figures, "figures", "", "also draw the sweep into `DIR`, as SVG and PNG")
	flags.StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(sweepFormats, ", "))
	return cmd
}

// readEvaluations reads every --eval; nil where there is none. What stands before an = is an adapter only where it is one of the sweep's, so
// that a path may hold an =.
func readEvaluations(values, adapters []string) (*sweep.Evaluation, error) {
	if len(values) == 0 {
		return nil, nil
	}
	evaluation := &sweep.Evaluation{}
	for _, value := range values {
		path, about := value, ""
		for _, ref := range adapters {
			for _, name := range []string{ref, filepath.Base(ref)} {
				if file, ok := strings.CutPrefix(value, name+"="); ok {
					path, about = file, name
				}
			}
		}
		if err := evaluation.Read(path, about); err != nil {
			return nil, err
		}
	}
	return evaluation, nil
}

// sweepReports checks each adapter with the modules of a sweep. One whose numbers would mean nothing ends the sweep.
func (c *command) sweepReports(ctx context.Context, baseRef string, refs []string) ([]*report.Report, error) {
	h, err := c.newHost(host.Options{CacheDir: c.cacheDir, Log: c.log(), Policy: sweep.Policy(), Revoked: c.revoked})
	if err != nil {
		return nil, err
	}
	b, err := h.OpenBase(baseRef)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	progress := c.newProgress()
	var reports []*report.Report
	var problems []error
	for i, ref := range refs {
		checked, err := h.Check(ctx, b, ref, nil)
		if err != nil {
			return nil, err
		}
		r := checked.Report
		if err := checked.Close(); err != nil {
			return nil, err
		}
		if !r.Verdict.Open() {
			problems = append(problems, unusable(r, ref))
		}
		reports = append(reports, r)
		if progress != nil {
			progress("adapters", i+1, len(refs))
		}
	}
	return reports, errors.Join(problems...)
}

// unusable says why a report has no numbers to go on.
func unusable(r *report.Report, ref string) error {
	code := fault.UsageFlag
	if r.Verdict == report.Inconclusive {
		code = fault.ModuleFailed
	}
	var first string
	closing := 0
	for _, f := range r.Findings {
		if f.Severity == report.DenySeverity && f.Module != "policy" {
			if closing++; closing == 1 {
				first = fmt.Sprintf("%s: %s", f.Code, f.Message)
			}
		}
	}
	if closing > 1 {
		first += fmt.Sprintf(", and %d findings more", closing-1)
	}
	return fault.New(code, "the verdict is %s: %s", r.Verdict, first).In(ref).Fix("see tenon check, and leave the adapter out")
}

func (c *command) printSweep(s *sweep.Sweep, choice *sweep.Choice, reason, format, figures string) error {
	var files []string
	if figures != "" {
		var err error
		if files, err = figure.WriteFiles(figures, []figure.Figure{s.Figure()}); err != nil {
			return err
		}
	}
	var err error
	switch format {
	case "json":
		err = s.JSON(c.stdout, choice, reason, files)
	case "csv":
		err = s.CSV(c.stdout)
	default:
		err = s.Text(c.stdout, choice, reason)
	}
	if err != nil {
		return fault.New(fault.IOWrite, "the result cannot be written").Wrap(err)
	}
	return nil
}
