package gate

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// run is one module of the policy: what will run, or why it may not, and how it went.
type run struct {
	requirement Requirement
	module      modules.Module
	params      map[string]float64
	refused     *refusal // why it does not run
	result      sandbox.Result
	confinement string
	times       int // it ran
}

// refusal is why a module may not run, or may not go on.
type refusal struct {
	status sandbox.Status
	code   fault.Code
	text   string
	remedy string // "" is what the status tells to do
}

func (r *refusal) Error() string { return r.text }

var _ error = (*refusal)(nil)

// unfit refuses a module that is not what the policy asks for.
func unfit(code fault.Code, format string, args ...any) *refusal {
	return &refusal{status: sandbox.Invalid, code: code, text: fmt.Sprintf(format, args...)}
}

// schedule finds the module of each requirement, in the order of their ids. One that is missing, is not the pinned build, or does not know a
// parameter it is given does not run, and that keeps the gate closed like a run that fails.
func (g *Gate) schedule() []*run {
	var runs []*run
	for _, requirement := range g.Policy.Modules {
		r := &run{requirement: requirement}
		i := slices.IndexFunc(g.Modules, func(m modules.Module) bool { return m.Manifest.ID == requirement.ID })
		switch {
		case requirement.opened != nil:
			r.module, r.refused = requirement.opened.module, requirement.opened.refused
		case requirement.File != "":
			r.refused = unfit(fault.ModuleFile, "its file was not read, because the policy was not read from a file")
		case i < 0:
			r.refused = unfit(fault.ModuleFailed, "the policy asks for this module and it is not installed")
		default:
			r.module = g.Modules[i]
			r.refused = pinned(requirement, r.module)
		}
		if r.refused == nil {
			r.params, r.refused = settings(requirement, r.module)
		}
		runs = append(runs, r)
	}
	slices.SortFunc(runs, func(a, b *run) int { return cmp.Compare(a.requirement.ID, b.requirement.ID) })
	return runs
}

// guestsFirst is the order in which runs are begun: one of every guest before the second of any, so that no two wait for the same guest to be
// compiled while another could be.
func guestsFirst(runs []*run) []*run {
	var first, later []*run
	seen := map[[32]byte]bool{}
	for _, r := range runs {
		if seen[r.module.SHA256] {
			later = append(later, r)
			continue
		}
		seen[r.module.SHA256] = true
		first = append(first, r)
	}
	return append(first, later...)
}

// pinned refuses a module that is not the build that the policy pins.
func pinned(requirement Requirement, m modules.Module) *refusal {
	for _, pin := range []struct {
		name, want string
		have       [32]byte
	}{{"sha256", requirement.SHA256, m.SHA256}, {"manifest_sha256", requirement.ManifestSHA256, m.ManifestSHA256}} {
		if pin.want != "" && pin.want != hex.EncodeToString(pin.have[:]) {
			return unfit(fault.ModuleFailed, "the policy pins %s %s, and the module at hand has %x", pin.name, pin.want, pin.have)
		}
	}
	return nil
}

// settings are the module's parameters, those of the policy before those of the manifest.
func settings(requirement Requirement, m modules.Module) (map[string]float64, *refusal) {
	params := map[string]float64{}
	names := slices.Sorted(maps.Keys(m.Manifest.Params))
	for _, name := range names {
		params[name] = m.Manifest.Params[name].Default
	}
	for _, name := range slices.Sorted(maps.Keys(requirement.Params)) {
		if _, known := params[name]; !known {
			refused := unfit(fault.ModuleFailed, "the policy sets parameter %q, which the module does not have", name)
			if near := document.Nearest(name, names); near != "" {
				refused.text += fmt.Sprintf("; did you mean %q?", near)
			}
			return nil, refused
		}
		params[name] = requirement.Params[name]
	}
	return params, nil
}

// granted reports whether the policy lets the module use c.
func (r *run) granted(c abi.Capability) bool { return slices.Contains(r.requirement.Grant, c) }

// job is what the worker gets. The module sees nothing of the base or the peers that it was not granted.
func (r *run) job(in *input) worker.Job {
	seen := in.granted(r)
	return worker.Job{
		Wasm: r.module.Wasm, SHA256: r.module.SHA256, Manifest: r.module.Manifest, Granted: r.requirement.Grant,
		Limits: limitsFor(r.requirement.Limits, seen, r.requirement.Grant, r.module.Manifest.Cost), Input: seen,
	}
}

