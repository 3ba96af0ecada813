package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/figure"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/report"
)

//go:embed compare.yaml
var compareYAML []byte

func (c *command) compare() *cobra.Command {
	var baseRef, format, figures string
	cmd := &cobra.Command{
		Use:   "compare ADAPTER ADAPTER [--base MODEL]",
		Short: "Say what two adapters have to do with each other",
		Long: `Compare says in plain words whether two adapters do the same, are unrelated, or
overlap and oppose each other, and shows what that is read from: the overlap φ
of their directions beside what chance gives, principal angles, the cosine of
the changes and what happens when both are merged.

It reads the adapters alone. With --base it also makes sure that both fit it.`,
		Args: arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("output", format, reportFormats...); err != nil {
				return err
			}
			r, err := c.compareAdapters(cmd.Context(), baseRef, args[0], args[1])
			if err != nil {
				return err
			}
			if figures != "" {
				if _, err := figure.WriteFiles(figures, figure.FromReport(r, 0)); err != nil {
					return err
				}
			}
			if err := c.printComparison(r, format); err != nil {
				return err
			}
			return verdictExit(r, "deny")
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&baseRef, "base", "", "base checkpoint: a `DIR` in Hugging Face layout")
	flags.StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(reportFormats, ", "))
	flags.StringVar(&figures, "figures", "", "also draw every figure into `DIR`, as SVG and PNG")
	return cmd
}

// compareAdapters runs the modules that compare adapters on the first one, with the second one beside it. What they report does not depend on
// which is which, but for the rows and columns of grids. The first finding is the answer.
func (c *command) compareAdapters(ctx context.Context, baseRef, first, second string) (*report.Report, error) {
	policy, err := gate.ParsePolicy("the policy of a comparison", compareYAML)
	if err != nil {
		return nil, err
	}
	h, err := c.newHost(host.Options{CacheDir: c.cacheDir, Log: c.log(), Progress: c.newProgress(), Policy: policy, Revoked: c.revoked})
	if err != nil {
		return nil, err
	}
	var b *base.Base
	if baseRef != "" {
		if b, err = h.OpenBase(baseRef); err != nil {
			return nil, err
		}
		defer b.Close()
	}
	var bindings []*adapter.Binding
	var problems []error
	for _, ref := range []string{first, second} {
		binding, err := bindAlone(ref, b)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		defer binding.Close()
		bindings = append(bindings, binding)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if err := sameShapes(bindings[0], bindings[1]); err != nil {
		return nil, err
	}
	r, err := h.Gate().Check(ctx, gate.Subject{Binding: bindings[0], Peers: bindings[1:]})
	if err != nil {
		return nil, err
	}
	if r.Verdict != report.Inconclusive {
		answer := newRelation(r.Metrics, len(bindings[0].Targets), len(bindings[1].Targets)).finding()
		r.Findings = slices.Insert(r.Findings, 0, answer)
	}
	return r, nil
}

// bindAlone opens an adapter and binds it to a base, or to none where b is nil. Without an error the caller closes its Adapter.
func bindAlone(ref string, b *base.Base) (*adapter.Binding, error) {
	if b != nil {
		return adapter.Load(ref, b)
	}
	a, err := adapter.Open(ref)
	if err != nil {
		return nil, err
	}
	binding, err := a.Unbound()
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return binding, nil
}

// sameShapes refuses adapters of one module in two shapes, which no base has. A base refuses one of them before that.
func sameShapes(first, second *adapter.Binding) error {
	shapes := map[string][2]int{}
	for _, t := range first.Targets {
		shapes[t.Name] = [2]int{t.Out, t.In}
	}
	for _, t := range second.Targets {
		if want, ok := shapes[t.Name]; ok && want != [2]int{t.Out, t.In} {
			return fault.New(fault.ADShape, "the factors are for a weight of %d x %d, and those of %s for one of %d x %d: they are for different bases",
				t.Out, t.In, first.Adapter.Ref, want[0], want[1]).In(second.Adapter.Ref).Of(t.Name).Fix("compare adapters of one base")
		}
	}
	return nil
}

// withoutAnswer takes the answer out of the findings. It takes the place of the verdict, which says whether an adapter may be merged: nobody
// asked that.
func withoutAnswer(r *report.Report) (answer report.Finding, rest *report.Report) {
	copied := *r
	copied.Findings = r.Findings[1:]
	return r.Findings[0], &copied
}

func (c *command) printComparison(r *report.Report, format string) error {
	switch format {
	case "json":
		return report.JSON(c.stdout, r)
	case "html":
		if r.Verdict == report.Inconclusive {
			return report.HTML(c.stdout, r, figure.ForPage(r))
		}
		answer, rest := withoutAnswer(r)
		return report.ComparisonHTML(c.stdout, rest, figure.ForPage(rest), answer.Code, answer.Message)
	}
	if r.Verdict == report.Inconclusive {
		return c.print(r, "text")
	}
	answer, rest := withoutAnswer(r)
	var page bytes.Buffer
	if err := report.Text(&page, rest, report.TextOptions{Width: 80}); err != nil {
		return err
	}
	_, tables, _ := strings.Cut(page.String(), "\n\n")
	writeWrapped(c.stdout, answer.Code+"  ", answer.Message, 80)
	writeWrapped(c.stdout, "→ ", answer.Hint, 80)
	if err := printAngles(c.stdout, r); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c.stdout, "\n%s", tables); err != nil {
		return fault.New(fault.IOWrite, "the result cannot be written").Wrap(err)
	}
	return nil
}
