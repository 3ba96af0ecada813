package worker

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

func TestMain(m *testing.M) {
	if Invoked() {
		Main()
	}
	switch os.Args[0] {
	case probeName:
		probe()
	case parentName:
		beParent()
	}
	goleak.VerifyTestMain(m)
}

// job makes a job of a module.
func job(m wasmtest.Module, limits abi.Limits) Job {
	wasm := m.Encode()
	return Job{Wasm: wasm, SHA256: sha256.Sum256(wasm), Limits: limits}
}

// soon are limits under which a guest that never ends is ended quickly.
var soon = abi.Limits{CompileMillis: 20_000, RunMillis: 300}

func TestRunGivesTheResult(t *testing.T) {
	m := wasmtest.Guest(wasmtest.Host("metric", "finding", "log"), wasmtest.Code(
		wasmtest.Const(-1), wasmtest.Const(-1), wasmtest.Const(0), wasmtest.Const(4), wasmtest.Float(math.NaN()), wasmtest.Call(0), wasmtest.Drop,
		wasmtest.Const(-1), wasmtest.Const(1), wasmtest.Const(16), wasmtest.Const(4), wasmtest.Const(0), wasmtest.Const(4),
		wasmtest.Const(0), wasmtest.Const(0), wasmtest.Float(math.Inf(1)), wasmtest.Float(2), wasmtest.Call(1), wasmtest.Drop,
		wasmtest.Const(0), wasmtest.Const(4), wasmtest.Call(2), wasmtest.Drop,
		wasmtest.Const(0))...)
	m.Data = []wasmtest.Data{{Offset: 0, Bytes: []byte("name")}, {Offset: 16, Bytes: []byte("CODE")}}
	r := &Runner{CacheDir: filepath.Join(t.TempDir(), "cache")}
	for _, run := range []string{"cold", "warm"} {
		result, confinement := r.Run(context.Background(), job(m, abi.Limits{}))
		if result.Status != sandbox.OK {
			t.Fatalf("%s: %+v", run, result)
		}
		if len(result.Metrics) != 1 || result.Metrics[0].Name != "name" || !math.IsNaN(result.Metrics[0].Value) {
			t.Errorf("%s: metrics %+v", run, result.Metrics)
		}
		if len(result.Findings) != 1 || !math.IsInf(result.Findings[0].Value, 1) || result.Findings[0].Code != "CODE" {
			t.Errorf("%s: findings %+v", run, result.Findings)
		}
		if result.Log != "name\n" || result.Usage.HostCalls != 3 || result.Usage.CPU <= 0 {
			t.Errorf("%s: log %q, usage %+v", run, result.Log, result.Usage)
		}
		if confinement != Full {
			t.Logf("%s: this build or kernel confines in part only", run)
		}
	}
}

func TestHostileGuestsEnd(t *testing.T) {
	short := abi.Limits{CompileMillis: 300, RunMillis: 300}
	for _, c := range []struct {
		name   string
		module wasmtest.Module
		limits abi.Limits
		want   sandbox.Status
		says   string
	}{
		{"loop", wasmtest.Spinning(), soon, sandbox.Timeout, "running"},
		{"recursion without a loop", wasmtest.Recursing(), soon, sandbox.Timeout, "running"},
		{"chain of memory.fill", wasmtest.Filling(2_000), soon, sandbox.Timeout, "running"},
		{"endless recursion", wasmtest.Overflowing(), abi.Limits{}, sandbox.Trap, "stack overflow"},
		{"memory hog", wasmtest.Growing(), abi.Limits{}, sandbox.Trap, "unreachable"},
		{"compile bomb of nested loops", wasmtest.Nesting(1_900, 40), short, sandbox.Timeout, "compiling"},
		{"compile bomb of br_table", wasmtest.Branching(8_000, 60), short, sandbox.Timeout, "compiling"},
		{"nesting beyond the limit", wasmtest.Nesting(30_000, 1), soon, sandbox.Invalid, "nested"},
		{"start of a command", func() wasmtest.Module {
			m := wasmtest.Quiet()
			m.Functions = append(m.Functions, wasmtest.Function{Export: "_start"})
			return m
		}(), soon, sandbox.Invalid, "reactor"},
		{"log flood", wasmtest.Flooding(1<<20, 200), abi.Limits{}, sandbox.OK, ""},
		{"a million metrics", wasmtest.Measuring(1_000_000), abi.Limits{RunMillis: 60_000}, sandbox.GuestError, "990000"},
		{"_initialize loops", func() wasmtest.Module {
			m := wasmtest.Quiet()
			m.Functions = append(m.Functions, wasmtest.Function{Export: "_initialize",
				Code: wasmtest.Code(wasmtest.Loop(), wasmtest.Br(0), wasmtest.End)})
			return m
		}(), soon, sandbox.Timeout, "running"},
	} {
		t.Run(c.name, func(t *testing.T) {
			result, _ := new(Runner).Run(context.Background(), job(c.module, c.limits))
			if result.Status != c.want || !strings.Contains(result.Error, c.says) {
				t.Errorf("%s %q, want %s with %q", result.Status, result.Error, c.want, c.says)
			}
		})
	}
}

