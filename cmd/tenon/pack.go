package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/bundle"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/report"
)

func (c *command) pack() *cobra.Command {
	var out, format string
	cmd := &cobra.Command{
		Use:   "pack ADAPTER --out FILE.tar.zst",
		Short: "Write an adapter as one file, to publish or to move",
		Long: `Pack writes an adapter as a bundle: its own files, the README, LICENSE and
NOTICE beside them, and a manifest of their digests. Everything else in the
directory stays behind. Every command that takes an adapter takes the bundle.

The same adapter always gives the same bytes. The adapter's digest is that of
the directory it came from; the bundle's is that of the file.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("output", format, formats...); err != nil {
				return err
			}
			if out == "" {
				return fault.New(fault.UsageFlag, "--out is needed").Fix("give the file to write, such as --out adapter.tar.zst")
			}
			packed, err := adapter.Pack(args[0], out)
			if err != nil {
				return err
			}
			view := newPackage(packed)
			if format == "json" {
				return json.MarshalWrite(c.stdout, view, json.Deterministic(true), jsontext.WithIndent("  "))
			}
			return c.printPackage(view)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&out, "out", "", "`FILE` to write; must not exist")
	flags.StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(formats, ", "))
	return cmd
}

// packaged is the JSON of tenon pack, schema tenon.package/v1.
type packaged struct {
	SchemaVersion string         `json:"schemaVersion"`
	Ref           string         `json:"ref"`
	Out           string         `json:"out"`
	Format        string         `json:"format"`
	Adapter       string         `json:"adapter"` // digest of what is inside
	Bundle        string         `json:"bundle"`  // digest of the file
	Bytes         int64          `json:"bytes"`   // of the file
	Files         []bundle.Entry `json:"files"`
}

func newPackage(p *adapter.Packed) packaged {
	view := packaged{SchemaVersion: "tenon.package/v1", Ref: p.Ref, Out: p.Out, Format: p.Format, Adapter: merge.DigestString(p.Adapter),
		Bundle: merge.DigestString(p.Bundle), Bytes: p.Size}
	for _, f := range p.Files {
		view.Files = append(view.Files, bundle.Entry{Name: f.Name, Size: f.Size, SHA256: fmt.Sprintf("%x", f.SHA256)})
	}
	return view
}

func (c *command) printPackage(view packaged) error {
	fmt.Fprintf(c.stdout, "adapter  %s\nformat   %s\ndigest   %s\nwritten  %s\nbundle   %s, %s bytes\n\n",
		report.Escape(view.Ref), view.Format, view.Adapter, report.Escape(view.Out), view.Bundle, report.Count(view.Bytes))
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, f := range view.Files {
		fmt.Fprintf(table, "%s\t  %s\t\n", report.Count(f.Size), report.Escape(f.Name))
	}
	if err := table.Flush(); err != nil {
		return fault.New(fault.IOWrite, "the result cannot be written").Wrap(err)
	}
	return nil
}
