package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/sys"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// TestEngineIsTheOneInGoMod: compiled code is cached under the engine's name, so the name must change with the engine.
func TestEngineIsTheOneInGoMod(t *testing.T) {
	gomod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "github.com/tetratelabs/wazero v" + strings.TrimPrefix(Engine, "wazero-"); !strings.Contains(string(gomod), want) {
		t.Errorf("go.mod does not require %q", want)
	}
}

func TestBudgets(t *testing.T) {
	limits := abi.Limits{Metrics: 3, Findings: 1, GridValues: 2, HostCalls: 10_000, LogBytes: 6, HostTensors: 1024}
	put := wasmtest.Do("tensor_put_f64", 0, 8, 8)
	o := options(wasmtest.Script(
		put, put,
		wasmtest.Do("finding", -1, 0, "CODE", "", "", 0.0, 0.0), wasmtest.Do("finding", -1, 0, "CODE", "", "", 0.0, 0.0),
		wasmtest.Do("grid", -1, -1, "g", 1, 2, 0), wasmtest.Do("grid", -1, -1, "h", 1, 1, 0),
		wasmtest.Do("log", "one"), wasmtest.Do("log", "two"), wasmtest.Do("log", "three")))
	o.Limits = limits
	r := Run(context.Background(), o)
	if r.Status != OK || len(r.Metrics) != 3 || len(r.Findings) != 1 || len(r.Grids) != 1 {
		t.Fatalf("%+v", r)
	}
	if got, want := results(r, 3), []float64{0, float64(abi.Quota), 0}; !slices.Equal(got, want) {
		t.Errorf("results %v, want %v", got, want)
	}
	for _, note := range []string{"one\ntw\n[", "3 metrics", "1 findings", "2 values", "1024 bytes", "bytes of log were dropped"} {
		if !strings.Contains(r.Log, note) {
			t.Errorf("the log does not say %q: %q", note, r.Log)
		}
	}
	o = options(wasmtest.Flooding(8, 100))
	o.Limits.HostCalls = 10
	if r := Run(context.Background(), o); r.Usage.HostCalls != 10 || !strings.Contains(r.Log, "10 host calls") {
		t.Errorf("host calls: %+v", r)
	}
}

// TestKernelsAskForRoom: what a kernel would hold or need beside is refused before it is made.
func TestKernelsAskForRoom(t *testing.T) {
	const out = wasmtest.Scratch
	o := options(wasmtest.Script(
		wasmtest.Do("target_info", 0, out),
		wasmtest.Do("merged_svd", 0, 1, out+512), wasmtest.Do("rounding", 0, int64(0), int64(2), formats(abi.FormatBF16), 1, out+512),
		wasmtest.Do("delta_values", wasmtest.LoadI32(out+4), wasmtest.LoadI32(out), 1.0, out+512), wasmtest.Do("bank_features", -1)))
	o.Limits.HostTensors = 3*objectBytes + 200
	r := Run(context.Background(), o)
	quota := float64(abi.Quota)
	if want := []float64{0, quota, quota, quota, quota}; r.Status != OK || !slices.Equal(results(r, 5), want) {
		t.Errorf("%s %q: %v, want %v", r.Status, r.Error, r.Metrics, want)
	}
}

// TestBankMustFit: a bank that does not hold together is no input.
func TestBankMustFit(t *testing.T) {
	for name, bank := range map[string]*Bank{
		"too few tables":   {Names: []string{"a"}, Features: []Matrix{{}}},
		"rows":             {Names: []string{"a"}, Features: []Matrix{{2, 1, []float64{1, 2}}, {}}},
		"no columns":       {Names: []string{"a"}, Features: []Matrix{{1, 0, nil}, {}}},
		"too few values":   {Names: []string{"a"}, Features: []Matrix{{1, 2, []float64{1}}, {}}},
		"too many values":  {Names: []string{"a"}, Features: []Matrix{{}, {1, 1, []float64{1, 2}}}},
		"more than a bank": {Names: []string{"a"}, Features: []Matrix{{}, {1, MaxBankValues + 1, make([]float64, MaxBankValues+1)}}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(wasmtest.Quiet())
			o.Input.Bank = bank
			if r := Run(context.Background(), o); r.Status != Invalid || !strings.Contains(r.Error, "bank") {
				t.Errorf("%s %q", r.Status, r.Error)
			}
		})
	}
	o := options(wasmtest.Script(wasmtest.Do("bank_count"), wasmtest.Do("bank_features", -1)))
	for _, c := range []struct {
		bank *Bank
		want []float64
	}{{nil, []float64{-1, -1}}, {&Bank{}, []float64{0, -1}}, {&Bank{Names: []string{"a"}}, []float64{1, -1}}} {
		o.Input.Bank = c.bank
		if r := Run(context.Background(), o); r.Status != OK || !slices.Equal(results(r, 2), c.want) {
			t.Errorf("%+v: %s %q, %v", c.bank, r.Status, r.Error, r.Metrics)
		}
	}
}

