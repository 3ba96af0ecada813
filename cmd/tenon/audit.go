package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/report"
)

func (c *command) auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "List and verify what a data directory remembers", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(c.auditVerify(), c.auditList())
	return cmd
}

// dataDir adds --data, and gives the directory that it or the one argument names.
func dataDir(cmd *cobra.Command) func(args []string) (string, error) {
	flag := cmd.Flags().String("data", "", "data `DIR` of a server, running or not")
	return func(args []string) (string, error) {
		switch {
		case len(args) == 1 && *flag == "":
			return args[0], nil
		case len(args) == 0 && *flag != "":
			return *flag, nil
		}
		return "", fault.New(fault.UsageFlag, "one data directory is needed").Fix("usage: tenon audit %s DIR, or --data DIR", cmd.Name())
	}
}

// auditAnswer is the result of tenon audit verify.
type auditAnswer struct {
	Intact bool      `json:"intact"`
	Rows   uint64    `json:"rows"` // that are what was written, from the first on
	Head   string    `json:"head"` // hash of the last of them
	Bad    *auditBad `json:"bad,omitempty"`
}

type auditBad struct {
	Sequence uint64 `json:"sequence"`
	Problem  string `json:"problem"`
	Expected string `json:"expected"`
	Found    string `json:"found"`
}

func (c *command) auditVerify() *cobra.Command {
	var format string
	cmd := &cobra.Command{Use: "verify DIR", Short: "Hold every row of the audit against the hash chain", Args: arguments(cobra.MaximumNArgs(1))}
	dir := dataDir(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		data, err := dir(args)
		if err := errors.Join(err, oneOf("output", format, formats...)); err != nil {
			return err
		}
		found, err := registry.VerifyAuditDir(cmd.Context(), data)
		if err != nil {
			return err
		}
		answer := auditAnswer{Intact: found.Intact, Rows: found.Rows, Head: hex.EncodeToString(found.Head[:])}
		if found.Bad != nil {
			answer.Bad = &auditBad{found.Bad.Sequence, found.Bad.Problem, found.Bad.Expected, found.Bad.Found}
		}
		if err := c.printAudit(answer, data, format); err != nil {
			return err
		}
		if !found.Intact {
			return exitError(exitDenied)
		}
		return nil
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(formats, ", "))
	return cmd
}

func (c *command) printAudit(a auditAnswer, dir, format string) error {
	if format == "json" {
		if err := json.MarshalWrite(c.stdout, a, json.Deterministic(true), jsontext.WithIndent("  ")); err != nil {
			return err
		}
		_, err := fmt.Fprintln(c.stdout)
		return err
	}
	if a.Bad == nil {
		_, err := fmt.Fprintf(c.stdout, "intact   %s\nrows     %d\nhead     %s\n", report.Escape(dir), a.Rows, a.Head)
		return err
	}
	_, err := fmt.Fprintf(c.stdout, "changed  %s\nrow      %d %s\nexpected %s\nfound    %s\nintact   %d rows before it\n", report.Escape(dir), a.Bad.Sequence,
		report.Escape(a.Bad.Problem), report.Escape(a.Bad.Expected), report.Escape(a.Bad.Found), a.Rows)
	return err
}

// auditEntry is a row as tenon audit list -o json writes it.
type auditEntry struct {
	Sequence uint64         `json:"sequence"`
	Time     string         `json:"time"`
	Kind     string         `json:"kind"`
	Actor    string         `json:"actor"`
	Tenant   string         `json:"tenant,omitempty"`
	Alias    string         `json:"alias,omitempty"`
	Detail   jsontext.Value `json:"detail"`
	Hash     string         `json:"hash"`
}

func (c *command) auditList() *cobra.Command {
	var format string
	var page registry.Page
	cmd := &cobra.Command{Use: "list DIR", Short: "List rows of the audit table, newest first", Args: arguments(cobra.MaximumNArgs(1))}
	dir := dataDir(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		data, err := dir(args)
		if err := errors.Join(err, oneOf("output", format, formats...)); err != nil {
			return err
		}
		rows, next, err := registry.AuditDir(cmd.Context(), data, page)
		if err != nil {
			return err
		}
		if format == "json" {
			return c.printRowsJSON(rows, next)
		}
		table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintf(table, "ROW\tTIME\tKIND\tACTOR\tALIAS\tWHAT\n")
		for _, row := range rows {
			fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", row.Sequence, row.Time.Format(time.RFC3339), report.Escape(row.Kind), report.Escape(row.Actor),
				report.Escape(row.Alias), report.Escape(auditWhat(row)))
		}
		if err := table.Flush(); err != nil || next == "" {
			return err
		}
		_, err = fmt.Fprintf(c.stderr, "there are more: --after %s\n", next)
		return err
	}
	flags := cmd.Flags()
	flags.StringVar(&page.Tenant, "tenant", "", "only the rows of a tenant, by `NAME`")
	flags.StringVar(&page.After, "after", "", "go on below this `ROW`")
	flags.IntVar(&page.Limit, "limit", registry.DefaultLimit, fmt.Sprintf("list at most `N` rows, up to %d", registry.MaxLimit))
	flags.StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(formats, ", "))
	return cmd
}

func (c *command) printRowsJSON(rows []registry.AuditRow, next string) error {
	entries := make([]auditEntry, len(rows))
	for i, row := range rows {
		entries[i] = auditEntry{row.Sequence, row.Time.Format(time.RFC3339Nano), row.Kind, row.Actor, row.Tenant, row.Alias, row.Detail, hex.EncodeToString(row.Hash[:])}
	}
	answer := struct {
		Rows []auditEntry `json:"rows"`
		Next string       `json:"next,omitempty"` // for --after
	}{entries, next}
	if err := json.MarshalWrite(c.stdout, answer, json.Deterministic(true), jsontext.WithIndent("  ")); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.stdout)
	return err
}

// auditWhat is the most telling part of a row's detail, in a few words.
func auditWhat(row registry.AuditRow) string {
	var detail struct {
		Verdict    string `json:"verdict"`
		Override   string `json:"override"`
		Adapter    string `json:"adapter"`
		Generation string `json:"generation"`
		Mode       string `json:"mode"`
		Source     string `json:"source"`
	}
	if err := json.Unmarshal(row.Detail, &detail); err != nil {
		return ""
	}
	var words []string
	for _, word := range []string{detail.Verdict, detail.Override, shortDigest(detail.Generation), detail.Mode, detail.Source} {
		if word != "" {
			words = append(words, word)
		}
	}
	if detail.Adapter != "" {
		words = append(words, "adapter "+shortDigest(detail.Adapter))
	}
	return strings.Join(words, ", ")
}
