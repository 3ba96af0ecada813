package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/bank"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/report"
)

func (c *command) bankCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bank",
		Short: "Keep what is known of adapters you trust, to hold others against",
		Long: `A bank is a directory that remembers what modules such as anomaly and duplicates
said about adapters an operator knows to be good. A check that is given the bank
says how an adapter compares with them.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.bankAdd(), c.bankList(), c.bankRemove())
	return cmd
}

func (c *command) bankAdd() *cobra.Command {
	var dir, baseRef, note, force string
	cmd := &cobra.Command{
		Use:   "add ADAPTER... --base MODEL --bank DIR",
		Short: "Check adapters and remember those that the gate lets through",
		Long: `Add checks each adapter and stores what the policy's modules remember of it.
The gate must let it through, because a bank is of adapters known to be good;
--force says why one is known to be good all the same. What is in the bank
already has no say. Adding an adapter again changes nothing, unless a module is
newer.`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := errors.Join(need("base", baseRef), need("bank", dir))
			if cmd.Flags().Changed("force") && strings.TrimSpace(force) == "" {
				err = errors.Join(err, fault.New(fault.UsageFlag, "--force needs a reason").Fix("say why; the bank records it"))
			}
			if err != nil {
				return err
			}
			h, err := c.host()
			if err != nil {
				return err
			}
			b, err := h.OpenBase(baseRef)
			if err != nil {
				return err
			}
			defer b.Close()
			var worst error
			for _, ref := range args {
				if err := c.remember(cmd.Context(), h, b, ref, dir, note, force); err != nil {
					var closed exitError
					if !errors.As(err, &closed) {
						return err
					}
					if previous, ok := worst.(exitError); !ok || closed > previous {
						worst = closed
					}
				}
			}
			return worst
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&baseRef, "base", "", "base checkpoint: a `DIR` in Hugging Face layout")
	flags.StringVar(&dir, "bank", "", "the bank, a `DIR`; it is made where there is none")
	flags.StringVar(&note, "note", "", "`TEXT` to keep with the adapters")
	flags.StringVar(&force, "force", "", "add an adapter that the gate refuses, for this `REASON`")
	return cmd
}

// remember checks one adapter and adds it. One that the gate does not let through is an answer, with its exit code.
func (c *command) remember(ctx context.Context, h *host.Host, b *base.Base, ref, dir, note, force string) error {
	checked, err := h.Remember(ctx, b, ref)
	if err != nil {
		return err
	}
	defer checked.Close()
	r := checked.Report
	if !r.Verdict.Open() && (force == "" || r.Verdict == report.Inconclusive || len(r.Modules) == 0) {
		writeWrapped(c.stdout, "refused  ", ref, 80)
		if err := c.print(r, "text"); err != nil {
			return err
		}
		return verdictExit(r, "deny")
	}
	entry, err := bank.NewEntry(r, note, force)
	if err != nil {
		return err
	}
	added, err := bank.Add(dir, entry)
	if err != nil {
		return err
	}
	what := "added  "
	if !added {
		what = "known  "
	}
	writeWrapped(c.stdout, fmt.Sprintf("%s%s  ", what, shortDigest(r.Adapter.Digest)), ref, 80)
	return nil
}

func (c *command) bankList() *cobra.Command {
	var dir, format string
	cmd := &cobra.Command{
		Use: "list --bank DIR", Short: "List what is in a bank", Args: arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if err := errors.Join(need("bank", dir), oneOf("output", format, formats...)); err != nil {
				return err
			}
			view, err := listBank(dir)
			if err != nil {
				return err
			}
			if format == "json" {
				return json.MarshalWrite(c.stdout, view, json.Deterministic(true), jsontext.WithIndent("  "))
			}
			return c.printBank(view)
		},
	}
	cmd.Flags().StringVar(&dir, "bank", "", "the bank, a `DIR`")
	cmd.Flags().StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(formats, ", "))
	return cmd
}

// bankView is the JSON of tenon bank list, schema tenon.bank-list/v1.
type bankView struct {
	SchemaVersion string     `json:"schemaVersion"`
	Bases         []bankBase `json:"bases"`
}

type bankBase struct {
	Digest   string        `json:"digest"`
	Ref      string        `json:"ref"`  // as it was called when the first adapter was added
	Bank     string        `json:"bank"` // digest over the entries
	Adapters []bankAdapter `json:"adapters"`
}

type bankAdapter struct {
	bank.Adapter
	Verdict  report.Verdict `json:"verdict"`
	Override string         `json:"override"`
	Note     string         `json:"note"`
	Remember []string       `json:"remember"` // modules and their versions
	Features int            `json:"features"` // numbers
}

func listBank(dir string) (bankView, error) {
	view := bankView{SchemaVersion: "tenon.bank-list/v1", Bases: []bankBase{}}
	bases, err := bank.Bases(dir)
	if err != nil {
		return view, err
	}
	for _, sum := range bases {
		opened, err := bank.Open(dir, sum)
		if err != nil {
			return view, err
		}
		of := bankBase{Digest: merge.DigestString(sum), Bank: merge.DigestString(opened.Digest()), Adapters: []bankAdapter{}}
		for _, e := range opened.Entries() {
			of.Ref = e.Base.Ref
			a := bankAdapter{Adapter: e.Adapter, Verdict: e.Verdict, Override: e.Override, Note: e.Note}
			for _, f := range e.Features {
				if name := f.Module + " " + f.Version; len(a.Remember) == 0 || a.Remember[len(a.Remember)-1] != name {
					a.Remember = append(a.Remember, name)
				}
				a.Features += len(f.Values)
			}
			of.Adapters = append(of.Adapters, a)
		}
		view.Bases = append(view.Bases, of)
	}
	return view, nil
}

func (c *command) printBank(view bankView) error {
	for i, b := range view.Bases {
		if i > 0 {
			fmt.Fprintln(c.stdout)
		}
		writeWrapped(c.stdout, fmt.Sprintf("base %s  ", shortDigest(b.Digest)), fmt.Sprintf("%s, %d adapters", b.Ref, len(b.Adapters)), 80)
		table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
		for _, a := range b.Adapters {
			verdict := report.Escape(string(a.Verdict))
			if a.Override != "" {
				verdict += " (forced)"
			}
			fmt.Fprintf(table, "  %s\t%s\t%d numbers\t%s\n", shortDigest(a.Digest), verdict, a.Features, report.Escape(lastPart(a.Ref, 28)))
		}
		if err := table.Flush(); err != nil {
			return fault.New(fault.IOWrite, "the result cannot be written").Wrap(err)
		}
	}
	if len(view.Bases) == 0 {
		fmt.Fprintln(c.stdout, "the bank is empty")
	}
	return nil
}

// lastPart keeps the end of a reference, which tells more than its beginning.
func lastPart(ref string, width int) string {
	runes := []rune(ref)
	if len(runes) <= width {
		return ref
	}
	return "…" + string(runes[len(runes)-width+1:])
}

func (c *command) bankRemove() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "remove DIGEST --bank DIR", Short: "Take an adapter out of a bank, for every base", Args: arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := need("bank", dir); err != nil {
				return err
			}
			digest, err := bank.Remove(dir, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.stdout, "removed  %s\n", digest)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "bank", "", "the bank, a `DIR`")
	return cmd
}
