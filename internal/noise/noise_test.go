package noise

import (
	"bytes"
	"math"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

func TestFill(t *testing.T) {
	const deviation, count = 0.02, 1 << 18
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
		t.Run(dtype.String(), func(t *testing.T) {
			n := NewNormal(dtype, deviation)
			stored := make([]byte, count*dtype.Size())
			n.Fill(stored, Source(1, 2))
			values := make([]float64, count)
			if err := tensor.ToF64(values, stored, dtype); err != nil {
				t.Fatal(err)
			}
			var sum, squares, within float64
			for _, v := range values {
				sum += v
				squares += v * v
				if math.Abs(v) < deviation {
					within++
				}
			}
			if mean := sum / count; math.Abs(mean) > deviation/100 {
				t.Errorf("the mean is %g", mean)
			}
			if got := math.Sqrt(squares / count); math.Abs(got/deviation-1) > 0.01 {
				t.Errorf("the deviation is %g, want %g", got, deviation)
			}
			if got := within / count; math.Abs(got-0.6827) > 0.01 {
				t.Errorf("%g of the numbers are within one deviation", got)
			}
			pieces := make([]byte, len(stored))
			source := Source(1, 2)
			half := len(stored) / 2
			n.Fill(pieces[:half], source)
			n.Fill(pieces[half:], source)
			if !bytes.Equal(pieces, stored) {
				t.Error("two pieces are not what one is")
			}
			other := make([]byte, len(stored))
			n.Fill(other, Source(1, 3))
			if bytes.Equal(other, stored) {
				t.Error("another stream gives the same numbers")
			}
		})
	}
}

// A stream may end within a group of four.
func TestFillEnds(t *testing.T) {
	n := NewNormal(tensor.BF16, 1)
	whole, odd := make([]byte, 32), make([]byte, 26)
	n.Fill(whole, Source(1, 1))
	n.Fill(odd, Source(1, 1))
	if !bytes.Equal(whole[:26], odd) {
		t.Errorf("got %x, want %x", odd, whole[:26])
	}
}

func BenchmarkFill(b *testing.B) {
	n := NewNormal(tensor.BF16, 1)
	dst := make([]byte, 1<<20)
	source := Source(1, 1)
	b.SetBytes(int64(len(dst)))
	for b.Loop() {
		n.Fill(dst, source)
	}
}
