package gate

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// turning gives one result after the other.
type turning struct {
	mu      sync.Mutex
	results []sandbox.Result
	n       int
}

func (r *turning) Run(context.Context, worker.Job) (sandbox.Result, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	return r.results[(r.n-1)%len(r.results)], worker.Full
}

// What a module gives must be the same twice, in every bit.
func TestTwice(t *testing.T) {
	full := func(change func(*sandbox.Result)) sandbox.Result {
		r := sandbox.Result{Status: sandbox.OK, Log: "a\nb\n", Metrics: []sandbox.Metric{{Target: -1, Peer: -1, Name: "m", Value: 0}},
			Grids:    []sandbox.Grid{{Target: 0, Peer: -1, Name: "g", Rows: 1, Cols: 2, Values: []float64{1, math.NaN()}}},
			Findings: []sandbox.Finding{{Target: 0, Code: "FOUND", Message: "message", Hint: "hint", Value: 1, Limit: 2}},
			Usage:    sandbox.Usage{Wall: 2e6, HostCalls: 7, PeakBytes: 9}}
		change(&r)
		return r
	}
	for _, c := range []struct {
		name   string
		change func(*sandbox.Result)
		says   string // "": the same
	}{
		{"the same", func(*sandbox.Result) {}, ""},
		{"another cost", func(r *sandbox.Result) { r.Usage.Wall, r.Usage.PeakBytes = 5e6, 3 }, ""},
		{"a metric by its sign of zero", func(r *sandbox.Result) { r.Metrics[0].Value = math.Copysign(0, -1) }, "metric 1, m of target -1, is 0 (0x0) and then -0"},
		{"a metric's name", func(r *sandbox.Result) { r.Metrics[0].Name = "n" }, "metric 1, m of target -1, is another"},
		{"one metric more", func(r *sandbox.Result) { r.Metrics = append(r.Metrics, r.Metrics[0]) }, "the first gave 1 of kind metric, the second 2"},
		{"a NaN with another payload", func(r *sandbox.Result) { r.Grids[0].Values[1] = math.Float64frombits(0x7ff8000000000123) }, "grid 1, g of target 0"},
		{"the shape of a grid", func(r *sandbox.Result) { r.Grids[0].Rows, r.Grids[0].Cols = 2, 1 }, "grid 1"},
		{"no grid", func(r *sandbox.Result) { r.Grids = nil }, "the first gave 1 of kind grid, the second 0"},
		{"a message", func(r *sandbox.Result) { r.Findings[0].Message = "massage" }, "finding 1, FOUND of target 0"},
		{"a limit", func(r *sandbox.Result) { r.Findings[0].Limit = 3 }, "finding 1, FOUND of target 0, is 2"},
		{"a log", func(r *sandbox.Result) { r.Log = "a\nc\n" }, "part at byte 2"},
		{"an end", func(r *sandbox.Result) { *r = sandbox.Result{Status: sandbox.GuestError, Code: 3} }, "the first ended with ok 0, the second with guest_error 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			runner := &turning{results: []sandbox.Result{full(func(*sandbox.Result) {}), full(c.change)}}
			g := newGate(t, policyOf("", "id: alpha"), runner)
			g.Twice = true
			r := checked(t, g)
			m := r.Modules[0]
			if runner.n != 2 || m.Runs != 2 {
				t.Errorf("%d runs, and the report says %d", runner.n, m.Runs)
			}
			if c.says == "" {
				if r.Verdict != report.Admit || m.Status != "ok" || len(r.Metrics) != 1 || m.Usage.HostCalls != 14 || m.Usage.PeakBytes != 9 {
					t.Errorf("%s %+v", r.Verdict, m)
				}
				return
			}
			if r.Verdict != report.Inconclusive || m.Status != "nondeterministic" || !strings.Contains(m.Error, c.says) || len(r.Metrics)+len(r.Grids) != 0 {
				t.Errorf("%s %+v, want it to say %q", r.Verdict, m, c.says)
			}
			if denials(r) != "MODULE_FAILED" {
				t.Errorf("denials %s", denials(r))
			}
		})
	}
}