func TestCapabilitiesBound(t *testing.T) {
	const out = wasmtest.Scratch
	script := wasmtest.Script(wasmtest.Do("target_info", 0, out), wasmtest.Do("tensor_shape", wasmtest.LoadI32(out+8), out+64),
		wasmtest.Do("metric", -1, 0, "m", 1.0))
	for name, change := range map[string]func(*Options){
		"not granted":   func(o *Options) { o.Granted = nil },
		"not asked for": func(o *Options) { o.Manifest.Needs = nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(script)
			change(&o)
			r := Run(context.Background(), o)
			if want := []float64{0, float64(abi.BadHandle), float64(abi.Denied)}; r.Status != OK || !slices.Equal(results(r, 3), want) {
				t.Errorf("%s %q, %v", r.Status, r.Error, r.Metrics)
			}
			o.Wasm = wasmtest.Script(wasmtest.Do("round_loss", 0, 0, 0), wasmtest.Do("qr", 0, 0)).Encode()
			if r := Run(context.Background(), o); r.Status != Denied || !strings.Contains(r.Error, "round_loss") ||
				!strings.Contains(r.Error, "qr") {
				t.Errorf("%s %q", r.Status, r.Error)
			}
		})
	}
}

func TestOutcomes(t *testing.T) {
	exiting := func(code uint32) wasmtest.Module {
		exit := wasmtest.Import{Module: abi.WASIModule, Name: "proc_exit", Params: []byte{wasmtest.I32}}
		return wasmtest.Guest([]wasmtest.Import{exit}, wasmtest.Code(wasmtest.Const(int32(code)), wasmtest.Call(0), wasmtest.Const(0))...)
	}
	for _, c := range []struct {
		name   string
		module wasmtest.Module
		want   Status
		says   string
	}{
		{"done", wasmtest.Quiet(), OK, ""},
		{"guest error", wasmtest.Returning(7), GuestError, "returned 7"},
		{"reserved result", wasmtest.Returning(-7), Trap, "reserved"},
		{"unreachable", wasmtest.Guest(nil, wasmtest.Unreachable), Trap, "unreachable"},
		{"division by zero", wasmtest.Guest(nil, wasmtest.Code(wasmtest.Const(1), wasmtest.Const(0), wasmtest.I32DivS)...), Trap, "divide"},
		{"load outside", wasmtest.Guest(nil, wasmtest.Code(wasmtest.Const(-8), wasmtest.Load32(0))...), Trap, "out of bounds"},
		{"stack overflow", wasmtest.Overflowing(), Trap, "stack overflow"},
		{"proc_exit", exiting(0), Trap, "exited with code 0"},
		{"proc_exit with the engine's code for canceled", exiting(sys.ExitCodeContextCanceled), Trap, "exited with code 4294967295"},
		{"proc_exit with the engine's code for a deadline", exiting(sys.ExitCodeDeadlineExceeded), Trap, "exited with code 4026531839"},
		{"does not validate", wasmtest.Guest(nil, wasmtest.Float(1)...), Invalid, "does not compile"},
		{"wasi of another type", wasmtest.Guest([]wasmtest.Import{{Module: abi.WASIModule, Name: "proc_exit"}}, wasmtest.Const(0)...), Invalid,
			"proc_exit"},
		{"data outside", func() wasmtest.Module {
			m := wasmtest.Quiet()
			m.Data = []wasmtest.Data{{Offset: 65535, Bytes: []byte("ab")}}
			return m
		}(), Invalid, "instantiate"},
		{"_initialize traps", func() wasmtest.Module {
			m := wasmtest.Quiet()
			m.Functions = append(m.Functions, wasmtest.Function{Export: "_initialize", Code: []byte{wasmtest.Unreachable}})
			return m
		}(), Trap, "_initialize"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Run(context.Background(), options(c.module))
			if r.Status != c.want || !strings.Contains(r.Error, c.says) {
				t.Errorf("%s %q, want %s with %q", r.Status, r.Error, c.want, c.says)
			}
			if strings.Contains(r.Error, "stack trace") {
				t.Errorf("%q ends with the engine's stack", r.Error)
			}
		})
	}
}

