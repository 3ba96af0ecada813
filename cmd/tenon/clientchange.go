package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

func (c *command) load() *cobra.Command {
	var mode, format string
	var stage bool
	cmd := remote(&cobra.Command{
		Use: "load NAME ADAPTER", Short: "Gate an adapter in a running server and make it live under a name", Args: arguments(cobra.ExactArgs(2)),
	}, func(ctx context.Context, server *client, args []string) error {
		if err := errors.Join(oneOf("mode", mode, "auto", "merged", "unmerged"), oneOf("output", format, formats...)); err != nil {
			return err
		}
		ref := args[1]
		if _, err := os.Stat(ref); err == nil {
			if absolute, err := filepath.Abs(ref); err == nil {
				ref = absolute // the server has its own working directory
			}
		}
		var raw jsontext.Value
		failed, err := server.call(ctx, adapterPath(args[0], ""), map[string]any{"ref": ref, "mode": mode, "staged": stage}, &raw)
		switch {
		case err != nil:
			return err
		case failed == nil:
			return answered(c, server, raw, format, func(answer loadAnswer) error { return c.printLoaded(args[0], stage, answer) })
		case failed.Report != nil:
			if err := c.print(failed.Report, format); err != nil {
				return err
			}
			return verdictExit(failed.Report, "deny")
		}
		return failed.refusal()
	})
	cmd.Flags().StringVar(&mode, "mode", "auto", "how its change is computed, `MODE`: merged into weights of its own, unmerged at each token, or auto, what fits")
	cmd.Flags().BoolVar(&stage, "stage", false, "stop when it is staged and verified; tenon activate makes it live")
	outputFlag(cmd, &format)
	return cmd
}

// loadAnswer is what POST /api/v1/adapters/{alias} says.
type loadAnswer struct {
	Adapter adapterAnswer  `json:"adapter"`
	Report  *report.Report `json:"report"`
}

// printLoaded says what became of an adapter that the gate let through, and what it warned of.
func (c *command) printLoaded(name string, staged bool, answer loadAnswer) error {
	state := "live"
	if staged {
		state = "staged"
	}
	warned := ""
	if answer.Report != nil && answer.Report.Verdict == report.WarnVerdict {
		var codes []string
		for _, f := range answer.Report.Findings {
			if f.Severity == report.Warn {
				codes = append(codes, f.Code)
			}
		}
		warned = " with 1 warning"
		if len(codes) != 1 {
			warned = fmt.Sprintf(" with %d warnings", len(codes))
		}
		slices.Sort(codes)
		warned += ": " + report.Escape(strings.Join(slices.Compact(codes), ", ")) + "\nit is"
	} else {
		warned = ":"
	}
	_, err := fmt.Fprintf(c.stdout, "%s is %s%s generation %s, %s\n", report.Escape(name), state, warned, shortDigest(answer.Adapter.Generation),
		report.Escape(answer.Adapter.Mode))
	if err == nil && staged {
		_, err = fmt.Fprintf(c.stdout, "make it live: tenon activate %s %s\n", report.Escape(name), report.Escape(answer.Adapter.Generation))
	}
	return err
}

