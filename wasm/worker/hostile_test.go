package worker

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// TestLyingWorkers replaces the worker by programs that do what only a broken or a captured worker does.
func TestLyingWorkers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the false workers are shell scripts started as on Linux")
	}
	frame := func(kind byte, body string) string {
		n := len(body)
		return fmt.Sprintf(`printf '%c\%03o\%03o\%03o\%03o%%s' '%s'; `, kind, n&255, n>>8&255, n>>16&255, n>>24&255, body)
	}
	confined, compiled := frame(frameConfined, `{"missing":[]}`), frame(frameCompiled, `{"missing":[]}`)
	usage := `"usage":{"Wall":1,"CPU":1,"Compile":1,"PeakBytes":1,"HostCalls":1}`
	ok := frame(frameResult, `{"status":"ok",`+usage+`}`)
	for _, c := range []struct {
		name   string
		script string
		want   sandbox.Status
		says   string
	}{
		{"exits 0 without a result", "exit 0", sandbox.WorkerDied, "exit status 0"},
		{"exits 1 with a word", "echo no luck >&2; exit 1", sandbox.WorkerDied, "no luck"},
		{"is killed", "kill -9 $$", sandbox.WorkerDied, "killed from outside"},
		{"segfaults", "kill -SEGV $$", sandbox.WorkerDied, "segmentation fault"},
		{"runs out of memory", "echo 'fatal error: runtime: out of memory' >&2; exit 2", sandbox.Memory, "out of memory"},
		{"writes garbage", "echo hello, this is not a frame", sandbox.WorkerDied, "protocol"},
		{"claims 4 GiB", `printf 'r\377\377\377\377'; sleep 100`, sandbox.WorkerDied, "protocol"},
		{"closes its pipe", "exec >&-; exec 2>&-; sleep 100", sandbox.WorkerDied, "did not end, so it was killed"},
		{"half a frame", `printf 'r\020\000\000\000abc'`, sandbox.WorkerDied, "without a result"},
		{"says nothing", "sleep 100", sandbox.Timeout, "more than 500 ms"},
		{"never runs", confined + compiled + "sleep 100", sandbox.Timeout, "more than 500 ms"},
		{"hangs after the result", confined + compiled + ok + "sleep 100", sandbox.OK, ""},
		{"leaves a child behind", confined + compiled + "sleep 100 & " + ok, sandbox.OK, ""},
		{"compiled before confined", compiled + "sleep 100", sandbox.WorkerDied, "out of order"},
		{"compiled twice", confined + compiled + compiled + "sleep 100", sandbox.WorkerDied, "out of order"},
		{"ok without compiling", confined + ok, sandbox.WorkerDied, "says ok"},
		{"unknown status", frame(frameResult, `{"status":"fine",`+usage+`}`), sandbox.WorkerDied, "status"},
		{"says timeout", frame(frameResult, `{"status":"timeout",`+usage+`}`), sandbox.WorkerDied, "status"},
		{"unknown member", frame(frameResult, `{"status":"trap","verdict":"pass",`+usage+`}`), sandbox.WorkerDied, "verdict"},
		{"no JSON", frame(frameResult, `{`), sandbox.WorkerDied, "result"},
		{"guest error 0", frame(frameResult, `{"status":"guest_error",`+usage+`}`), sandbox.WorkerDied, "code 0"},
		{"negative usage", frame(frameResult, `{"status":"trap","usage":{"Wall":-1,"CPU":1,"Compile":1,"PeakBytes":1,"HostCalls":1}}`),
			sandbox.WorkerDied, "usage"},
		{"trace nobody asked for", frame(frameResult, `{"status":"trap","calls":{"stats":{"count":1,"ns":1}},`+usage+`}`),
			sandbox.WorkerDied, "nobody asked"},
		{"metric of no target", frame(frameResult, `{"status":"trap","metrics":[{"t":0,"p":-1,"n":"a","v":0}],`+usage+`}`), sandbox.WorkerDied,
			"target 0"},
		{"metric's name", frame(frameResult, `{"status":"trap","metrics":[{"t":-1,"p":-1,"n":"A B","v":0}],`+usage+`}`), sandbox.WorkerDied,
			"not a metric name"},
		{"too many metrics", frame(frameResult, `{"status":"trap","metrics":[{"t":-1,"p":-1,"n":"a","v":0},{"t":-1,"p":-1,"n":"b","v":0}],`+usage+`}`),
			sandbox.WorkerDied, "more than 1 metrics"},
		{"endless metrics", frame(frameResult, `{"status":"trap","metrics":[{},{},{},`), sandbox.WorkerDied, "more than 1 metrics"},
		{"endless grids", frame(frameResult, `{"status":"trap","grids":[{},{},{},`), sandbox.WorkerDied, "more than 1 grids"},
		{"endless findings", frame(frameResult, `{"status":"trap","findings":[{},{},{},`), sandbox.WorkerDied, "more than 2 findings"},
		{"grid's size", frame(frameResult, `{"status":"trap","grids":[{"t":-1,"p":-1,"n":"a","r":2,"c":4611686018427387904,"v":""}],`+usage+`}`),
			sandbox.WorkerDied, "grid"},
		{"finding's text", frame(frameResult, `{"status":"trap","findings":[{"t":-1,"s":1,"c":"CODE","m":"a\n","h":"","v":0,"l":0}],`+usage+`}`),
			sandbox.WorkerDied, "plain line"},
		{"finding's severity", frame(frameResult, `{"status":"trap","findings":[{"t":-1,"s":9,"c":"CODE","m":"","h":"","v":0,"l":0}],`+usage+`}`),
			sandbox.WorkerDied, "severity"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "worker")
			if err := os.WriteFile(path, []byte("#!/bin/sh\nPATH=/usr/bin:/bin\n"+c.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			limits := abi.Limits{Metrics: 1, Findings: 2}
			if c.want == sandbox.Timeout {
				limits.CompileMillis, limits.RunMillis = 500, 500
			}
			result, _ := (&Runner{Executable: path}).Run(context.Background(), job(wasmtest.Quiet(), limits))
			if result.Status != c.want || !strings.Contains(result.Error, c.says) {
				t.Errorf("%s %q, want %s with %q", result.Status, result.Error, c.want, c.says)
			}
		})
	}
}

