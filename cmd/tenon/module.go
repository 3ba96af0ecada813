package main

import "github.com/spf13/cobra"

func (c *command) moduleCommand() *cobra.Command {
	return &cobra.Command{Use: "module", Short: "Write, test and look at diagnostics", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
}