func (c *command) activate() *cobra.Command {
	var format string
	cmd := remote(&cobra.Command{
		Use: "activate NAME GENERATION", Short: "Make a staged or an earlier generation live", Args: arguments(cobra.ExactArgs(2)),
	}, func(ctx context.Context, server *client, args []string) error {
		if err := oneOf("output", format, formats...); err != nil {
			return err
		}
		generation, err := server.generation(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		_, err = c.turned(ctx, server, args[0], "/activate", generation, "%s is generation %s\n", format)
		return err
	})
	outputFlag(cmd, &format)
	return cmd
}

func (c *command) rollback() *cobra.Command {
	var to, format string
	cmd := remote(&cobra.Command{
		Use: "rollback NAME", Short: "Make a name in a running server mean what it meant before", Args: arguments(cobra.ExactArgs(1)),
	}, func(ctx context.Context, server *client, args []string) error {
		if err := oneOf("output", format, formats...); err != nil {
			return err
		}
		generation := ""
		if to != "" {
			var err error
			if generation, err = server.generation(ctx, args[0], to); err != nil {
				return err
			}
		}
		failed, err := c.turned(ctx, server, args[0], "/rollback", generation, "%s is generation %s again\n", format)
		if failed == nil {
			return err
		}
		e := failed.refusal()
		switch {
		case failed.missing():
			e.Fix("if it was unloaded, tenon activate NAME GENERATION makes it mean one again; tenon history NAME lists them, and tenon ps the names")
		case e.Code == fault.ADName && strings.Contains(e.Cause, noEarlier):
			e.Cause, _, _ = strings.Cut(e.Cause, " (")
			e.Fix("tenon history %s lists what it has meant; --to takes any of it", args[0])
		}
		return e
	})
	outputFlag(cmd, &format)
	cmd.Flags().StringVar(&to, "to", "", "`GENERATION` that it meant, or its first digits, at least 4 (default: the one before the live one); see tenon history")
	return cmd
}

// noEarlier is in the refusal of a rollback that has nothing to go back to.
const noEarlier = "has no earlier generation"

// turned asks for another generation of a name, and says what it is now. Where the server refused, the failure comes with its error.
func (c *command) turned(ctx context.Context, server *client, name, how, generation, line, format string) (*failure, error) {
	in := map[string]string{}
	if generation != "" {
		in["generation"] = generation
	}
	var raw jsontext.Value
	failed, err := server.call(ctx, adapterPath(name, how), in, &raw)
	if err := either(failed, err); err != nil {
		return failed, err
	}
	return nil, answered(c, server, raw, format, func(now adapterAnswer) error {
		_, err := fmt.Fprintf(c.stdout, line, report.Escape(name), shortDigest(now.Generation))
		return err
	})
}

// generation completes the first digits of a generation's digest, as tables show them, from the name's history.
func (c *client) generation(ctx context.Context, name, digits string) (string, error) {
	const whole, least = len("sha256:") + 64, 4
	if len(digits) == whole {
		return digits, nil
	}
	if len(strings.TrimPrefix(digits, "sha256:")) < least {
		return "", fault.New(fault.UsageFlag, "%q is too short for a generation", digits).Fix("give at least %d digits of it, as tenon history %s lists them", least, name)
	}
	var answer historyAnswer
	if err := either(c.call(ctx, adapterPath(name, "/history?limit=1000"), nil, &answer)); err != nil {
		return "", err
	}
	found := ""
	for _, record := range answer.History {
		if g := record.Generation; g != "" && matches(g, digits) && g != found {
			if found != "" {
				return "", fault.New(fault.UsageFlag, "%q is the beginning of more than one generation", digits).Fix("give more of it")
			}
			found = g
		}
	}
	if found == "" {
		return "", fault.New(fault.UsageFlag, "%q is no generation that %s has had", digits, name).Fix("tenon history %s lists them", name)
	}
	return found, nil
}

func (c *command) unload() *cobra.Command {
	var format string
	cmd := remote(&cobra.Command{
		Use: "unload NAME", Short: "Make a name in a running server mean nothing", Args: arguments(cobra.ExactArgs(1)),
	}, func(ctx context.Context, server *client, args []string) error {
		if err := oneOf("output", format, formats...); err != nil {
			return err
		}
		var raw jsontext.Value
		if err := either(server.do(ctx, http.MethodDelete, adapterPath(args[0], ""), nil, &raw)); err != nil {
			return err
		}
		return answered(c, server, raw, format, func(struct{}) error {
			_, err := fmt.Fprintf(c.stdout, "%s is unloaded\n", report.Escape(args[0]))
			return err
		})
	})
	outputFlag(cmd, &format)
	return cmd
}
