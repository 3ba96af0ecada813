package moduletest

import (
	"context"
	"crypto/sha256"
	"os"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
	"github.com/tenon-ml/tenon/wasm/worker"
)

// TestMain lets the test binary be the sandbox worker of its own tests.
func TestMain(m *testing.M) {
	if worker.Invoked() {
		worker.Main()
	}
	os.Exit(m.Run())
}

// inProcess runs the small guests of these tests without a worker, which makes a run a matter of microseconds.
type inProcess struct{}

func (inProcess) Run(ctx context.Context, job worker.Job) (sandbox.Result, string) {
	limits := job.Limits.WithDefaults()
	ctx, stop := context.WithTimeout(ctx, time.Duration(limits.RunMillis)*time.Millisecond)
	defer stop()
	return sandbox.Run(ctx, sandbox.Options{Wasm: job.Wasm, Manifest: job.Manifest, Granted: job.Granted, Limits: job.Limits, Input: job.Input,
		InProcess: true, Interpreter: true, Trace: job.Trace}), worker.Full
}

var _ Runner = inProcess{}

// module makes a module of a hand-made guest.
func module(m wasmtest.Module, needs ...abi.Capability) modules.Module {
	wasm := m.Encode()
	return modules.Module{Wasm: wasm, SHA256: sha256.Sum256(wasm), Manifest: abi.Manifest{ID: "test", Version: "1.0.0", Title: "a test",
		Cost: abi.CostFactors, Needs: needs, Limits: abi.Limits{RunMillis: 2000}}}
}
