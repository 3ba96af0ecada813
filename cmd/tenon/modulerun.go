package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/moduletest"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

func (c *command) moduleRun() *cobra.Command {
	var subject moduletest.Subject
	var params, grant []string
	var format string
	cmd := &cobra.Command{
		Use:   "run FILE|ID --adapter DIR --base DIR",
		Short: "Run one diagnostic on an adapter, and time its host calls",
		Long: `Run gives a diagnostic an adapter in the sandbox, as a check would, and prints
all that it gave and what each function of the ABI cost. It decides nothing.

Exit codes: 0 it ran to its end, 1 the adapter is refused, 2 usage or a broken
manifest, 3 could not tell, 4 the diagnostic gave up, crashed, was refused or
took too long.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(needFor("run", "adapter", subject.Adapter), needFor("run", "base", subject.Base),
				oneOf("output", format, formats...)); err != nil {
				return err
			}
			m, err := openModule(args[0])
			switch {
			case err != nil && fault.ClassOf(err) == fault.Rejected: // which is what is said of the adapter here
				exitCode(cmd.Context(), err, c.stderr)
				return exitError(exitUsage)
			case err != nil:
				return err
			}
			requirement := gate.Requirement{ID: m.Manifest.ID, Limits: m.Manifest.Limits, BaseSVD: m.Manifest.BaseSVDRank != 0}
			if requirement.Grant, err = grants(grant, cmd.Flags().Changed("grant"), m.Manifest.Needs); err != nil {
				return err
			}
			if requirement.Params, err = moduleParams(params, m); err != nil {
				return err
			}
			return c.runModule(cmd.Context(), m, subject, requirement, format)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&subject.Adapter, "adapter", "", "the adapter, a `DIR`")
	flags.StringVar(&subject.Base, "base", "", "base checkpoint: a `DIR` in Hugging Face layout")
	flags.StringArrayVar(&subject.Peers, "with", nil, "`ADAPTER` to compare with; repeat for several")
	flags.StringArrayVar(&params, "param", nil, "a setting of the module, as `NAME=NUMBER`; repeat for several")
	flags.StringSliceVar(&grant, "grant", nil, "`CAPABILITIES` it gets: base, peers, kernels or none (default: what it needs)")
	flags.StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: text, json")
	return cmd
}

// moduleParams reads the values of --param.
func moduleParams(values []string, m modules.Module) (map[string]float64, error) {
	params := map[string]float64{}
	var names []string
	for name := range m.Manifest.Params {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, value := range values {
		name, text, ok := strings.Cut(value, "=")
		number, err := strconv.ParseFloat(text, 64)
		if !ok || err != nil {
			return nil, fault.New(fault.UsageFlag, "--param %q is not NAME=NUMBER", value).Fix("for instance --param limit=0.5")
		}
		if !slices.Contains(names, name) {
			e := fault.New(fault.UsageFlag, "the module has no parameter %q", name).Fix("it has: %s", cmp.Or(strings.Join(names, ", "), "none"))
			if near := document.Nearest(name, names); near != "" {
				e = e.Fix("did you mean %q?", near)
			}
			return nil, e
		}
		params[name] = number
	}
	return params, nil
}

// moduleRunView is the JSON of tenon module run, schema tenon.module-run/v1.
type moduleRunView struct {
	SchemaVersion string           `json:"schemaVersion"`
	Module        report.Module    `json:"module"`
	Metrics       []report.Metric  `json:"metrics"`
	Grids         []report.Grid    `json:"grids"`
	Findings      []report.Finding `json:"findings"`
	Log           string           `json:"log"`
	Calls         []moduleRunCall  `json:"calls"`
}

// moduleRunCall is what one function of the ABI cost.
type moduleRunCall struct {
	Name  string  `json:"name"`
	Count int64   `json:"count"`
	Ms    float64 `json:"ms"`
}

func (c *command) runModule(ctx context.Context, m modules.Module, s moduletest.Subject, requirement gate.Requirement, format string) error {
	runner, err := c.moduleRunner(0)
	if err != nil {
		return err
	}
	if s.CacheDir, err = c.moduleCache(); err != nil {
		return err
	}
	seen := &moduletest.Capture{Runner: runner, Trace: sandbox.Trace{}}
	r, err := moduletest.RunOn(ctx, seen, m, s, requirement, c.newProgress())
	if err != nil {
		return err
	}
	view := moduleRunView{SchemaVersion: "tenon.module-run/v1", Module: r.Modules[0], Metrics: r.Metrics, Grids: r.Grids, Log: seen.Result.Log}
	for _, f := range r.Findings {
		if f.Module == m.Manifest.ID && seen.Result.Status == sandbox.OK { // of another end the status says it all
			view.Findings = append(view.Findings, f)
		}
	}
	for name, cost := range seen.Trace {
		view.Calls = append(view.Calls, moduleRunCall{name, cost.Count, float64(cost.NS) / 1e6})
	}
	slices.SortFunc(view.Calls, func(a, b moduleRunCall) int { return cmp.Or(-cmp.Compare(a.Ms, b.Ms), cmp.Compare(a.Name, b.Name)) })
	if format == "json" {
		err = json.MarshalWrite(c.stdout, view, json.Deterministic(true), jsontext.WithIndent("  "))
	} else {
		err = c.printRun(view, runRemedy(view.Module, requirement.Grant, m.Manifest.Needs))
	}
	if err == nil && seen.Result.Status != sandbox.OK {
		return exitError(exitInconclusive)
	}
	return err
}

// runRemedy says what to do about a run that did not end well; "" where there is nothing to say.
func runRemedy(m report.Module, granted, needs []abi.Capability) string {
	if status := sandbox.Status(m.Status); status != sandbox.Denied {
		return moduletest.Remedy(sandbox.Result{Status: status, Error: m.Error})
	}
	if slices.ContainsFunc(needs, func(need abi.Capability) bool { return !slices.Contains(granted, need) }) {
		return fmt.Sprintf("leave --grant out, or give all that it needs: --grant %s", strings.ReplaceAll(capabilities(needs), " ", ","))
	}
	return "name every capability that is used under needs in the manifest"
}

func (c *command) printRun(v moduleRunView, remedy string) error {
	m := v.Module
	line := func(label, format string, args ...any) {
		writeWrapped(c.stdout, fmt.Sprintf("%-8s", label), fmt.Sprintf(format, args...), 80)
	}
	line("module", "%s %s", m.ID, m.Version)
	line("status", "%s", m.Status)
	if m.Error != "" {
		line("", "%s", m.Error)
	}
	if remedy != "" {
		line("", "%s", remedy)
	}
	if m.Usage.CompileMs == 0 && m.Usage.WallMs == 0 {
		return nil // it did not run
	}
	if u := m.Usage; u.CompileMs == 0 && u.HostCalls == 0 && u.PeakBytes == 0 {
		line("cost", "%.1f ms until its worker was killed; all else is not known", u.WallMs)
	} else {
		line("cost", "%.1f ms, and %.1f ms to compile or load it; %s at most; %s host calls", u.WallMs, u.CompileMs,
			fmt.Sprintf("%.1f MiB", mebibytes(uint64(u.PeakBytes))), report.Count(u.HostCalls))
	}
	line("sandbox", "%s", m.Sandbox)

	if len(v.Metrics) > 0 {
		fmt.Fprintln(c.stdout, "\nmetrics")
		if err := c.printMetrics(v.Metrics); err != nil {
			return err
		}
	}
	if len(v.Grids) > 0 {
		fmt.Fprintln(c.stdout, "\ngrids, whose values -o json has")
		for _, g := range v.Grids {
			writeWrapped(c.stdout, fmt.Sprintf("  %s %d x %d  ", g.Name, g.Rows, g.Cols), about(g.Target, g.With), 80)
		}
	}
	if len(v.Findings) > 0 {
		fmt.Fprintln(c.stdout, "\nfindings")
		for _, f := range v.Findings {
			writeWrapped(c.stdout, fmt.Sprintf("  %-5s %s  ", f.Severity, f.Code), strings.TrimPrefix(f.Target+": "+f.Message, ": "), 80)
			if f.Hint != "" {
				writeWrapped(c.stdout, "        ", f.Hint, 80)
			}
		}
	}
	if log := strings.TrimSpace(v.Log); log != "" {
		fmt.Fprintln(c.stdout, "\nlog")
		for text := range strings.SplitSeq(log, "\n") {
			if text = strings.TrimSpace(strings.ReplaceAll(text, "\t", " ")); text != "" {
				writeWrapped(c.stdout, "  ", text, 80)
			}
		}
	}
	return c.printCalls(v)
}

// about says what a number is about.
func about(target, with string) string {
	text := cmp.Or(target, "the adapter")
	if with != "" {
		text += " with " + shortDigest(with)
	}
	return text
}

// printMetrics shows numbers in a table of what they are about where that fits, and grouped by it otherwise.
func (c *command) printMetrics(metrics []report.Metric) error {
	if rows := metricTable(metrics, 80); rows != nil {
		_, err := fmt.Fprintln(c.stdout, strings.Join(rows, "\n"))
		return err
	}
	previous := "\x00"
	for _, m := range metrics {
		if subject := about(m.Target, m.With); subject != previous {
			writeWrapped(c.stdout, "  ", subject, 80)
			previous = subject
		}
		if _, err := fmt.Fprintf(c.stdout, "    %-40s %14s\n", m.Name, strconv.FormatFloat(float64(m.Value), 'g', 7, 64)); err != nil {
			return err
		}
	}
	return nil
}

// printCalls shows where the time went.
func (c *command) printCalls(v moduleRunView) error {
	if len(v.Calls) == 0 {
		return nil
	}
	fmt.Fprintln(c.stdout)
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "HOST CALL\tTIMES\tMS\tµS EACH\t")
	own := v.Module.Usage.WallMs
	for _, call := range v.Calls {
		fmt.Fprintf(table, "%s\t%s\t%.3f\t%.2f\t\n", call.Name, report.Count(call.Count), call.Ms, 1e3*call.Ms/float64(max(call.Count, 1)))
		own -= call.Ms
	}
	fmt.Fprintf(table, "the module itself\t\t%.3f\t\t\n", max(own, 0))
	return table.Flush()
}
