package gate

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"

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
	refused     string // why it does not run
	result      sandbox.Result
	confinement string
}

// schedule finds the module of each requirement, in the order of their ids. One that is missing, is not the pinned build, or does not know a
// parameter it is given does not run, and that keeps the gate closed like a run that fails.
func (g *Gate) schedule() []*run {
	var runs []*run
	for _, requirement := range g.Policy.Modules {
		r := &run{requirement: requirement}
		i := slices.IndexFunc(g.Modules, func(m modules.Module) bool { return m.Manifest.ID == requirement.ID })
		if i < 0 {
			r.refused = "the policy asks for this module and it is not installed"
		} else {
			r.module = g.Modules[i]
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

// settings are the module's parameters, those of the policy before those of the manifest. refused says why the module may not run.
func settings(requirement Requirement, m modules.Module) (params map[string]float64, refused string) {
	if pin := requirement.SHA256; pin != "" && pin != hex.EncodeToString(m.SHA256[:]) {
		return nil, fmt.Sprintf("the policy pins sha256 %s, and the module at hand has %x", pin, m.SHA256)
	}
	params = map[string]float64{}
	names := slices.Sorted(maps.Keys(m.Manifest.Params))
	for _, name := range names {
		params[name] = m.Manifest.Params[name].Default
	}
	for _, name := range slices.Sorted(maps.Keys(requirement.Params)) {
		if _, known := params[name]; !known {
			refused = fmt.Sprintf("the policy sets parameter %q, which the module does not have", name)
			if near := document.Nearest(name, names); near != "" {
				refused += fmt.Sprintf("; did you mean %q?", near)
			}
			return nil, refused
		}
		params[name] = requirement.Params[name]
	}
	return params, ""
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
	m, result := r.module, r.result
	entry := report.Module{ID: r.requirement.ID, Version: m.Manifest.Version, Cost: string(m.Manifest.Cost), Status: string(result.Status), Error: result.Error,
		Sandbox: r.confinement, Usage: usage(result.Usage)}
	if m.Wasm != nil {
		entry.SHA256 = hex.EncodeToString(m.SHA256[:])
	}
	if result.Status == sandbox.GuestError && entry.Error == "" {
		entry.Error = fmt.Sprintf("the module ended with its own error code %d", result.Code)
	}
	into.Modules = append(into.Modules, entry)
	if result.Status != sandbox.OK {
		return []report.Finding{{Code: string(fault.ModuleFailed), Severity: report.DenySeverity, Module: entry.ID,
			Message: fmt.Sprintf("the diagnostic did not run to its end (%s): %s", entry.Status, cmp.Or(entry.Error, "no reason was given")),
			Hint:    remedies[result.Status]}}
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

// remedies are what to do about a run that failed.
var remedies = map[sandbox.Status]string{
	sandbox.GuestError: "read what the module says; it is the module that gave up",
	sandbox.Trap:       "report the fault to the module's author",
	sandbox.Timeout:    "raise runMs or compileMs of the module in the policy, or take the module out",
	sandbox.Memory:     "raise guestMemory or hostTensors of the module in the policy, or take the module out",
	sandbox.Denied:     "grant the module in the policy what it needs, or take it out",
	sandbox.Invalid:    "install the module that the policy asks for, or correct the policy",
	sandbox.WorkerDied: "check again; if the worker dies every time, the machine may be short of memory",
}

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
		PeakBytes: u.PeakBytes, HostCalls: u.HostCalls}
}

// milliseconds of nanoseconds, to the microsecond.
func milliseconds(ns int64) float64 { return math.Round(float64(ns)/1e3) / 1e3 }
