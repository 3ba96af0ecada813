package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

var scanned = []tensor.DType{tensor.BF16, tensor.F16, tensor.F32, tensor.F64}

// anyBits is a row of random bits: every kind of value, NaN included. It begins at an odd address.
func anyBits(r *rand.Rand, dtype tensor.DType, n int) []byte {
	row := make([]byte, n*dtype.Size()+1)[1:]
	for i := range row {
		row[i] = byte(r.Uint32())
	}
	return row
}

// ordinary is a row without zeros, subnormals, NaN and infinities.
func ordinary(r *rand.Rand, dtype tensor.DType, n int) []byte {
	row := gaussian(r, dtype, n, 1)
	values := make([]float64, n)
	widen(values, row, dtype)
	for i, v := range values {
		if math.Abs(v) < SmallestNormal(dtype) {
			copy(row[i*dtype.Size():(i+1)*dtype.Size()], row[max(i-1, 0)*dtype.Size():])
		}
	}
	return row
}

func eachScan(t *testing.T, test func(t *testing.T, r *rand.Rand, dtype tensor.DType, n int)) {
	eachImplementation(t, func(t *testing.T) {
		for _, dtype := range scanned {
			r := rand.New(rand.NewPCG(3, uint64(dtype)))
			for _, n := range []int{1, 2, 15, 16, 17, 31, 32, 33, 100, 4096, 4099} {
				t.Run(fmt.Sprintf("%v/%d", dtype, n), func(t *testing.T) { test(t, r, dtype, n) })
			}
		}
	})
}

// same compares to the bit, except that one NaN is as good as another.
func same(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

// inLanes adds by the documented rule.
func inLanes(lanes, n int, add func(lane, j int, sums []float64)) float64 {
	sums := make([]float64, lanes)
	for j := range n {
		add(j%lanes, j, sums)
	}
	for ; lanes > 1; lanes /= 2 {
		for l := range lanes / 2 {
			sums[l] += sums[l+lanes/2]
		}
	}
	return sums[0]
}

func TestWiden(t *testing.T) {
	eachScan(t, func(t *testing.T, r *rand.Rand, dtype tensor.DType, n int) {
		row := anyBits(r, dtype, n)
		got, want := make([]float64, n+1), make([]float64, n)
		got[n] = 7
		Widen(got[:n], row, dtype)
		widen(want, row, dtype)
		for j, w := range want {
			if !same(got[j], w) {
				t.Fatalf("value %d is %x, want %x", j, got[j], w)
			}
		}
		if got[n] != 7 {
			t.Error("wrote past the end")
		}
	})
}

func TestSignedSum(t *testing.T) {
	eachScan(t, func(t *testing.T, r *rand.Rand, dtype tensor.DType, n int) {
		x, values := make([]int8, n), make([]float64, n)
		for j := range x {
			x[j] = int8(r.IntN(2)*2 - 1)
		}
		for _, row := range [][]byte{gaussian(r, dtype, n, 1), anyBits(r, dtype, n), make([]byte, n*dtype.Size())} {
			widen(values, row, dtype)
			want := inLanes(16, n, func(l, j int, sums []float64) { sums[l] += float64(values[j] * float64(x[j])) })
			if got := SignedSum(row, dtype, x); !same(got, want) {
				t.Errorf("got %x, want %x", got, want)
			}
		}
	})
}

func TestTakeCensus(t *testing.T) {
	eachScan(t, func(t *testing.T, r *rand.Rand, dtype tensor.DType, n int) {
		row, values := ordinary(r, dtype, n), make([]float64, n)
		widen(values, row, dtype)
		want := Census{Min: math.Inf(1), Max: math.Inf(-1),
			Sum:        inLanes(16, n, func(l, j int, sums []float64) { sums[l] += values[j] }),
			SumSquares: inLanes(16, n, func(l, j int, sums []float64) { sums[l] = math.FMA(values[j], values[j], sums[l]) })}
		for _, v := range values {
			want.Min, want.Max = min(want.Min, v), max(want.Max, v)
		}
		if got, ok := TakeCensus(row, dtype); !ok || got != want {
			t.Errorf("got  %+v, %t\nwant %+v", got, ok, want)
		}
		if got, ok := ValuesCensus(values, SmallestNormal(dtype)); !ok || got != want {
			t.Errorf("of values: %+v, %t\nwant %+v", got, ok, want)
		}
		zeros := make([]byte, dtype.Size())
		for name, bytes := range map[string][]byte{"zero": zeros, "infinity": encode(dtype, math.Inf(-1)), "NaN": encode(dtype, math.NaN()),
			"subnormal": append([]byte{1}, zeros[1:]...)} {
			broken := append([]byte(nil), row...)
			copy(broken[r.IntN(n)*dtype.Size():], bytes)
			if _, ok := TakeCensus(broken, dtype); ok {
				t.Errorf("a row with %s has a census", name)
			}
		}
	})
}

func TestTakeLoss(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		for _, dtype := range scanned[:3] {
			for _, target := range scanned[:3] {
				r := rand.New(rand.NewPCG(4, uint64(dtype)))
				for _, n := range []int{1, 15, 16, 33, 4099} {
					for _, row := range [][]byte{gaussian(r, dtype, n, 0.02), anyBits(r, dtype, n), make([]byte, n*dtype.Size())} {
						deltas := make([]float32, n)
						for _, size := range []float64{0, 1e-45, 1e-5, 1e-3, 1, 1e38} {
							for j := range deltas {
								deltas[j] = float32(r.NormFloat64() * size)
							}
							deltas[n/2] = 0
							want := lossByDefinition(row, dtype, target, deltas)
							if got := TakeLoss(row, dtype, target, deltas); got != want {
								t.Fatalf("%v to %v, %d values, deltas of %g:\ngot  %+v\nwant %+v", dtype, target, n, size, got, want)
							}
						}
					}
				}
			}
		}
	})
}

func lossByDefinition(row []byte, dtype, target tensor.DType, deltas []float32) Loss {
	t := lossTally{Loss: Loss{FirstOverflow: -1}}
	t.add(row, dtype, target, deltas, 0)
	return t.loss()
}

func BenchmarkScan(b *testing.B) {
	const n = 4096
	r := rand.New(rand.NewPCG(5, 1))
	x, deltas, values := make([]int8, n), make([]float32, n), make([]float64, n)
	for j := range x {
		x[j], deltas[j] = int8(j%3%2)*2-1, float32(r.NormFloat64())
	}
	for _, dtype := range scanned[:3] {
		row := ordinary(r, dtype, n)
		for _, c := range []struct {
			name string
			run  func()
		}{
			{"widen", func() { Widen(values, row, dtype) }},
			{"census", func() { TakeCensus(row, dtype) }},
			{"signed sum", func() { SignedSum(row, dtype, x) }},
			{"loss", func() { TakeLoss(row, dtype, dtype, deltas) }},
		} {
			b.Run(fmt.Sprintf("%s/%v", c.name, dtype), func(b *testing.B) {
				b.SetBytes(int64(len(row)))
				for b.Loop() {
					c.run()
				}
			})
		}
	}
}
