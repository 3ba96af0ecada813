package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

func BenchmarkMerge(b *testing.B) {
	const size = 4096
	r := rand.New(rand.NewPCG(1, 1))
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
		w := gaussian(r, dtype, size*size, 0.02)
		dst := make([]byte, len(w))
		for _, rank := range []int{8, 16, 64, 256} {
			d := randomDelta(b, r, rank, size, size, false)
			for _, workers := range []int{1, 2} {
				b.Run(fmt.Sprintf("%v/r=%d/workers=%d", dtype, rank, workers), func(b *testing.B) {
					b.SetBytes(2 * int64(len(w)))
					for b.Loop() {
						if _, err := ParallelMergeRows(dst, w, dtype, d, 0, size, workers); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(2*size*size*float64(rank)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}
