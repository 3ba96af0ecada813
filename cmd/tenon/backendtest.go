package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/backend/trial"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/backend/conformance"
)

// trialView is the result of tenon backend test.
type trialView struct {
	SchemaVersion string               `json:"schemaVersion"`
	Backend       backendView          `json:"backend"`
	Passed        bool                 `json:"passed"`
	Cases         []conformance.Result `json:"cases"`
}

func (c *command) backendTest() *cobra.Command {
	var format, only string
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "test [flags] COMMAND [ARG]...",
		Short: "Hold a backend in any language against the contract",
		Long: `Test starts a backend some forty times and holds it against the contract: merges
to the last bit, refusals by their codes, generations, the handshake, and how it
ends and comes back. COMMAND is its executable, with its arguments; cpu is the
built-in one. What a backend does not do is skipped, and named.

Exit codes: 0 it passed, 1 it did not, 3 it could not be started.`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("output", format, "text", "json"); err != nil {
				return err
			}
			if limit <= 0 {
				return fault.New(fault.UsageFlag, "--limit %v is no time", limit)
			}
			cases, err := regexp.Compile(only)
			if err != nil {
				return fault.New(fault.UsageFlag, "--only %q is no regular expression", only).Wrap(err)
			}
			spec, err := commandBackend(args)
			if err != nil {
				return err
			}
			view := trialView{SchemaVersion: "tenon.backend-test/v1"}
			if view.Backend, err = c.look(cmd.Context(), args[0], spec); err != nil {
				return err
			}
			if format == "text" {
				view.Backend.write(c.stdout)
				fmt.Fprintln(c.stdout)
			}
			matched := false
			chosen := func(name string) bool {
				ok := cases.MatchString(name)
				matched = matched || ok
				return ok
			}
			c.try(cmd.Context(), spec, conformance.Options{Limit: limit, Only: chosen, Heard: func(r conformance.Result) {
				view.Cases = append(view.Cases, r)
				if format == "text" {
					c.printCase(r)
				}
			}})
			if err := cmd.Context().Err(); err != nil {
				return fault.New(fault.Canceled, "the test was ended after %d cases", len(view.Cases)).Wrap(err)
			}
			if !matched {
				return fault.New(fault.UsageFlag, "--only %q is the name of no case", only).Fix("without --only the names are listed")
			}
			return c.finishTrial(view, format)
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows COMMAND is its own
	cmd.Flags().StringVarP(&format, "output", "o", "text", "`FORMAT`: text or json")
	cmd.Flags().StringVar(&only, "only", "", "run the cases whose names match `REGEXP`, and what they depend on")
	cmd.Flags().DurationVar(&limit, "limit", 5*time.Minute, "`TIME` that one case may take")
	return cmd
}

// try runs the suite.
func (c *command) try(ctx context.Context, spec backend.Spec, options conformance.Options) {
	host := trial.Host{Spec: spec}
	if c.verbose {
		host.Log = c.log() // it is killed and frozen on purpose: what the supervisor says of that is no news to others
	}
	conformance.Run(ctx, options, host.Test)
}

// printCase prints one case, and what failed in it.
func (c *command) printCase(r conformance.Result) {
	label := map[conformance.Outcome]string{conformance.OK: "ok", conformance.Failed: "FAILED", conformance.Skipped: "skipped"}[r.Outcome]
	text := report.Escape(r.Name)
	if r.Outcome == conformance.Skipped {
		text += ": " + report.Escape(strings.Join(r.Words, "; "))
	}
	fmt.Fprintln(c.stdout, strings.Join(report.Wrap(fmt.Sprintf("%-8s ", label), text, 80), "\n"))
	if r.Outcome != conformance.Failed {
		return
	}
	const most = 8 // one mistake shows in many places
	for i, words := range r.Words {
		if i == most {
			fmt.Fprintf(c.stdout, "           and %d more: see -o json\n", len(r.Words)-most)
			break
		}
		if len(words) > 600 {
			words = words[:600] + "…"
		}
		fmt.Fprintln(c.stdout, strings.Join(report.Wrap("           ", report.Escape(words), 80), "\n"))
	}
}

// finishTrial prints the sum, or everything as JSON, and is the exit code.
func (c *command) finishTrial(view trialView, format string) error {
	count := map[conformance.Outcome]int{}
	for _, r := range view.Cases {
		count[r.Outcome]++
	}
	view.Passed = count[conformance.Failed] == 0 && count[conformance.OK] > 0
	if format == "json" {
		if err := json.MarshalWrite(c.stdout, view, json.Deterministic(true), jsontext.WithIndent("  ")); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.stdout, "\n%d cases: %d ok, %d failed, %d skipped\n",
			len(view.Cases), count[conformance.OK], count[conformance.Failed], count[conformance.Skipped])
	}
	if !view.Passed {
		return exitError(exitDenied)
	}
	return nil
}
