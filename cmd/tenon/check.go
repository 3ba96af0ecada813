package main

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/figure"
	"github.com/tenon-ml/tenon/host/report"
)

// formats of results, and of reports.
var (
	formats       = []string{"text", "json"}
	reportFormats = []string{"text", "json", "html"}
)

func (c *command) check() *cobra.Command {
	var baseRef, format, failOn, figures string
	var with, reports []string
	cmd := &cobra.Command{
		Use:   "check ADAPTER --base MODEL",
		Short: "Run the diagnostics on an adapter and let the policy decide",
		Long: `Check reads an adapter, accounts for each of its tensors against the base, runs
the policy's diagnostics in sandboxes, and prints a verdict. It writes no
weights.

Exit codes: 0 admitted, 1 denied or refused, 2 usage, 3 could not tell,
4 inconclusive.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(need("base", baseRef), oneOf("fail-on", failOn, "warn", "deny"), oneOf("output", format, reportFormats...)); err != nil {
				return err
			}
			files, err := reportFiles(reports)
			if err != nil {
				return err
			}
			h, err := c.host()
			if err != nil {
				return err
			}
			b, err := h.OpenBase(baseRef)
			if err != nil {
				return err
			}
			defer b.Close()
			checked, err := h.Check(cmd.Context(), b, args[0], with)
			if err != nil {
				return err
			}
			defer checked.Close()
			for _, f := range files {
				if err := f.write(checked.Report); err != nil {
					return err
				}
			}
			if figures != "" {
				if _, err := figure.WriteFiles(figures, figure.FromReport(checked.Report, 0)); err != nil {
					return err
				}
			}
			if err := c.print(checked.Report, format); err != nil {
				return err
			}
			return verdictExit(checked.Report, failOn)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&baseRef, "base", "", "base checkpoint: a `DIR` in Hugging Face layout")
	c.evidenceFlags(flags)
	flags.StringArrayVar(&with, "with", nil, "`ADAPTER` to compare with; repeat for several")
	flags.StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(reportFormats, ", "))
	flags.StringArrayVar(&reports, "report", nil, "also write a report, as `FORMAT=PATH`; repeat for several")
	flags.StringVar(&figures, "figures", "", "also draw every figure into `DIR`, as SVG and PNG")
	flags.StringVar(&failOn, "fail-on", "deny", "`VERDICT` that exits 1: deny, or warn as well")
	return cmd
}

// print writes a report to stdout: colours and the terminal's width only on a terminal.
func (c *command) print(r *report.Report, format string) error {
	if format != "text" {
		return render(c.stdout, r, format)
	}
	options := report.TextOptions{Width: 80}
	if f, ok := c.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			options.Width = min(max(width, 60), 120)
		}
		_, noColor := os.LookupEnv("NO_COLOR")
		options.Color = !noColor && os.Getenv("TERM") != "dumb"
	}
	return report.Text(c.stdout, r, options)
}

// render writes a report for a file, where there are no colours and lines are 80 wide.
func render(w io.Writer, r *report.Report, format string) error {
	switch format {
	case "json":
		return report.JSON(w, r)
	case "html":
		return report.HTML(w, r, figure.ForPage(r))
	}
	return report.Text(w, r, report.TextOptions{Width: 80})
}

// reportFile is one --report.
type reportFile struct{ format, path string }

func reportFiles(values []string) ([]reportFile, error) {
	var files []reportFile
	for _, value := range values {
		format, path, ok := strings.Cut(value, "=")
		if !ok || path == "" {
			return nil, fault.New(fault.UsageFlag, "--report %q is not FORMAT=PATH", value).Fix("for instance --report json=report.json")
		}
		if err := oneOf("report", format, reportFormats...); err != nil {
			return nil, err
		}
		files = append(files, reportFile{format, path})
	}
	return files, nil
}

func (f reportFile) write(r *report.Report) error {
	file, err := os.Create(f.path)
	if err != nil {
		return fault.New(fault.IOWrite, "the report cannot be written").In(f.path).Wrap(err)
	}
	if err := errors.Join(render(file, r, f.format), file.Close()); err != nil {
		return fault.New(fault.IOWrite, "the report cannot be written").In(f.path).Wrap(err)
	}
	return nil
}

// need refuses a missing flag by name.
func need(flag, value string) error {
	if value != "" {
		return nil
	}
	return fault.New(fault.UsageFlag, "--%s is needed", flag).Fix("see --help")
}

// oneOf refuses a value that is not among those that work.
func oneOf(flag, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fault.New(fault.UsageName, "--%s %q is not supported", flag, value).Fix("choose one of: %s", strings.Join(allowed, ", "))
}
