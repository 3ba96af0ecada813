package kernel_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/internal/machine"
	"github.com/tenon-ml/tenon/internal/noise"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// memory is what the machine's limits are measured on, taken when a benchmark first asks.
var memory = sync.OnceValue(machine.New)

// threads are one, and as many as Go may use.
var threads = slices.Compact([]int{1, runtime.GOMAXPROCS(0)})

// BenchmarkLimit measures the machine, not Tenon: copies that no cache helps, read and written bytes together, and fused multiply-adds in
// registers.
func BenchmarkLimit(b *testing.B) {
	m := memory()
	fmt.Printf("limit-fma: %s\nlast-level-cache: %d MiB\n", machine.Vectors(), machine.LastLevelCache()>>20) // benchstat takes such lines
	for _, workers := range threads {
		b.Run(fmt.Sprintf("copy/threads=%d", workers), func(b *testing.B) {
			const moved = 64 << 20
			for b.Loop() {
				m.Copy(moved, workers)
			}
			b.ReportMetric(moved*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
		})
		for _, fma := range []struct {
			name string
			run  func(products int64, workers int) time.Duration
		}{{"fma32", machine.FMA32}, {"fma64", machine.FMA64}} {
			b.Run(fmt.Sprintf("%s/threads=%d", fma.name, workers), func(b *testing.B) {
				const products = 1 << 30
				for b.Loop() {
					fma.run(products, workers)
				}
				b.ReportMetric(2*products*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

// BenchmarkMergeOverLimit merges one matrix after the other out of more memory than caches hold, and between any two measures what the same
// bytes and products take at least: xlimit is how many times that a merge takes.
func BenchmarkMergeOverLimit(b *testing.B) {
	const size = 4096
	fmt.Printf("implementation: %s\n", kernel.Implementation())
	m := memory()
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
		bytes := size * size * dtype.Size()
		src := make([]byte, max(256<<20, 2*int(machine.LastLevelCache()))/bytes*bytes)
		dst := make([]byte, len(src))
		noise.NewNormal(dtype, 0.02).Fill(src, noise.Source(1, 1))
		copy(dst, src)
		for _, rank := range []int{8, 16, 64, 256} {
			for _, layout := range []string{"out-in", "in-out"} {
				d := lowRank(b, rank, size, layout == "in-out")
				for _, workers := range threads {
					b.Run(fmt.Sprintf("%v/r=%d/layout=%s/threads=%d", dtype, rank, layout, workers), func(b *testing.B) {
						at := 0
						work := machine.Work{Bytes: int64(2*bytes + 4*rank*2*size), FMA32: int64(rank) * size * size}
						m.Beside(b, work, workers, func() {
							if _, err := kernel.ParallelMergeRows(dst[at:at+bytes], src[at:at+bytes], dtype, d, 0, size, workers); err != nil {
								b.Fatal(err)
							}
							at = (at + bytes) % len(src)
						})
					})
				}
			}
		}
	}
}

func lowRank(b *testing.B, rank, size int, fanInFanOut bool) *kernel.Delta {
	b.Helper()
	factors := make([]byte, 2*4*rank*size)
	noise.NewNormal(tensor.F32, 0.02).Fill(factors, noise.Source(1, 2))
	half := len(factors) / 2
	d, err := kernel.NewDelta(factors[:half], tensor.F32, factors[half:], tensor.F32, rank, size, size, 2, fanInFanOut)
	if err != nil {
		b.Fatal(err)
	}
	return d
}
