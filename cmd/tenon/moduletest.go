package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/moduletest"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// interpreterPatience is how long the second opinion of the interpreter may take on one adapter; then it is done without.
const interpreterPatience = 5 * time.Second

func (c *command) moduleTest() *cobra.Command {
	var cases, only, format string
	cmd := &cobra.Command{
		Use:   "test FILE [--cases FILE]",
		Short: "Run the conformance tests and the author's cases on a diagnostic",
		Long: `Test runs a module in the sandbox on a set of tricky adapters (no targets, NaN,
no base, 300 weights, ...), with 1 and 2 threads, with each capability withheld
and with too little of everything, and then on the cases in NAME.cases.json
beside it: adapter in, expected findings out.

Exit codes: 0 all passed, 1 something failed, 2 usage or unreadable cases,
3 could not tell.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("output", format, formats...); err != nil {
				return err
			}
			pattern, err := regexp.Compile(only)
			if err != nil {
				return fault.New(fault.UsageFlag, "--only is not a regular expression").Wrap(err).Fix("for instance --only '^no base$'")
			}
			m, err := openModule(args[0])
			if err != nil {
				return err
			}
			read, err := readCases(cases, m)
			if err != nil {
				return err
			}
			return c.testModule(cmd.Context(), m, read, pattern, format)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cases, "cases", "", "`FILE` of cases (default: NAME.cases.json beside the module, if there is one)")
	flags.StringVar(&only, "only", "", "run only the tests and cases whose names `REGEXP` matches")
	flags.StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: text, json")
	return cmd
}

// readCases reads the author's cases; nil where there are none and none were asked for.
func readCases(file string, m modules.Module) (*moduletest.Cases, error) {
	if file != "" {
		return moduletest.Load(file)
	}
	if m.File == "" {
		return nil, nil
	}
	beside := moduletest.CasesFile(m.File)
	if _, err := os.Lstat(beside); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return moduletest.Load(beside)
}

// moduleTestView is the JSON of tenon module test, schema tenon.module-test/v1.
type moduleTestView struct {
	SchemaVersion string        `json:"schemaVersion"`
	ID            string        `json:"id"`
	Version       string        `json:"version"`
	SHA256        string        `json:"sha256"`
	Passed        bool          `json:"passed"`
	Conformance   []outcomeView `json:"conformance"`
	Cases         []outcomeView `json:"cases"`
	Only          string        `json:"only,omitzero"` // what --only picked; the rest was not looked at
}

type outcomeView struct {
	Name     string        `json:"name"`
	Passed   bool          `json:"passed"`
	Skipped  string        `json:"skipped"` // why; "" for what was run
	Problems []problemView `json:"problems"`
}

type problemView struct {
	What string   `json:"what"`
	Hint string   `json:"hint"`
	Log  []string `json:"log,omitzero"` // the first lines of what the module logged
}

func (c *command) testModule(ctx context.Context, m modules.Module, cases *moduletest.Cases, only *regexp.Regexp, format string) error {
	one, err := c.moduleRunner(1)
	if err != nil {
		return err
	}
	two, err := c.moduleRunner(2)
	if err != nil {
		return err
	}
	one.Spares, two.Spares = 1, 1 // dozens of short runs follow each other
	defer one.Close()
	defer two.Close()
	view := moduleTestView{SchemaVersion: "tenon.module-test/v1", ID: m.Manifest.ID, Version: m.Manifest.Version, SHA256: fmt.Sprintf("%x", m.SHA256),
		Conformance: []outcomeView{}, Cases: []outcomeView{}, Only: only.String()}
	if cases != nil && view.Only != "" {
		picked := *cases
		picked.Cases = slices.DeleteFunc(slices.Clone(cases.Cases), func(c moduletest.Case) bool { return !only.MatchString(c.Name) })
		cases = &picked
	}
	text := format == "text"
	told := func(list *[]outcomeView) func(moduletest.Outcome) {
		return func(o moduletest.Outcome) {
			*list = append(*list, newOutcomeView(o))
			if text {
				c.printOutcome(o)
			}
		}
	}
	if text {
		fmt.Fprintf(c.stdout, "module  %s %s  sha256:%.12s\n\nconformance\n", m.Manifest.ID, m.Manifest.Version, view.SHA256)
	}
	kit := moduletest.Kit{One: one, Two: two, Interpreter: interpret, Told: told(&view.Conformance), Only: only.MatchString}
	conformance, err := kit.Conform(ctx, m)
	if err != nil {
		return notTested(err)
	}
	fits := conformance[0].Passed()
	if fits && len(conformance) == 1 && !only.MatchString(conformance[0].Name) && (cases == nil || len(cases.Cases) == 0) {
		return fault.New(fault.UsageFlag, "--only %q matches no test and no case", view.Only).
			Fix("match the names that tenon module test prints without it")
	}
	if cases != nil && fits {
		if text {
			fmt.Fprintln(c.stdout)
			writeWrapped(c.stdout, "cases  ", cases.File, 80)
		}
		if _, err := moduletest.RunCases(ctx, two, m, cases, told(&view.Cases)); err != nil {
			return notTested(err)
		}
	}
	view.Passed = !slices.ContainsFunc(append(slices.Clone(view.Conformance), view.Cases...), func(o outcomeView) bool { return !o.Passed })
	if !text {
		if err := json.MarshalWrite(c.stdout, view, json.Deterministic(true), jsontext.WithIndent("  ")); err != nil {
			return err
		}
	} else {
		c.printTestSummary(view, cases != nil, fits)
	}
	if !view.Passed {
		return exitError(exitDenied)
	}
	return nil
}

// notTested is the error of a test that has no result.
func notTested(err error) error {
	if len(fault.All(err)) > 0 {
		return err
	}
	return fault.New(fault.IOWrite, "the module could not be tested").Wrap(err)
}

// interpret runs a small module again in this process. It has run in a worker before, so that it is known to end.
func interpret(ctx context.Context, o sandbox.Options) sandbox.Result {
	ctx, stop := context.WithTimeout(ctx, interpreterPatience)
	defer stop()
	return sandbox.Run(ctx, o)
}

func newOutcomeView(o moduletest.Outcome) outcomeView {
	v := outcomeView{Name: o.Name, Passed: o.Passed(), Skipped: o.Skipped, Problems: []problemView{}}
	for _, p := range o.Problems {
		v.Problems = append(v.Problems, problemView{p.What, p.Fix, p.Log})
	}
	return v
}

// count gives how many passed, of how many that were run.
func count(list []outcomeView) (passed, ran int) {
	for _, o := range list {
		if o.Skipped != "" {
			continue
		}
		ran++
		if o.Passed {
			passed++
		}
	}
	return passed, ran
}

func (c *command) printOutcome(o moduletest.Outcome) {
	switch {
	case o.Skipped != "":
		writeWrapped(c.stdout, "  -     ", o.Name+": not run, "+o.Skipped, 80)
	case o.Passed():
		writeWrapped(c.stdout, "  ok    ", o.Name, 80)
	default:
		writeWrapped(c.stdout, "  FAIL  ", o.Name, 80)
		for _, p := range o.Problems {
			writeWrapped(c.stdout, "        ", p.What, 80)
			for _, said := range p.Log {
				writeWrapped(c.stdout, "          | ", said, 80)
			}
			if p.Fix != "" {
				writeWrapped(c.stdout, "          ", p.Fix, 80)
			}
		}
	}
}

func (c *command) printTestSummary(view moduleTestView, hasCases, fits bool) {
	fmt.Fprintln(c.stdout)
	passed, ran := count(view.Conformance)
	ok, all := count(view.Cases)
	switch {
	case !fits:
		fmt.Fprintln(c.stdout, "it was not run: what is said above comes first")
	case !hasCases:
		writeWrapped(c.stdout, "", fmt.Sprintf("%d of %d tests passed; there are no cases (NAME.cases.json beside the module)", passed, ran), 80)
	default:
		fmt.Fprintf(c.stdout, "%d of %d tests and %d of %d cases passed\n", passed, ran, ok, all)
	}
}
