package worker

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// Sizes a result may have beside what the limits of the run say.
const (
	maxError      = 8 << 10
	maxNotes      = 16 << 10 // what the sandbox adds to a guest's log
	maxTrace      = 16 << 10 // what each function of the ABI cost
	perMetric     = 256      // bytes of JSON
	perFinding    = 16 << 10 // message and hint, every byte escaped
	maxResultSize = 1 << 30
)

// resultLimit is the most bytes a result frame can have within the limits of a run.
func resultLimit(l abi.Limits) int64 {
	size := int64(maxError+maxNotes)*6 + maxTrace + int64(l.LogBytes)*18 + // an invalid byte becomes three, and any byte at most six in JSON
		int64(l.Metrics)*2*perMetric + int64(l.GridValues)*11 + int64(l.Findings)*perFinding // 8 bytes are 11 in base64
	return min(size, maxResultSize)
}

// decodeAnswer reads a result, and what its host calls cost, and holds it to everything the sandbox promises: a guest that broke out of
// WebAssembly would be the one who writes it.
func decodeAnswer(body []byte, job Job, compiled bool) (sandbox.Result, sandbox.Trace, error) {
	var a answer
	limits := job.Limits.WithDefaults()
	counts := json.WithUnmarshalers(json.JoinUnmarshalers(
		atMost[metric](limits.Metrics, "metrics"), atMost[grid](limits.Metrics, "grids"), atMost[finding](limits.Findings, "findings")))
	if err := json.Unmarshal(body, &a, counts, json.RejectUnknownMembers(true)); err != nil {
		return sandbox.Result{}, nil, fmt.Errorf("the worker's result: %w", err)
	}
	values := 0
	for _, g := range a.Grids {
		values += len(g.Values) / 8
	}
	switch {
	case a.Status == sandbox.OK && (!compiled || a.Code != 0 || a.Error != ""):
		return sandbox.Result{}, nil, fmt.Errorf("the worker's result says ok with code %d and error %q", a.Code, a.Error)
	case a.Status == sandbox.GuestError && a.Code <= 0:
		return sandbox.Result{}, nil, fmt.Errorf("the worker's result says guest_error with code %d", a.Code)
	case !knownStatus(a.Status):
		return sandbox.Result{}, nil, fmt.Errorf("the worker's result has status %q", a.Status)
	case values > limits.GridValues:
		return sandbox.Result{}, nil, fmt.Errorf("the worker's result has grids of %d values, at most %d are accepted", values, limits.GridValues)
	case len(a.Error) > maxError, len(a.Log) > 3*limits.LogBytes+maxNotes:
		return sandbox.Result{}, nil, fmt.Errorf("the worker's result has an error of %d and a log of %d bytes", len(a.Error), len(a.Log))
	case min(a.Usage.Wall, a.Usage.CPU, a.Usage.Compile, a.Usage.PeakBytes, a.Usage.HostCalls) < 0:
		return sandbox.Result{}, nil, fmt.Errorf("the worker's result has usage %+v", a.Usage)
	}
	if err := checkCalls(a.Calls, job.Trace != nil); err != nil {
		return sandbox.Result{}, nil, err
	}
	a.Usage.ResidentBytes = 0 // which the parent looks up itself
	result := sandbox.Result{Status: a.Status, Code: a.Code, Error: sandbox.Plain(a.Error, maxError), Log: a.Log, Usage: a.Usage}
	given := subjects{}
	for _, m := range a.Metrics {
		if err := given.check(subject{"metric", m.Target, m.Peer, m.Name}, job.Input); err != nil {
			return sandbox.Result{}, nil, err
		}
		result.Metrics = append(result.Metrics, sandbox.Metric{Target: m.Target, Peer: m.Peer, Name: m.Name, Value: m.Value.float()})
	}
	for _, g := range a.Grids {
		if err := given.check(subject{"grid", g.Target, g.Peer, g.Name}, job.Input); err != nil {
			return sandbox.Result{}, nil, err
		}
		if g.Rows < 1 || g.Cols < 1 || g.Rows > len(g.Values) || g.Cols > len(g.Values) || g.Rows*g.Cols*8 != len(g.Values) {
			return sandbox.Result{}, nil, fmt.Errorf("the worker's result has a grid of %d x %d in %d bytes", g.Rows, g.Cols, len(g.Values))
		}
		result.Grids = append(result.Grids, sandbox.Grid{Target: g.Target, Peer: g.Peer, Name: g.Name, Rows: g.Rows, Cols: g.Cols,
			Values: floatsOf(g.Values)})
	}
	for _, f := range a.Findings {
		finding := sandbox.Finding{Target: f.Target, Severity: f.Severity, Code: f.Code, Message: f.Message, Hint: f.Hint,
			Value: f.Value.float(), Limit: f.Limit.float()}
		if err := sandbox.ValidFinding(finding); err != nil {
			return sandbox.Result{}, nil, fmt.Errorf("the worker's result: %w", err)
		}
		if f.Target < int(abi.NoTarget) || f.Target >= len(job.Input.Targets) {
			return sandbox.Result{}, nil, fmt.Errorf("the worker's result has a finding for target %d", f.Target)
		}
		result.Findings = append(result.Findings, finding)
	}
	return result, a.Calls, nil
}

// atMost ends the reading of a result at the first T beyond limit: a few bytes of JSON make a struct many times as large.
func atMost[T any](limit int, what string) *json.Unmarshalers {
	n := 0
	return json.UnmarshalFromFunc(func(*jsontext.Decoder, *T) error {
		if n++; n > limit {
			return fmt.Errorf("more than %d %s", limit, what)
		}
		return errors.ErrUnsupported // which means that T is read as ever
	})
}

// subject is what a metric or a grid is known by. A guest gives each once.
type subject struct {
	kind         string
	target, peer int
	name         string
}

// subjects are those that a result has given.
type subjects map[subject]bool

func (given subjects) check(s subject, in sandbox.Input) error {
	if s.target < int(abi.NoTarget) || s.target >= len(in.Targets) || s.peer < int(abi.NoPeer) || s.peer >= len(in.Peers) {
		return fmt.Errorf("the worker's result has a %s for target %d and peer %d", s.kind, s.target, s.peer)
	}
	if err := sandbox.ValidMetric(s.name); err != nil {
		return fmt.Errorf("the worker's result: %w", err)
	}
	if given[s] {
		return fmt.Errorf("the worker's result has %s %s of target %d and peer %d twice", s.kind, s.name, s.target, s.peer)
	}
	given[s] = true
	return nil
}

// checkCalls holds what host calls cost to the functions there are. A member that occurs twice was an error of its own.
func checkCalls(calls sandbox.Trace, asked bool) error {
	if len(calls) > 0 && !asked {
		return errors.New("the worker's result has a trace that nobody asked for")
	}
	for name, cost := range calls {
		if min(cost.Count, cost.NS) < 0 || !slices.ContainsFunc(abi.Functions, func(f abi.Function) bool { return f.Name == name }) {
			return fmt.Errorf("the worker's result has a trace of %q with %+v", name, cost)
		}
	}
	return nil
}

func knownStatus(s sandbox.Status) bool {
	switch s {
	case sandbox.OK, sandbox.GuestError, sandbox.Trap, sandbox.Memory, sandbox.Denied, sandbox.Invalid, sandbox.WorkerDied:
		return true
	}
	return false // and Timeout is for the parent to say
}
