package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/server"
)

// keyCommand is tenon key.
func (c *command) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "key", Short: "Make API keys for tenon serve --keys", Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.keyNew())
	return cmd
}

func (c *command) keyNew() *cobra.Command {
	var entry server.Entry
	var scopes []string
	var days int
	cmd := &cobra.Command{
		Use: "new --name NAME --scope SCOPE[,SCOPE]...", Short: "Print a new key's secret, once, and its entry for the file", Args: arguments(cobra.NoArgs),
		Long: `Prints the entry of a new API key on stdout, to be appended to the keys file,
and its secret on stderr. The secret is shown this once and written nowhere: the
file holds its SHA-256 digest.`,
		RunE: func(*cobra.Command, []string) error {
			if err := need("name", entry.Name); err != nil {
				return err
			}
			var err error
			if entry.Scopes, err = server.ParseScopes(scopes); err != nil {
				return err
			}
			if days < 0 {
				return fault.New(fault.UsageFlag, "--days %d: a key cannot end before it begins", days)
			}
			entry.Created = time.Now().UTC().Truncate(time.Second)
			if days > 0 {
				entry.Expires = entry.Created.AddDate(0, 0, days)
			}
			if err := server.CheckEntry(entry); err != nil {
				return err
			}
			var secret string
			secret, entry.SHA256 = server.NewSecret()
			text, err := yaml.Marshal([]server.Entry{entry})
			if err != nil {
				return fmt.Errorf("writing the entry: %w", err)
			}
			if _, err := c.stdout.Write(text); err != nil {
				return fault.New(fault.IOWrite, "the entry was not written").Wrap(err)
			}
			fmt.Fprintf(c.stderr, "secret of %s, shown this once: %s\n", entry.Name, secret)
			if !c.quiet {
				fmt.Fprintln(c.stderr, "append the entry under keys: of the file that tenon serve --keys reads")
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&entry.Name, "name", "", "`NAME` of the key, as the audit and the log write it")
	flags.StringVar(&entry.Tenant, "tenant", "", "`NAME` of the tenant whose adapters it is for (default: the operator, whose adapters everybody shares)")
	flags.StringSliceVar(&scopes, "scope", nil, "what it may do, `SCOPE`s of "+scopeNames())
	flags.StringVar(&entry.Root, "root", "", "`DIR` that the key may load adapters from (default: anywhere on the server)")
	flags.IntVar(&entry.Requests, "requests", 0, "requests that may be in flight at once, `N` (default 64)")
	flags.IntVar(&days, "days", 0, "`N` days after which it ends (default: never)")
	return cmd
}

func scopeNames() string {
	var names []string
	for _, scope := range server.Scopes() {
		names = append(names, string(scope))
	}
	return strings.Join(names, ", ")
}
