package hostile

import (
	"context"
	"crypto/sha256"
	"flag"
	"sync"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/hostile/traces"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
	"github.com/tenon-ml/tenon/wasm/worker"
)

var long = flag.Bool("long", false, "ask for all of 1,000 runs at once, not for 100")

// TestThousandAtOnce: runs that are asked for together wait for each other, whatever becomes of some of them, and all get their answer.
func TestThousandAtOnce(t *testing.T) {
	n := 100
	if *long {
		n = 1_000
	}
	runner := &worker.Runner{Executable: executable, Parallel: 2}
	modules := [][]byte{wasmtest.Quiet().Encode(), wasmtest.Returning(7).Encode(), wasmtest.Guest(nil, wasmtest.Unreachable).Encode(),
		wasmtest.Quiet().Encode(), wasmtest.GrowingTable().Encode()}
	want := []sandbox.Status{sandbox.OK, sandbox.GuestError, sandbox.Trap, sandbox.OK, sandbox.Invalid}
	before := traces.Take(t)
	most, quit := 0, make(chan struct{})
	var watch, group sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-quit:
				return
			case <-time.After(5 * time.Millisecond):
				most = max(most, len(traces.Children()))
			}
		}
	})
	for i := range n {
		group.Go(func() {
			wasm := modules[i%len(modules)]
			result, _ := runner.Run(context.Background(), worker.Job{Wasm: wasm, SHA256: sha256.Sum256(wasm), Limits: abi.Limits{RunMillis: 60_000}})
			if result.Status != want[i%len(want)] {
				t.Errorf("run %d: %s %q, want %s", i, result.Status, result.Error, want[i%len(want)])
			}
		})
	}
	group.Wait()
	close(quit)
	watch.Wait()
	t.Logf("%d runs, at most %d processes at once", n, most)
	if most > runner.Parallel {
		t.Errorf("%d processes at once", most)
	}
	if err := runner.Close(); err != nil {
		t.Error(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	before.MustBeAll(t)
}
