package moduletest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/document"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// RunCases runs every case; told, which may be nil, hears of each outcome. The error is about the machine, or ctx; what is wrong with the
// module, or a case, is in the outcomes.
func RunCases(ctx context.Context, runner Runner, m modules.Module, c *Cases, told func(Outcome)) ([]Outcome, error) {
	var all []Outcome
	endings := map[string]string{} // the case where each wrong end was met first
	hung := ""                     // the case that did not end; nothing runs after it, since each such run takes all the time there is
	for _, one := range c.Cases {
		if hung != "" {
			if all = append(all, Outcome{Name: one.Name, Skipped: fmt.Sprintf("it did not end on %q", hung)}); told != nil {
				told(all[len(all)-1])
			}
			continue
		}
		outcome, status, err := runCase(ctx, runner, m, one)
		if status == sandbox.Timeout && one.Expect.Status != sandbox.Timeout {
			hung = one.Name
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return all, fmt.Errorf("case %q: %w", one.Name, err)
		}
		for i, p := range outcome.Problems {
			if !strings.HasPrefix(p.What, "status ") {
				continue
			}
			if first, met := endings[p.What]; met {
				outcome.Problems[i] = Problem{What: fmt.Sprintf("the same as on %q", first)}
			} else {
				endings[p.What] = one.Name
			}
		}
		if all = append(all, outcome); told != nil {
			told(outcome)
		}
	}
	return all, nil
}

// runCase gives the status that its run ended with too; "" where nothing ran.
func runCase(ctx context.Context, runner Runner, m modules.Module, c Case) (Outcome, sandbox.Status, error) {
	o := Outcome{Name: c.Name}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		if _, known := m.Manifest.Params[name]; !known {
			fix := "add it to params in the manifest, or take it out of the case"
			if near := document.Nearest(name, slices.Sorted(maps.Keys(m.Manifest.Params))); near != "" {
				fix = fmt.Sprintf("did you mean %q?", near)
			}
			o.wrong(fmt.Sprintf("the case sets parameter %q, which the manifest does not have", name), fix)
		}
	}
	if len(o.Problems) > 0 {
		return o, "", nil
	}
	grant := c.Grant
	if grant == nil {
		grant = m.Manifest.Needs
	}
	if c.Adapter == nil {
		status, err := runDirs(ctx, runner, m, c, grant, &o)
		return o, status, err
	}
	result, in, err := runAdapter(ctx, runner, m, c.Adapter, grant, c.Params, abi.Limits{})
	if err == nil {
		compare(&o, c.Expect, result, namesOf(in))
	}
	return o, result.Status, err
}

// runAdapter runs a module on an adapter in numbers, within its own limits but for those that are set.
func runAdapter(ctx context.Context, runner Runner, m modules.Module, a *Adapter, grant []abi.Capability, params map[string]float64,
	set abi.Limits) (sandbox.Result, sandbox.Input, error) {
	s, err := newStore()
	if err != nil {
		return sandbox.Result{}, sandbox.Input{}, err
	}
	defer s.Close()
	in, err := s.input(ctx, a, m.Manifest, grant, params)
	if err != nil {
		return sandbox.Result{}, in, err
	}
	result, _ := runner.Run(ctx, worker.Job{Wasm: m.Wasm, SHA256: m.SHA256, Manifest: m.Manifest, Granted: grant,
		Limits: tighter(m.Manifest.Limits, set), Input: in})
	return result, in, ctx.Err()
}

// tighter are the limits that a module asks for, with those that are set in their place.
func tighter(asked, set abi.Limits) abi.Limits {
	if set.Metrics != 0 {
		asked.Metrics = set.Metrics
	}
	if set.Findings != 0 {
		asked.Findings = set.Findings
	}
	if set.GridValues != 0 {
		asked.GridValues = set.GridValues
	}
	if set.LogBytes != 0 {
		asked.LogBytes = set.LogBytes
	}
	if set.HostCalls != 0 {
		asked.HostCalls = set.HostCalls
	}
	if set.HostTensors != 0 {
		asked.HostTensors = set.HostTensors
	}
	return asked
}

// runDirs runs a case whose adapter and base lie in files.
func runDirs(ctx context.Context, runner Runner, m modules.Module, c Case, grant []abi.Capability, o *Outcome) (sandbox.Status,
	error) {
	seen := &Capture{Runner: runner}
	_, err := RunOn(ctx, seen, m, Subject{Adapter: c.AdapterDir, Base: c.BaseDir, Peers: c.PeerDirs},
		gate.Requirement{ID: m.Manifest.ID, Grant: grant, BaseSVD: m.Manifest.BaseSVDRank != 0, Params: c.Params, Limits: m.Manifest.Limits}, nil)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		o.wrong("its adapter cannot be read: "+err.Error(), "see tenon check "+c.AdapterDir+" --base "+c.BaseDir)
		return "", nil
	}
	compare(o, c.Expect, seen.Result, namesOf(seen.Job.Input))
	return seen.Result.Status, nil
}

// Subject names the folders of what a module is run on.
type Subject struct {
	Adapter, Base string
	Peers         []string
	CacheDir      string // for the base's singular vectors; "" computes them each time
}

// Capture is a Runner that remembers its last run, and asks for its trace where Trace is set.
type Capture struct {
	Runner      Runner
	Trace       sandbox.Trace
	Job         worker.Job
	Result      sandbox.Result
	Confinement string
}

// Run runs the job.
func (c *Capture) Run(ctx context.Context, job worker.Job) (sandbox.Result, string) {
	job.Trace = c.Trace
	c.Job = job
	c.Result, c.Confinement = c.Runner.Run(ctx, job)
	return c.Result, c.Confinement
}

var _ Runner = (*Capture)(nil)

// RunOn runs one module as the gate runs it, on an adapter and a base in files; progress, which may be nil, hears of slow steps.
func RunOn(ctx context.Context, runner Runner, m modules.Module, s Subject, requirement gate.Requirement,
	progress func(what string, done, total int)) (*report.Report, error) {
	b, err := base.Open(s.Base)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	var bindings []*adapter.Binding
	for _, ref := range append([]string{s.Adapter}, s.Peers...) {
		binding, err := adapter.Load(ref, b)
		if err != nil {
			return nil, err
		}
		defer binding.Adapter.Close()
		bindings = append(bindings, binding)
	}
	g := &gate.Gate{Policy: &gate.Policy{Name: "module run", Modules: []gate.Requirement{requirement}}, Modules: []modules.Module{m},
		Runner: runner, Parallel: 2, CacheDir: s.CacheDir, Progress: progress}
	return g.Check(ctx, gate.Subject{Binding: bindings[0], Peers: bindings[1:]})
}
