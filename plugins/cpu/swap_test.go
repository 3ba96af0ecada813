package cpu

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// BenchmarkSwap is what a swap costs the requests beside it: how long one takes to find and hold the generation that its alias means, while
// another goroutine turns the alias as fast as it can. The quantiles are over requests.
func BenchmarkSwap(b *testing.B) {
	m := smallModel(b)
	for _, swapping := range []bool{false, true} {
		b.Run(map[bool]string{false: "quiet", true: "swapping"}[swapping], func(b *testing.B) {
			backend := serving(m, Options{})
			ids := [2]string{string(make([]byte, 32)), string(append(make([]byte, 31), 1))}
			for i, id := range ids {
				published(b, backend, m, nil, id, uint64(i+1))
			}
			var stop atomic.Bool
			var swaps atomic.Int64
			done := make(chan struct{})
			go func() {
				defer close(done)
				for n := uint64(3); swapping && !stop.Load(); n++ {
					if _, err := backend.Activate(b.Context(), &backendpb.ActivateRequest{Alias: "live", Generation: []byte(ids[n%2]), Sequence: n}); err != nil {
						b.Error(err)
						return
					}
					swaps.Add(1)
				}
			}()
			waits := make([]time.Duration, 0, b.N)
			for b.Loop() {
				begun := time.Now()
				g, err := backend.hold("live", nil)
				waits = append(waits, time.Since(begun))
				if err != nil {
					b.Fatal(err)
				}
				g.release()
			}
			stop.Store(true)
			<-done
			slices.Sort(waits)
			b.ReportMetric(float64(waits[len(waits)*99/100].Nanoseconds()), "p99-ns")
			b.ReportMetric(float64(waits[len(waits)-1].Nanoseconds()), "max-ns")
			b.ReportMetric(float64(swaps.Load()), "swaps")
		})
	}
}
