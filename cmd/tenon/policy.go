package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/wasm/modules"
)

func (c *command) policyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "policy", Short: "Print a built-in policy, or check one of yours", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(
		&cobra.Command{
			Use: "show [NAME]", Short: "Print a built-in policy: " + strings.Join(gate.BuiltinNames(), ", "),
			Args: arguments(cobra.MaximumNArgs(1)), ValidArgs: gate.BuiltinNames(),
			RunE: func(_ *cobra.Command, args []string) error {
				name := gate.DefaultName
				if len(args) == 1 {
					name = args[0]
				}
				text, ok := gate.BuiltinYAML(name)
				if !ok {
					return oneOf("policy", name, gate.BuiltinNames()...)
				}
				_, err := c.stdout.Write(text)
				return err
			},
		},
		&cobra.Command{
			Use: "check FILE", Short: "Check that a policy loads and that its modules can run", Args: arguments(cobra.ExactArgs(1)),
			RunE: func(_ *cobra.Command, args []string) error {
				p, err := gate.LoadPolicy(args[0])
				if err != nil {
					return err
				}
				installed, err := modules.Builtin()
				if err != nil {
					return err
				}
				notes, err := p.Fit(installed)
				if err != nil {
					return err
				}
				for _, note := range notes {
					writeWrapped(c.stderr, "note: ", note, 80)
				}
				_, err = fmt.Fprintf(c.stdout, "policy %s is valid, sha256:%x\n", report.Escape(p.Name), p.Digest)
				return err
			},
		})
	return cmd
}
