package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/report"
)

func (c *command) registryCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "registry", Short: "Repair the data directory of a server", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.registryRepair())
	return cmd
}

func (c *command) registryRepair() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "repair --from-store DIR",
		Short: "Build a damaged database again from log and store",
		Long: "Build the database of a data directory again: from its audit log or what can be\n" +
			"read of the old database, whichever has more rows that are what was written, and\n" +
			"from the reports in the store. The old files are kept in quarantine/. Adapters\n" +
			"whose bytes are not what they were go there too.",
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := need("from-store", dir); err != nil {
				return err
			}
			done, err := registry.Repair(cmd.Context(), dir)
			if err != nil {
				return err
			}
			source := done.Source
			if source == "" {
				source = "nothing: neither the log nor the database had a row"
			}
			_, err = fmt.Fprintf(c.stdout, "repaired %s\nfrom     %s\nrows     %d\naliases  %d live\nadapters %d intact\nreports  %d recorded again\naside    %d of the store; the old files are in %s\n",
				report.Escape(dir), source, done.Rows, done.Aliases, done.Adapters, done.Reports, done.Quarantined, report.Escape(done.Aside))
			if err == nil && done.Problem != "" {
				_, err = fmt.Fprintf(c.stdout, "lost     what followed: %s\n", report.Escape(done.Problem))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "from-store", "", "data `DIR` of a server that does not run")
	return cmd
}