// TestResultGivesEverythingOnce: the sandbox takes a metric or a grid once for each subject, so a result that repeats one is not its.
func TestResultGivesEverythingOnce(t *testing.T) {
	j := job(wasmtest.Quiet(), abi.Limits{})
	j.Input.Targets = make([]sandbox.Target, 1)
	metric, grid := sandbox.Metric{Target: 0, Peer: -1, Name: "a"},
		sandbox.Grid{Target: 0, Peer: -1, Name: "a", Rows: 1, Cols: 1, Values: []float64{1}}
	elsewhere := metric
	elsewhere.Target = -1
	for _, c := range []struct {
		name   string
		result sandbox.Result
		says   string
	}{
		{"each once", sandbox.Result{Metrics: []sandbox.Metric{metric, elsewhere}, Grids: []sandbox.Grid{grid}}, ""},
		{"metric twice", sandbox.Result{Metrics: []sandbox.Metric{metric, metric}}, "twice"},
		{"grid twice", sandbox.Result{Grids: []sandbox.Grid{grid, grid}}, "twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.result.Status = sandbox.OK
			body, err := encodeAnswer(c.result, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := decodeAnswer(body, j, true); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want an error with %q", err, c.says)
			}
		})
	}
}

// TestTraceIsHeldToTheABI reads what a captured worker may say of its host calls.
func TestTraceIsHeldToTheABI(t *testing.T) {
	j := job(wasmtest.Quiet(), abi.Limits{})
	j.Trace = sandbox.Trace{}
	for _, c := range []struct {
		name  string
		calls sandbox.Trace
		says  string
	}{
		{"none", nil, ""},
		{"one", sandbox.Trace{"stats": {Count: 1, NS: 2}}, ""},
		{"no function", sandbox.Trace{"stat": {Count: 1, NS: 2}}, `"stat"`},
		{"negative count", sandbox.Trace{"stats": {Count: -1, NS: 2}}, "-1"},
		{"negative time", sandbox.Trace{"stats": {Count: 1, NS: -2}}, "-2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, err := encodeAnswer(sandbox.Result{Status: sandbox.OK}, c.calls)
			if err != nil {
				t.Fatal(err)
			}
			_, calls, err := decodeAnswer(body, j, true)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) || err == nil && len(calls) != len(c.calls) {
				t.Errorf("%v, %v, want an error with %q", calls, err, c.says)
			}
		})
	}
}

func TestWorkerThatDoesNotStart(t *testing.T) {
	result, _ := (&Runner{Executable: filepath.Join(t.TempDir(), "absent")}).Run(context.Background(), job(wasmtest.Quiet(), abi.Limits{}))
	if result.Status != sandbox.WorkerDied || !strings.Contains(result.Error, "did not start") {
		t.Errorf("%+v", result)
	}
}

func TestModuleMustHaveItsDigest(t *testing.T) {
	j := job(wasmtest.Quiet(), abi.Limits{})
	j.SHA256[0]++
	if result, _ := new(Runner).Run(context.Background(), j); result.Status != sandbox.Invalid {
		t.Errorf("%+v", result)
	}
}