func TestRunCanBeCanceled(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	result, _ := new(Runner).Run(ctx, job(wasmtest.Recursing(), abi.Limits{}))
	if result.Status != sandbox.WorkerDied || !strings.Contains(result.Error, "canceled") {
		t.Errorf("%+v", result)
	}
	if result, _ = new(Runner).Run(ctx, job(wasmtest.Quiet(), abi.Limits{})); result.Status != sandbox.WorkerDied {
		t.Errorf("%+v", result)
	}
}

func TestOneRunAtATime(t *testing.T) {
	r := &Runner{Parallel: 1}
	done := make(chan sandbox.Status)
	for range 3 {
		go func() {
			result, _ := r.Run(context.Background(), job(wasmtest.Quiet(), abi.Limits{}))
			done <- result.Status
		}()
	}
	for range 3 {
		if status := <-done; status != sandbox.OK {
			t.Error(status)
		}
	}
}

// reading is a guest that reads element 5 of target 0's A and gives it as a metric.
func reading() wasmtest.Module {
	m := wasmtest.Guest(wasmtest.Host("target_info", "tensor_read_f64", "metric"), wasmtest.Code(
		wasmtest.Const(0), wasmtest.Const(64), wasmtest.Call(0), wasmtest.Drop,
		wasmtest.Const(0), wasmtest.Load32(64), wasmtest.Const64(5), wasmtest.Const(256), wasmtest.Const(1), wasmtest.Call(1), wasmtest.Drop,
		wasmtest.Const(0), wasmtest.Const(-1), wasmtest.Const(0), wasmtest.Const(1), wasmtest.Const(256), wasmtest.LoadFloat(0),
		wasmtest.Call(2))...)
	m.Data = []wasmtest.Data{{Bytes: []byte("x")}}
	return m
}

func TestFilesTravelToTheWorker(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weights")
	var content []byte
	for i := range 40 {
		content = binary.LittleEndian.AppendUint32(content, math.Float32bits(float32(i)))
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ref := func(rows, cols int, offset int64) sandbox.Source {
		return sandbox.Source{Reader: file, Ref: tensor.Ref{Name: "w", DType: tensor.F32, Shape: []int{rows, cols}, Offset: offset,
			Length: int64(rows * cols * 4)}}
	}
	j := job(reading(), abi.Limits{})
	j.Input = sandbox.Input{Targets: []sandbox.Target{{Name: "w", A: ref(2, 4, 16), B: ref(4, 2, 48), Rank: 2, In: 4, Out: 4,
		Scale: math.NaN()}}}
	result, _ := new(Runner).Run(context.Background(), j)
	if result.Status != sandbox.OK || len(result.Metrics) != 1 || result.Metrics[0].Value != 9 {
		t.Fatalf("%+v", result)
	}
	if result.Usage.ResidentBytes < 1<<20 && runtime.GOOS == "linux" {
		t.Errorf("a process with %d bytes", result.Usage.ResidentBytes)
	}
	// More files than travel at once, and what the calls cost.
	many := j
	many.Trace = sandbox.Trace{}
	for range 2*batch + 5 {
		other, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		p := sandbox.Target{Name: "w", A: ref(2, 4, 16), B: ref(4, 2, 48), Rank: 2, In: 4, Out: 4}
		p.A.Reader = other
		many.Input.Peers = append(many.Input.Peers, sandbox.Peer{Targets: []*sandbox.Target{&p}})
	}
	again, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	many.Input.Targets = append([]sandbox.Target{}, j.Input.Targets...)
	many.Input.Targets[0].A.Reader = again
	result, _ = new(Runner).Run(context.Background(), many)
	if result.Status != sandbox.OK || len(result.Metrics) != 1 || result.Metrics[0].Value != 9 {
		t.Fatalf("%+v", result)
	}
	if got := many.Trace["tensor_read_f64"].Count; got != 1 || len(many.Trace) != 3 {
		t.Errorf("traced %v", many.Trace)
	}
	j.Input.Targets[0].B.Reader = strings.NewReader("")
	if result, _ = new(Runner).Run(context.Background(), j); result.Status != sandbox.WorkerDied ||
		!strings.Contains(result.Error, "open file") {
		t.Errorf("a reader that is no file: %+v", result)
	}
	j.Input.Targets[0].B = ref(5, 2, 48)
	if result, _ = new(Runner).Run(context.Background(), j); result.Status != sandbox.Invalid || !strings.Contains(result.Error, "shape") {
		t.Errorf("a shape that does not fit: %+v", result)
	}
}

// targetIn is a target whose weights lie in a file.
func targetIn(file *os.File) sandbox.Target {
	source := func(rows, cols int) sandbox.Source {
		return sandbox.Source{Reader: file, Ref: tensor.Ref{Name: "w", DType: tensor.F32, Shape: []int{rows, cols}, Length: int64(rows * cols * 4)}}
	}
	return sandbox.Target{Name: "w", A: source(2, 4), B: source(4, 2), Rank: 2, In: 4, Out: 4}
}

// TestFileThatCannotTravel: the run ends with the reason, and not when the worker has waited for the file until its deadline.
func TestFileThatCannotTravel(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	j := job(wasmtest.Quiet(), soon)
	j.Input.Targets = []sandbox.Target{targetIn(file)}
	result, _ := new(Runner).Run(context.Background(), j)
	if result.Status != sandbox.WorkerDied || !strings.Contains(result.Error, "not given its files: "+os.DevNull) {
		t.Errorf("%+v", result)
	}
}
