package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

func (c *command) load() *cobra.Command {
	var mode string
	var stage bool
	cmd := remote(&cobra.Command{
		Use: "load NAME ADAPTER", Short: "Gate an adapter in a running server and make it live under a name", Args: arguments(cobra.ExactArgs(2)),
	}, func(ctx context.Context, server *client, args []string) error {
		if err := oneOf("mode", mode, "auto", "merged", "unmerged"); err != nil {
			return err
		}
		ref := args[1]
		if _, err := os.Stat(ref); err == nil {
			if absolute, err := filepath.Abs(ref); err == nil {
				ref = absolute // the server has its own working directory
			}
		}
		var answer struct {
			Adapter adapterAnswer  `json:"adapter"`
			Report  *report.Report `json:"report"`
		}
		failed, err := server.call(ctx, adapterPath(args[0], ""), map[string]any{"ref": ref, "mode": mode, "staged": stage}, &answer)
		switch {
		case err != nil:
			return err
		case failed == nil:
			state := "live"
			if stage {
				state = "staged"
			}
			_, err = fmt.Fprintf(c.stdout, "%s is %s: generation %s, %s\n", report.Escape(args[0]), state, shortDigest(answer.Adapter.Generation),
				report.Escape(answer.Adapter.Mode))
			if err == nil && stage {
				_, err = fmt.Fprintf(c.stdout, "make it live: tenon activate %s %s\n", report.Escape(args[0]), report.Escape(answer.Adapter.Generation))
			}
			return err
		case failed.Report != nil:
			if err := c.print(failed.Report, "text"); err != nil {
				return err
			}
			return verdictExit(failed.Report, "deny")
		}
		return failed.refusal()
	})
	cmd.Flags().StringVar(&mode, "mode", "auto", "how its change is computed, `MODE`: merged into weights of its own, unmerged at each token, or auto, what fits")
	cmd.Flags().BoolVar(&stage, "stage", false, "stop when it is staged and verified; tenon activate makes it live")
	return cmd
}

func (c *command) activate() *cobra.Command {
	return remote(&cobra.Command{
		Use: "activate NAME GENERATION", Short: "Make a staged or an earlier generation live", Args: arguments(cobra.ExactArgs(2)),
	}, func(ctx context.Context, server *client, args []string) error {
		generation, err := server.generation(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		return c.turned(ctx, server, args[0], "/activate", generation, "%s is generation %s\n")
	})
}

func (c *command) rollback() *cobra.Command {
	var to string
	cmd := remote(&cobra.Command{
		Use: "rollback NAME", Short: "Make a name in a running server mean what it meant before", Args: arguments(cobra.ExactArgs(1)),
	}, func(ctx context.Context, server *client, args []string) error {
		generation := ""
		if to != "" {
			var err error
			if generation, err = server.generation(ctx, args[0], to); err != nil {
				return err
			}
		}
		return c.turned(ctx, server, args[0], "/rollback", generation, "%s is generation %s again\n")
	})
	cmd.Flags().StringVar(&to, "to", "", "`GENERATION` that it meant, or its first digits (default: the one before the live one); see tenon history")
	return cmd
}

// turned asks for another generation of a name, and says what it is now.
func (c *command) turned(ctx context.Context, server *client, name, how, generation, line string) error {
	in := map[string]string{}
	if generation != "" {
		in["generation"] = generation
	}
	var now adapterAnswer
	if err := either(server.call(ctx, adapterPath(name, how), in, &now)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.stdout, line, report.Escape(name), shortDigest(now.Generation))
	return err
}

// generation completes the first digits of a generation's digest, as tables show them, from the name's history.
func (c *client) generation(ctx context.Context, name, digits string) (string, error) {
	const whole = len("sha256:") + 64
	if len(digits) == whole {
		return digits, nil
	}
	var answer historyAnswer
	if err := either(c.call(ctx, adapterPath(name, "/history?limit=1000"), nil, &answer)); err != nil {
		return "", err
	}
	found := ""
	for _, record := range answer.History {
		if g := record.Generation; g != "" && len(digits) >= 4 && matches(g, digits) && g != found {
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
	return remote(&cobra.Command{
		Use: "unload NAME", Short: "Make a name in a running server mean nothing", Args: arguments(cobra.ExactArgs(1)),
	}, func(ctx context.Context, server *client, args []string) error {
		if err := either(server.do(ctx, http.MethodDelete, adapterPath(args[0], ""), nil, nil)); err != nil {
			return err
		}
		_, err := fmt.Fprintf(c.stdout, "%s is unloaded\n", report.Escape(args[0]))
		return err
	})
}
