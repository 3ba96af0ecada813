package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// naiveMatVec follows the definition of lanes.
func naiveMatVec(w []float32, rows, cols int, x []float32) []float32 {
	dst := make([]float32, rows)
	for i := range dst {
		var s [8]float32
		for j := range cols {
			product := float32(w[i*cols+j] * x[j])
			s[j%8] = s[j%8] + product
		}
		for _, distance := range []int{4, 2, 1} {
			for lane := range distance {
				s[lane] += s[lane+distance]
			}
		}
		dst[i] = s[0]
	}
	return dst
}

func TestMatVecKeepsItsOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32, tensor.F64} {
		for _, shape := range [][2]int{{1, 1}, {3, 7}, {5, 8}, {4, 29}, {300, 192}} {
			rows, cols := shape[0], shape[1]
			t.Run(fmt.Sprintf("%v/%dx%d", dtype, rows, cols), func(t *testing.T) {
				w, x := gaussian(r, dtype, rows*cols, 1), make([]float32, cols)
				for j := range x {
					x[j] = float32(r.NormFloat64())
				}
				wide := make([]float32, rows*cols)
				if err := tensor.ToF32(wide, w, dtype); err != nil {
					t.Fatal(err)
				}
				want, got := naiveMatVec(wide, rows, cols, x), make([]float32, rows)
				MatVec(got, w, dtype, rows, cols, x)
				for i := range want {
					if !sameBits(got[i], want[i]) {
						t.Fatalf("row %d: %x, want %x", i, got[i], want[i])
					}
				}
				for _, workers := range []int{0, 1, 2, 3, 8} {
					clear(got)
					ParallelMatVec(got, w, dtype, rows, cols, x, workers)
					for i := range want {
						if !sameBits(got[i], want[i]) {
							t.Fatalf("%d workers, row %d: %x, want %x", workers, i, got[i], want[i])
						}
					}
				}
				if n := testing.AllocsPerRun(10, func() { MatVec(got, w, dtype, rows, cols, x) }); n != 0 {
					t.Errorf("%g allocations", n)
				}
			})
		}
	}
}

func TestWidenF16(t *testing.T) {
	for h := range 1 << 16 {
		if got, want := widenF16(uint16(h)), tensor.F16ToF32(uint16(h)); !sameBits(got, want) {
			t.Fatalf("%#04x: %x, want %x", h, got, want)
		}
	}
}

func TestMatVecIsAccurate(t *testing.T) {
	const cols = 4096
	r := rand.New(rand.NewPCG(9, 10))
	w, x := gaussian(r, tensor.BF16, cols, 1), make([]float32, cols)
	wide := make([]float64, cols)
	if err := tensor.ToF64(wide, w, tensor.BF16); err != nil {
		t.Fatal(err)
	}
	var want, size float64
	for j := range x {
		x[j] = float32(r.NormFloat64())
		want += wide[j] * float64(x[j])
		size += math.Abs(wide[j] * float64(x[j]))
	}
	got := make([]float32, 1)
	MatVec(got, w, tensor.BF16, 1, cols, x)
	if math.Abs(float64(got[0])-want) > size*0x1p-24*8 {
		t.Errorf("%g, want %g", got[0], want)
	}
}
