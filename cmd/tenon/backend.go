package main

import "github.com/spf13/cobra"

func (c *command) backendCommand() *cobra.Command {
	return &cobra.Command{Use: "backend", Short: "Look at backends and hold one against the contract", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
}