// collect adds what the run gave to the report. Of a run that did not end well it only returns a finding that says so: half of a module's
// findings would read like all of them, and how far it came can differ from run to run.
func (r *run) collect(into *report.Report, in *input) (failure []report.Finding) {
	r.refuse()
	m, result := r.module, r.result
	entry := report.Module{ID: r.requirement.ID, Version: m.Manifest.Version, Origin: cmp.Or(r.requirement.File, m.File, report.BuiltIn), Cost: string(m.Manifest.Cost),
		Status: string(result.Status), Error: result.Error, Sandbox: r.confinement, Runs: r.times, Log: logOf(result), Usage: usage(result.Usage)}
	if m.Wasm != nil {
		entry.SHA256 = hex.EncodeToString(m.SHA256[:])
	}
	if m.ManifestSHA256 != [32]byte{} {
		entry.ManifestSHA256 = hex.EncodeToString(m.ManifestSHA256[:])
	}
	if result.Status == sandbox.GuestError && entry.Error == "" {
		entry.Error = fmt.Sprintf("the module ended with its own error code %d", result.Code)
	}
	into.Modules = append(into.Modules, entry)
	if r.refused != nil && r.refused.code == fault.RevokedList {
		return nil // it is not about this module, and the gate says it once
	}
	if result.Status != sandbox.OK {
		code, hint := fault.ModuleFailed, r.remedy(result.Status)
		if r.refused != nil {
			code, hint = r.refused.code, cmp.Or(r.refused.remedy, hint)
		}
		return []report.Finding{{Code: string(code), Severity: report.DenySeverity, Module: entry.ID,
			Message: fmt.Sprintf("the diagnostic did not run to its end (%s): %s", entry.Status, cmp.Or(entry.Error, "no reason was given")), Hint: hint}}
	}
	slices.SortStableFunc(result.Metrics, func(a, b sandbox.Metric) int { return cmp.Compare(a.Target, b.Target) })
	for _, metric := range result.Metrics {
		into.Metrics = append(into.Metrics, report.Metric{Module: entry.ID, Target: in.target(metric.Target), Name: metric.Name,
			With: in.peer(metric.Peer), Value: report.Number(metric.Value)})
	}
	slices.SortStableFunc(result.Grids, func(a, b sandbox.Grid) int { return cmp.Compare(a.Target, b.Target) })
	for _, grid := range result.Grids {
		into.Grids = append(into.Grids, report.Grid{Module: entry.ID, Target: in.target(grid.Target), Name: grid.Name,
			With: in.peer(grid.Peer), Rows: grid.Rows, Cols: grid.Cols, Values: rows(grid)})
	}
	for _, f := range result.Findings {
		into.Findings = append(into.Findings, report.Finding{Code: f.Code, Severity: severity(f.Severity), Module: entry.ID,
			Target: in.target(f.Target), Message: f.Message, Value: report.Number(f.Value), Limit: report.Number(f.Limit), Hint: f.Hint})
	}
	return nil
}

// logOf is what a guest wrote. Of a worker that died there is the worker's own stderr, which is no part of a report: it differs from run to run.
func logOf(r sandbox.Result) string {
	if r.Status == sandbox.OK || r.Status == sandbox.GuestError || r.Status == sandbox.Trap {
		return r.Log
	}
	return ""
}

// remedies are what to do about a run that failed.
var remedies = map[sandbox.Status]string{
	sandbox.GuestError: "read what the module says; it is the module that gave up",
	sandbox.Trap:       "report the fault to the module's author",
	sandbox.Timeout:    "raise runMs or compileMs of the module in the policy, or take the module out",
	sandbox.Memory:     "raise guestMemory or hostTensors of the module in the policy, or take the module out",
	sandbox.Denied:     "grant the module in the policy what it needs, or take it out",
	sandbox.Invalid:    "install the module that the policy asks for, or correct the policy",
	sandbox.WorkerDied: "check again; if the worker dies every time, the machine may be short of memory",

	sandbox.Nondeterministic: "report it to the module's author and take the module out: what differs from run to run decides nothing",
}

// remedy is what to do about a run that failed, with limits named as the policy writes them.
func (r *run) remedy(status sandbox.Status) string {
	hint := remedies[status]
	if r.requirement.snake {
		hint = snakeLimits.Replace(hint)
	}
	return hint
}

var snakeLimits = strings.NewReplacer("runMs", "run_ms", "compileMs", "compile_ms", "guestMemory", "guest_memory", "hostTensors", "host_tensors")

// severity of a guest's finding; one that does not exist counts as the gravest.
func severity(s abi.Severity) report.Severity {
	switch s {
	case abi.Info:
		return report.Info
	case abi.Warn:
		return report.Warn
	}
	return report.DenySeverity
}

// rows cuts a row-major matrix into its rows.
func rows(grid sandbox.Grid) [][]report.Number {
	values := make([][]report.Number, grid.Rows)
	for i := range values {
		values[i] = make([]report.Number, grid.Cols)
		for j := range values[i] {
			values[i][j] = report.Number(grid.Values[i*grid.Cols+j])
		}
	}
	return values
}

func usage(u sandbox.Usage) report.Usage {
	return report.Usage{WallMs: milliseconds(u.Wall), CPUMs: milliseconds(u.CPU), CompileMs: milliseconds(u.Compile),
		PeakBytes: u.PeakBytes, HostCalls: u.HostCalls, ResidentBytes: u.ResidentBytes}
}

// milliseconds of nanoseconds, to the microsecond.
func milliseconds(ns int64) float64 { return math.Round(float64(ns)/1e3) / 1e3 }
