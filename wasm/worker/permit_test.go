package worker

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// TestWaitingToCompileTakesNoSlot: runs of a module that another run compiles leave slots and memory to other modules.
func TestWaitingToCompileTakesNoSlot(t *testing.T) {
	j := job(wasmtest.Quiet(), abi.Limits{})
	for name, prepare := range map[string]func(entry string) error{
		"not in the cache":       func(string) error { return nil },
		"in the cache and empty": func(entry string) error { return os.Mkdir(entry, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := prepare(filepath.Join(dir, entryName(j.SHA256))); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				r := &Runner{CacheDir: dir, Parallel: 2}
				done, err := r.compiling.acquire(t.Context(), j.SHA256)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan sandbox.Result)
				for range 3 {
					go func() {
						result, _ := r.Run(ctx, j)
						ended <- result
					}()
				}
				synctest.Wait()
				if r.queue.running != 0 || len(r.queue.waiting) != 0 {
					t.Errorf("%d runs have a slot and %d wait for one", r.queue.running, len(r.queue.waiting))
				}
				cancel()
				for range 3 {
					if result := <-ended; result.Status != sandbox.WorkerDied {
						t.Errorf("%+v", result)
					}
				}
				done()
				if len(r.compiling.busy) != 0 {
					t.Error("somebody who gave up has the turn")
				}
			})
		})
	}
}

// TestTurnIsGivenBack: who gives up while it waits for a slot lets the next one compile.
func TestTurnIsGivenBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	synctest.Test(t, func(t *testing.T) {
		r := &Runner{CacheDir: dir, Parallel: 1}
		release, err := r.admit(t.Context(), abi.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan sandbox.Result)
		go func() {
			result, _ := r.Run(ctx, job(wasmtest.Quiet(), abi.Limits{}))
			ended <- result
		}()
		synctest.Wait()
		if len(r.compiling.busy) != 1 || len(r.queue.waiting) != 1 {
			t.Errorf("%d have the turn and %d wait for a slot", len(r.compiling.busy), len(r.queue.waiting))
		}
		cancel()
		if result := <-ended; result.Status != sandbox.WorkerDied {
			t.Errorf("%+v", result)
		}
		if len(r.compiling.busy) != 0 {
			t.Error("it has the turn still")
		}
		release()
	})
}
