package worker

import (
	"context"
	"crypto/sha256"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/modules"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// BenchmarkFirstResult is what a worker costs a run whose module is in the cache: a guest as small as C makes them, and a built-in one.
func BenchmarkFirstResult(b *testing.B) {
	small := job(wasmtest.Quiet(), abi.Limits{})
	builtin, err := modules.Builtin()
	if err != nil {
		b.Fatal(err)
	}
	large := Job{Granted: everything}
	for _, m := range builtin {
		if m.Manifest.ID == "hygiene" {
			large.Wasm, large.SHA256, large.Manifest = m.Wasm, sha256.Sum256(m.Wasm), m.Manifest
		}
	}
	cache := filepath.Join(b.TempDir(), "cache")
	for _, c := range []struct {
		name   string
		job    Job
		spares int
	}{{"small/fresh", small, 0}, {"small/spare", small, 2}, {"Go/fresh", large, 0}, {"Go/spare", large, 2}} {
		b.Run(c.name, func(b *testing.B) {
			r := &Runner{CacheDir: cache, Spares: c.spares}
			defer r.Close()
			var least, total time.Duration = math.MaxInt64, 0
			for i := range b.N + 2 { // the first two fill the cache and the spares
				for c.spares > 0 && i > 1 && !loaded(r) { // a job comes when there is a worker for it
					time.Sleep(time.Millisecond)
				}
				begun := time.Now()
				if result, _ := r.Run(context.Background(), c.job); result.Status != sandbox.OK {
					b.Fatalf("%s %q", result.Status, result.Error)
				}
				if took := time.Since(begun); i > 1 {
					least, total = min(least, took), total+took
				}
			}
			b.ReportMetric(float64(total)/1e6/float64(b.N), "ms/run")
			b.ReportMetric(float64(least)/1e6, "least-ms")
		})
	}
}

// loaded reports whether a spare has compiled a module and sleeps.
func loaded(r *Runner) bool {
	r.spares.mu.Lock()
	defer r.spares.mu.Unlock()
	for _, kept := range r.spares.all {
		if kept.loaded && kept.process != nil {
			before := processorTime(kept.process.cmd.Process.Pid)
			time.Sleep(5 * time.Millisecond)
			return before > 0 && processorTime(kept.process.cmd.Process.Pid)-before < 50_000
		}
	}
	return false
}

// BenchmarkDeadlineOvershoot is how long after its deadline a run gives control back, and after its caller gave up, at most.
func BenchmarkDeadlineOvershoot(b *testing.B) {
	const limit = 200 * time.Millisecond
	short := abi.Limits{CompileMillis: limit.Milliseconds(), RunMillis: limit.Milliseconds()}
	for _, c := range []struct {
		name   string
		module wasmtest.Module
	}{
		{"loop", wasmtest.Spinning()},
		{"recursion", wasmtest.Recursing()},
		{"memory.fill", wasmtest.Filling(2_000)},
		{"nested loops", wasmtest.Nesting(1_900, 40)},
		{"br_table", wasmtest.Branching(8_000, 60)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var most, mostCanceled time.Duration
			r := &Runner{}
			j := job(c.module, short)
			req, _, err := describe(j)
			if err != nil {
				b.Fatal(err)
			}
			req.Threads = 2
			for range b.N {
				o := r.attempt(context.Background(), j, req, nil, func() {})
				if most = max(most, time.Since(o.deadline)); o.result.Status != sandbox.Timeout {
					b.Fatalf("%s %q", o.result.Status, o.result.Error)
				}
				ctx, cancel := context.WithTimeout(context.Background(), limit)
				r.Run(ctx, job(c.module, abi.Limits{}))
				deadline, _ := ctx.Deadline()
				mostCanceled = max(mostCanceled, time.Since(deadline))
				cancel()
			}
			b.ReportMetric(float64(most)/1e6, "max-overshoot-ms")
			b.ReportMetric(float64(mostCanceled)/1e6, "max-after-cancel-ms")
		})
	}
}
