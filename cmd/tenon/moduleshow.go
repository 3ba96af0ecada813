package main

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/tenon-ml/tenon/host/moduletest"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

func (c *command) moduleShow() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "show FILE|ID",
		Short: "Say what is in a diagnostic, without running it",
		Long: `Show reads NAME.wasm and the manifest NAME.json beside it: what it imports and
needs, its limits and parameters, its digests, and everything that would keep it
from running. Nothing of the module is run or compiled. The last lines are what
a policy needs to name this very build.

Exit codes: 0 shown, also where something would keep it from running, 1 its
manifest or file is refused, 2 usage, 3 a file is missing or cannot be read.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("output", format, formats...); err != nil {
				return err
			}
			m, err := openModule(args[0])
			if err != nil {
				return err
			}
			view := newModuleView(m)
			if format == "json" {
				return json.MarshalWrite(c.stdout, view, json.Deterministic(true), jsontext.WithIndent("  "))
			}
			c.printModule(view)
			return nil
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: text, json")
	return cmd
}

// moduleView is the JSON of tenon module show, schema tenon.module/v1.
type moduleView struct {
	SchemaVersion  string              `json:"schemaVersion"`
	File           string              `json:"file"` // "" for one that ships with Tenon
	SHA256         string              `json:"sha256"`
	ManifestSHA256 string              `json:"manifestSha256"`
	Manifest       abi.Manifest        `json:"manifest"`
	Bytes          int                 `json:"bytes"`
	Functions      int                 `json:"functions"`
	CodeBytes      int                 `json:"codeBytes"`
	DataBytes      int                 `json:"dataBytes"`
	CustomBytes    int                 `json:"customBytes"`
	MemoryMin      uint64              `json:"memoryMin"` // bytes
	MemoryMax      uint64              `json:"memoryMax"` // bytes; 0 where the module names no maximum
	Imports        []moduleImport      `json:"imports"`
	Exports        []moduletest.Export `json:"exports"`
	Problems       []string            `json:"problems"`
	Policy         string              `json:"policy"`
}

type moduleImport struct {
	Module     string         `json:"module"`
	Name       string         `json:"name"`
	Signature  string         `json:"signature"`
	Capability abi.Capability `json:"capability"`
}

func newModuleView(m modules.Module) moduleView {
	v := moduleView{SchemaVersion: "tenon.module/v1", File: m.File, SHA256: hex.EncodeToString(m.SHA256[:]),
		ManifestSHA256: hex.EncodeToString(m.ManifestSHA256[:]), Manifest: m.Manifest, Bytes: len(m.Wasm), Problems: []string{}}
	if shape, err := moduletest.ReadShape(m.Wasm); err == nil {
		v.Functions, v.CodeBytes, v.DataBytes, v.CustomBytes = shape.Functions, shape.CodeBytes, shape.DataBytes, shape.CustomSize
		v.MemoryMin, v.MemoryMax = shape.Memory.MinPages<<16, shape.Memory.MaxPages<<16
		v.Exports = shape.Exports
		for _, i := range shape.Imports {
			v.Imports = append(v.Imports, moduleImport{i.Module, i.Name, i.Signature, capabilityOf(i)})
		}
	}
	if err := sandbox.Precheck(m.Wasm, m.Manifest, m.Manifest.Needs, m.Manifest.Limits); err != nil {
		var refusal *sandbox.Refusal
		if errors.As(err, &refusal) && len(refusal.Details) > 0 {
			v.Problems = refusal.Details
		} else {
			v.Problems = []string{err.Error()}
		}
	}
	v.Policy = policyLines(m)
	return v
}

// capabilityOf is what an import needs; "" for what is always granted, and for what the ABI does not have.
func capabilityOf(i moduletest.Import) abi.Capability {
	if i.Module == abi.Module {
		for _, f := range abi.Functions {
			if f.Name == i.Name {
				return f.Capability
			}
		}
	}
	return abi.CapNone
}

// policyLines are what a policy needs to name this very build.
func policyLines(m modules.Module) string {
	var b strings.Builder
	quoted, err := yaml.Marshal(m.Manifest.ID)
	if err != nil {
		quoted = []byte(strconv.Quote(m.Manifest.ID))
	}
	fmt.Fprintf(&b, "  - id: %s\n", strings.TrimSpace(string(quoted)))
	if m.File != "" {
		base := filepath.Base(m.File) // the policy lies beside it more often than where this command runs
		file, err := yaml.Marshal(base)
		if err != nil {
			file = []byte(strconv.Quote(base))
		}
		fmt.Fprintf(&b, "    file: %s\n", strings.TrimSpace(string(file)))
	}
	fmt.Fprintf(&b, "    sha256: %x\n", m.SHA256)
	if m.File != "" {
		fmt.Fprintf(&b, "    manifest_sha256:\n      %x\n", m.ManifestSHA256)
	}
	var needs []string
	for _, n := range m.Manifest.Needs {
		needs = append(needs, string(n))
	}
	fmt.Fprintf(&b, "    grant: [%s]\n", strings.Join(needs, ", "))
	if m.Manifest.BaseSVDRank != 0 {
		fmt.Fprintf(&b, "    base_svd: true\n")
	}
	var raised []string
	for _, l := range limitNames(m.Manifest.Limits) {
		if l.value > l.usual {
			raised = append(raised, fmt.Sprintf("%s: %d", l.policy, l.value))
		}
	}
	if len(raised) > 0 {
		fmt.Fprintf(&b, "    limits: {%s}\n", strings.Join(raised, ", "))
	}
	return b.String()
}

// namedLimit is a limit under the name that people know.
type namedLimit struct {
	manifest, policy string
	value, usual     int64
}

func limitNames(l abi.Limits) []namedLimit {
	d := abi.DefaultLimits
	return []namedLimit{
		{"guest_memory", "guestMemory", l.GuestMemory, d.GuestMemory}, {"host_tensors", "hostTensors", l.HostTensors, d.HostTensors},
		{"metrics", "metrics", int64(l.Metrics), int64(d.Metrics)}, {"grid_values", "gridValues", int64(l.GridValues), int64(d.GridValues)},
		{"findings", "findings", int64(l.Findings), int64(d.Findings)}, {"log_bytes", "logBytes", int64(l.LogBytes), int64(d.LogBytes)},
		{"host_calls", "hostCalls", l.HostCalls, d.HostCalls}, {"run_ms", "runMs", l.RunMillis, d.RunMillis},
		{"compile_ms", "compileMs", l.CompileMillis, d.CompileMillis},
	}
}

func (c *command) printModule(v moduleView) {
	m := v.Manifest
	line := func(label, format string, args ...any) {
		writeWrapped(c.stdout, fmt.Sprintf("%-10s", label), fmt.Sprintf(format, args...), 80)
	}
	line("module", "%s %s, %s", m.ID, m.Version, cmp.Or(v.File, "which ships with Tenon"))
	line("title", "%s", m.Title)
	line("sha256", "%s", v.SHA256)
	line("manifest", "%s", v.ManifestSHA256)
	line("size", "%s: %s functions, %s of code, %s of data, %s of names and the like", formatSize(int64(v.Bytes)), report.Count(int64(v.Functions)),
		formatSize(int64(v.CodeBytes)), formatSize(int64(v.DataBytes)), formatSize(int64(v.CustomBytes)))
	memory := fmt.Sprintf("%.1f MiB at the start", mebibytes(v.MemoryMin))
	if v.MemoryMax > 0 {
		memory += fmt.Sprintf(", %.1f MiB at most", mebibytes(v.MemoryMax))
	}
	line("memory", "%s; a run allows %.0f MiB", memory, mebibytes(uint64(m.Limits.WithDefaults().GuestMemory)))
	line("cost", "%s: %s", m.Cost, costMeanings[m.Cost])
	line("needs", "%s", cmp.Or(capabilities(m.Needs), "nothing"))
	var limits []string
	for _, l := range limitNames(m.Limits) {
		if l.value != 0 {
			limits = append(limits, fmt.Sprintf("%s %d", l.manifest, l.value))
		}
	}
	line("limits", "%s", cmp.Or(strings.Join(limits, ", "), "the usual ones"))

	if len(m.Params) > 0 {
		fmt.Fprintf(c.stdout, "\nparameters, and their defaults\n")
		names, widest, longest := slices.Sorted(maps.Keys(m.Params)), 0, 0
		value := func(name string) string { return strconv.FormatFloat(m.Params[name].Default, 'g', -1, 64) }
		for _, name := range names {
			widest, longest = max(widest, len(name)), max(longest, len(value(name)))
		}
		for _, name := range names {
			writeWrapped(c.stdout, fmt.Sprintf("  %-*s = %-*s   ", min(widest, 24), name, longest, value(name)), m.Params[name].Doc, 80)
		}
	}
	c.printImports(v.Imports)
	if len(v.Exports) > 0 {
		fmt.Fprintf(c.stdout, "\nexports\n")
		for _, e := range v.Exports {
			writeWrapped(c.stdout, fmt.Sprintf("  %-13s ", e.Name), e.Signature, 80)
		}
	}
	if len(v.Problems) > 0 {
		fmt.Fprintf(c.stdout, "\nwhat keeps it from running\n")
		for _, p := range v.Problems {
			writeWrapped(c.stdout, "  - ", p, 80)
		}
		return
	}
	fmt.Fprintf(c.stdout, "\nfor a policy, under modules\n%s", v.Policy)
	if v.File != "" {
		fmt.Fprintln(c.stdout, "\nfile is relative to the policy. tenon module test runs it.")
	}
}

func mebibytes(n uint64) float64 { return float64(n) / (1 << 20) }

var costMeanings = map[abi.Cost]string{
	abi.CostFactors: "it reads the adapter's factors alone",
	abi.CostWeights: "it passes over each adapted weight of the base",
	abi.CostVectors: "it needs singular vectors of the base",
}

// printImports lists what a module imports, by what must be granted for it.
func (c *command) printImports(imports []moduleImport) {
	if len(imports) == 0 {
		return
	}
	fmt.Fprintf(c.stdout, "\nimports\n")
	groups := map[string][]string{}
	for _, i := range imports {
		group, name := "always", i.Name
		switch {
		case i.Module == abi.WASIModule:
			group = "wasi"
		case i.Module != abi.Module || !slices.ContainsFunc(abi.Functions, func(f abi.Function) bool { return f.Name == i.Name }):
			group, name = "unknown", fmt.Sprintf("%s.%s %s;", i.Module, i.Name, i.Signature)
		case i.Capability != abi.CapNone:
			group = string(i.Capability)
		}
		groups[group] = append(groups[group], name)
	}
	for _, group := range []string{"always", "base", "peers", "kernels", "wasi", "unknown"} {
		if names := groups[group]; len(names) > 0 {
			writeWrapped(c.stdout, fmt.Sprintf("  %-9s", group), strings.Join(names, " "), 80)
		}
	}
}
