package main

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
)

// moduleListing is the JSON of tenon module list, schema tenon.module-list/v1.
type moduleListing struct {
	SchemaVersion string         `json:"schemaVersion"`
	Policy        string         `json:"policy"`
	Modules       []listedModule `json:"modules"`
}

type listedModule struct {
	ID             string           `json:"id"`
	Version        string           `json:"version"` // "" for one of the policy that is not at hand
	Title          string           `json:"title"`
	Cost           abi.Cost         `json:"cost"`
	Needs          []abi.Capability `json:"needs"`
	SHA256         string           `json:"sha256"`
	ManifestSHA256 string           `json:"manifestSha256"`
	File           string           `json:"file"` // "" for one that ships with Tenon
	InPolicy       bool             `json:"inPolicy"`
	Note           string           `json:"note,omitzero"` // what is wrong with its file
}

func (c *command) moduleList() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "list", Short: "List the diagnostics that ship with Tenon, and those of the policy", Args: arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if err := oneOf("output", format, formats...); err != nil {
				return err
			}
			policy, ok := gate.Builtin(c.policy)
			if !ok {
				var err error
				if policy, err = gate.LoadPolicy(c.policy); err != nil {
					return err
				}
			}
			view, err := listModules(policy, filepath.Dir(c.policy))
			if err != nil {
				return err
			}
			if format == "json" {
				return json.MarshalWrite(c.stdout, view, json.Deterministic(true), jsontext.WithIndent("  "))
			}
			return c.printModules(view)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: text, json")
	return cmd
}

// listModules lists the modules that ship with Tenon, and those that a policy has beside them, whose files are relative to dir.
func listModules(policy *gate.Policy, dir string) (moduleListing, error) {
	view := moduleListing{SchemaVersion: "tenon.module-list/v1", Policy: policy.Name}
	builtin, err := modules.Builtin()
	if err != nil {
		return view, err
	}
	asked := map[string]bool{}
	for _, r := range policy.Modules {
		asked[r.ID] = true
	}
	for _, m := range builtin {
		view.Modules = append(view.Modules, listedModule{ID: m.Manifest.ID, Version: m.Manifest.Version, Title: m.Manifest.Title, Cost: m.Manifest.Cost,
			Needs: m.Manifest.Needs, SHA256: hex.EncodeToString(m.SHA256[:]), ManifestSHA256: hex.EncodeToString(m.ManifestSHA256[:]),
			InPolicy: asked[m.Manifest.ID]})
		delete(asked, m.Manifest.ID)
	}
	for _, r := range policy.Modules {
		if asked[r.ID] {
			listed := listedModule{ID: r.ID, Needs: r.Grant, SHA256: r.SHA256, ManifestSHA256: r.ManifestSHA256, File: r.File, InPolicy: true}
			path := r.File
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			switch m, err := modules.Open(path); {
			case errors.Is(err, fs.ErrNotExist):
				listed.Note = "missing"
			case err != nil:
				listed.Note = "cannot be read"
			default:
				listed.Version, listed.Title, listed.Cost = m.Manifest.Version, m.Manifest.Title, m.Manifest.Cost
				if hex.EncodeToString(m.SHA256[:]) != r.SHA256 || hex.EncodeToString(m.ManifestSHA256[:]) != r.ManifestSHA256 {
					listed.Note = "not the build that the policy names"
				}
			}
			view.Modules = append(view.Modules, listed)
		}
	}
	return view, nil
}

func (c *command) printModules(view moduleListing) error {
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tVERSION\tCOST\tNEEDS\tSHA-256\tRUNS")
	for _, m := range view.Modules {
		runs := ""
		if m.InPolicy {
			runs = "yes"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%.12s\t%s\n", report.Escape(m.ID), report.Escape(cmp.Or(m.Version, "-")),
			cmp.Or(string(m.Cost), "-"), cmp.Or(capabilities(m.Needs), "-"), cmp.Or(m.SHA256, "-"), runs)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(c.stdout)
	for _, m := range view.Modules {
		if m.File != "" {
			writeWrapped(c.stdout, m.ID+"  ", strings.TrimSuffix(m.File+": "+m.Note, ": "), 80)
		}
	}
	writeWrapped(c.stdout, "", fmt.Sprintf("RUNS: in a check with policy %s. tenon module show ID tells more of one.", view.Policy), 80)
	return nil
}

func capabilities(list []abi.Capability) string {
	text := ""
	for i, c := range list {
		if i > 0 {
			text += " "
		}
		text += string(c)
	}
	return text
}
