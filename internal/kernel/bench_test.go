package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

func BenchmarkMergeRows(b *testing.B) {
	const size = 4096
	r := rand.New(rand.NewPCG(1, 1))
	w := gaussian(r, tensor.BF16, size*size, 0.02)
	dst := make([]byte, len(w))
	for _, rank := range []int{16, 64} {
		for _, factors := range []tensor.DType{tensor.F32, tensor.BF16} {
			b.Run(fmt.Sprintf("r=%d/%v", rank, factors), func(b *testing.B) {
				d := newDelta(b, gaussian(r, factors, rank*size, 0.02), factors, gaussian(r, factors, rank*size, 0.02), factors, rank, size, size, 2, false)
				b.SetBytes(2 * int64(len(w)))
				for b.Loop() {
					if _, err := MergeRows(dst, w, tensor.BF16, d, 0, size); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(2*size*size*float64(rank)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

func BenchmarkMatVec(b *testing.B) {
	const size = 4096
	r := rand.New(rand.NewPCG(1, 2))
	x, dst := make([]float32, size), make([]float32, size)
	for j := range x {
		x[j] = float32(r.NormFloat64())
	}
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
		w := gaussian(r, dtype, size*size, 0.02)
		b.Run(dtype.String(), func(b *testing.B) {
			b.SetBytes(int64(len(w)))
			for b.Loop() {
				MatVec(dst, w, dtype, size, size, x)
			}
			b.ReportMetric(2*size*size*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