func TestContextEndsARunInProcess(t *testing.T) {
	for name, m := range map[string]wasmtest.Module{"loop": wasmtest.Spinning(), "recursion": wasmtest.Recursing()} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			if r := Run(ctx, options(m)); r.Status != Timeout {
				t.Errorf("%s %q", r.Status, r.Error)
			}
		})
	}
}

// endingReader ends a context when it is read.
type endingReader struct {
	*bytes.Reader
	end context.CancelFunc
}

func (r endingReader) ReadAt(p []byte, at int64) (int, error) {
	r.end()
	return r.Reader.ReadAt(p, at)
}

// TestContextThatEndedIsNoOK: the engine does not look at the context when a guest returns, so a call may succeed after its end.
func TestContextThatEndedIsNoOK(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	o := options(wasmtest.Guest(wasmtest.Host("target_info", "tensor_read_f64"), wasmtest.Code(
		wasmtest.Const(0), wasmtest.Const(64), wasmtest.Call(0), wasmtest.Drop,
		wasmtest.Const(0), wasmtest.Load32(64), wasmtest.Const64(0), wasmtest.Const(256), wasmtest.Const(1), wasmtest.Call(1), wasmtest.Drop,
		wasmtest.Const(0))...))
	o.Input.Targets[0].A.Reader = endingReader{bytes.NewReader(make([]byte, 64)), cancel}
	if r := Run(ctx, o); r.Status != WorkerDied || !strings.Contains(r.Error, "canceled") {
		t.Errorf("%s %q", r.Status, r.Error)
	}
}

// TestInterpreterAgrees runs the same guest compiled twice and interpreted once.
func TestInterpreterAgrees(t *testing.T) {
	const out = wasmtest.Scratch
	m := wasmtest.Script(wasmtest.Do("target_info", 0, out), wasmtest.Do("matmul", wasmtest.LoadI32(out+4), wasmtest.LoadI32(out), 0),
		wasmtest.Do("tensor_read_f64", 3, int64(0), out+512, 6), wasmtest.Do("grid", 0, -1, "delta", 2, 3, out+512),
		wasmtest.Do("tensor_read_f32", wasmtest.LoadI32(out+8), int64(1), out+512, 5), wasmtest.Do("grid", 0, -1, "bits", 1, 2, out+512))
	runs := make([]string, 3)
	for i := range runs {
		o := options(m)
		o.Interpreter = i == 2
		r := Run(context.Background(), o)
		r.Usage = Usage{}
		runs[i] = fmt.Sprintf("%+v", r)
	}
	if runs[0] != runs[1] || runs[0] != runs[2] || !strings.Contains(runs[0], "Status:ok") {
		t.Errorf("%q", runs)
	}
}

func TestInputIsHeldAgainstItself(t *testing.T) {
	for name, spoil := range map[string]func(in *Input){
		"rank":       func(in *Input) { in.Targets[0].Rank = 2 },
		"no factor":  func(in *Input) { in.Targets[0].B = Source{} },
		"dtype":      func(in *Input) { in.Targets[0].A.DType = tensor.I32 },
		"length":     func(in *Input) { in.Targets[0].A.Length-- },
		"base":       func(in *Input) { in.Targets[0].Base.Shape = []int{3, 3} },
		"svd":        func(in *Input) { in.Targets[0].BaseSVD.V = Source{} },
		"peer count": func(in *Input) { in.Peers[0].Targets = nil },
		"peer shape": func(in *Input) { in.Peers[0].Targets[0].In = 4 },
	} {
		t.Run(name, func(t *testing.T) {
			o := options(wasmtest.Quiet())
			spoil(&o.Input)
			if r := Run(context.Background(), o); r.Status != Invalid || !strings.HasPrefix(r.Error, "the input of the run") {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestShrunkFileIsAnError(t *testing.T) {
	o := options(wasmtest.Script(wasmtest.Do("target_info", 0, wasmtest.Scratch),
		wasmtest.Do("tensor_read_f32", wasmtest.LoadI32(wasmtest.Scratch), int64(0), 64, 3)))
	o.Input.Targets[0].A.Reader = bytes.NewReader([]byte{1, 2, 3})
	if r := Run(context.Background(), o); r.Status != OK || r.Metrics[1].Value != float64(abi.Internal) {
		t.Errorf("%+v", r)
	}
}
