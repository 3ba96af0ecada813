package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func gaussians(r *rand.Rand, n int) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	return values
}

// TestMatMul32 holds products to their chains, bit by bit, and to the bound of their error against f64.
func TestMatMul32(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(21, 22))
		for _, shape := range [][3]int{{1, 1, 1}, {5, 7, 3}, {6, 16, 1}, {13, 33, 40}, {70, 20, 129}, {3, 530, 10}, {800, 5, 9}, {25, 65, 300}} {
			rows, cols, inner := shape[0], shape[1], shape[2]
			if underRace && rows*cols*inner > 10_000 {
				continue
			}
			for layout := range 4 {
				a := Factor32{gaussians(r, rows*inner), layout&1 != 0}
				b := Factor32{gaussians(r, inner*cols), layout&2 != 0}
				t.Run(fmt.Sprintf("%dx%dx%d/%d", rows, cols, inner, layout), func(t *testing.T) {
					before := gaussians(r, rows*cols)
					c := slices.Clone(before)
					MatMul32(c, rows, cols, inner, a, b, 1+layout)
					checkProduct(t, c, before, rows, cols, inner, a, b)
				})
			}
		}
	})
}

func checkProduct(t *testing.T, c, before []float32, rows, cols, inner int, a, b Factor32) {
	t.Helper()
	at := func(f Factor32, i, j, rows, cols int) float32 {
		if f.Transposed {
			return f.Data[j*rows+i]
		}
		return f.Data[i*cols+j]
	}
	const u = 0x1p-24
	gamma := float64(inner) * u / (1 - float64(inner)*u)
	for i := range rows {
		for j := range cols {
			chain := before[i*cols+j]
			sum, size := float64(chain), math.Abs(float64(chain))
			for p := range inner {
				x, y := at(a, i, p, rows, inner), at(b, p, j, inner, cols)
				chain = FMA32(x, y, chain)
				sum += float64(x) * float64(y)
				size += math.Abs(float64(x) * float64(y))
			}
			got := c[i*cols+j]
			if !sameBits(got, chain) {
				t.Fatalf("c[%d,%d] = %x, want %x", i, j, got, chain)
			}
			if diff := math.Abs(float64(got) - sum); diff > gamma*size+float64(inner)*0x1p-50*size {
				t.Fatalf("c[%d,%d] = %v is %g off, more than %g", i, j, got, diff, gamma*size)
			}
		}
	}
}

func TestMatMul32Refuses(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("accepted")
		}
	}()
	MatMul32(make([]float32, 4), 2, 2, 3, Factor32{Data: make([]float32, 6)}, Factor32{Data: make([]float32, 5)}, 1)
}