// A run that failed is not repeated: the gate is closed already.
func TestTwiceStopsAtAFailure(t *testing.T) {
	runner := &turning{results: []sandbox.Result{{Status: sandbox.Trap, Error: "why"}}}
	g := newGate(t, policyOf("", "id: alpha"), runner)
	g.Twice = true
	if r := checked(t, g); runner.n != 1 || r.Modules[0].Status != "trap" || r.Modules[0].Runs != 1 {
		t.Errorf("%d runs, %+v", runner.n, r.Modules)
	}
}

// The built-in modules give the same bits twice.
func TestTwiceInTheSandbox(t *testing.T) {
	builtin, err := modules.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{Policy: mustPolicy(t, policyOf("", "id: spectrum, grant: [kernels]")), Modules: builtin, Runner: sandboxed(), Twice: true}
	if r := checked(t, g); r.Verdict != report.Admit || r.Modules[0].Runs != 2 || len(r.Metrics) == 0 {
		t.Errorf("%s %+v", r.Verdict, r.Modules)
	}
}

// A guest that reports what its clock and its random source say notices that it runs twice as little as one that does not: both are fixed.
func TestTwiceHasOneClock(t *testing.T) {
	metric := func(name, at int32) []byte {
		return wasmtest.Code(wasmtest.Const(-1), wasmtest.Const(-1), wasmtest.Const(name), wasmtest.Const(1), wasmtest.Const(at), wasmtest.LoadFloat(0),
			wasmtest.Call(0), wasmtest.Drop)
	}
	imports := append(wasmtest.Host("metric"),
		wasmtest.Import{Module: abi.WASIModule, Name: "random_get", Params: []byte{wasmtest.I32, wasmtest.I32}, Results: []byte{wasmtest.I32}},
		wasmtest.Import{Module: abi.WASIModule, Name: "clock_time_get", Params: []byte{wasmtest.I32, wasmtest.I64, wasmtest.I32}, Results: []byte{wasmtest.I32}})
	guest := wasmtest.Guest(imports, wasmtest.Code(
		wasmtest.Const(64), wasmtest.Const(8), wasmtest.Call(1), wasmtest.Drop,
		wasmtest.Const(0), wasmtest.Const64(1), wasmtest.Const(128), wasmtest.Call(2), wasmtest.Drop,
		metric(8, 64), metric(9, 128), wasmtest.Const(0))...)
	guest.Data = []wasmtest.Data{{Offset: 8, Bytes: []byte("rc")}}
	dir := t.TempDir()
	p, err := loadPolicy(t, dir, policyOf("", writeModule(t, dir, "mine", manifestOf("mine", ""), guest.Encode())))
	if err != nil {
		t.Fatal(err)
	}
	if r := checked(t, &Gate{Policy: p, Runner: sandboxed(), Twice: true}); r.Verdict != report.Admit || len(r.Metrics) != 2 || r.Modules[0].Runs != 2 {
		t.Errorf("%s %+v %+v", r.Verdict, r.Modules, r.Metrics)
	}
}

// TestTwiceOnAMachineThatIsShort: a second run that the machine ended says nothing of the module's determinism.
func TestTwiceOnAMachineThatIsShort(t *testing.T) {
	for _, status := range []sandbox.Status{sandbox.Timeout, sandbox.Memory, sandbox.WorkerDied} {
		got := agreed(sandbox.Result{Status: sandbox.OK, Usage: sandbox.Usage{CPU: 1}}, sandbox.Result{Status: status, Usage: sandbox.Usage{CPU: 2}})
		if got.Status != status || got.Usage.CPU != 3 {
			t.Errorf("%s: %+v", status, got)
		}
	}
}
