package cpu

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// TestGELU compares with the formula as transformers writes it, in f64.
func TestGELU(t *testing.T) {
	x := []float32{0, 1e-30, -1e-30, 0.5, -0.5, 1, -1, 2, -2, 3.3, -3.3, 6, -6, 20, -20, 1e15, -1e15, float32(math.Inf(1))}
	got := slices.Clone(x)
	geluNew(got, nil, make([]float32, len(x)))
	for i, v := range x {
		v := float64(v)
		want := 0.5 * v * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
		if !(math.Abs(float64(got[i])-want) <= 3e-7*math.Abs(v)) && float64(got[i]) != want {
			t.Errorf("of %g it is %g, want %g", v, got[i], want)
		}
	}
	nan := []float32{float32(math.NaN())}
	if geluNew(nan, nil, make([]float32, 1)); nan[0] == nan[0] {
		t.Errorf("of NaN it is %g", nan[0])
	}
}

// TestLayerNorm compares with the formula in f64, in place and not, of numbers far from 0.
func TestLayerNorm(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n, eps, middle = 37, 1e-5, 300
	x, weight, bias := make([]float32, n), make([]float32, n), make([]float32, n)
	mean, variance := 0.0, 0.0
	for i := range x {
		x[i], weight[i], bias[i] = float32(middle+r.NormFloat64()), float32(r.NormFloat64()), float32(r.NormFloat64())
		mean += float64(x[i]) / n
	}
	for _, v := range x {
		variance += (float64(v) - mean) * (float64(v) - mean) / n
	}
	normalize, got := layerNorm(weight, bias, eps), make([]float32, n)
	normalize(got, x)
	before := slices.Clone(x)
	normalize(x, x)
	for i, v := range got {
		if want := (float64(before[i])-mean)/math.Sqrt(variance+eps)*float64(weight[i]) + float64(bias[i]); math.Abs(float64(v)-want) > 1e-5 {
			t.Errorf("number %d is %g, want %g", i, v, want)
		}
		if v != x[i] {
			t.Errorf("number %d is %g in place, %g elsewhere", i, x[i], v)
		}
	}
}

// TestTransposedProduct compares products of stored bytes with sums in f64, and their bits with those of other batches and workers.
func TestTransposedProduct(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		dtype      tensor.DType
		rows, cols int
	}{{tensor.F32, 1, 1}, {tensor.F32, 300, 70}, {tensor.BF16, 129, 200}, {tensor.F16, 128, 64}, {tensor.F32, 7, 513}} {
		w := make([]byte, c.rows*c.cols*c.dtype.Size())
		values := make([]float64, c.rows*c.cols) // as stored, cols x rows
		for i := range values {
			v := r.NormFloat64()
			switch at := w[i*c.dtype.Size():]; c.dtype {
			case tensor.F32:
				binary.LittleEndian.PutUint32(at, math.Float32bits(float32(v)))
			case tensor.BF16:
				binary.LittleEndian.PutUint16(at, tensor.F64ToBF16(v))
			case tensor.F16:
				binary.LittleEndian.PutUint16(at, tensor.F64ToF16(v))
			}
		}
		if err := tensor.ToF64(values, w, c.dtype); err != nil {
			t.Fatal(err)
		}
		l := &linear{matrix: matrix{stored: stored{extent: extent{dtype: c.dtype}, bytes: w}, rows: c.rows, cols: c.cols, transposed: true}}
		const n = 5
		x := make([]float32, n*c.cols)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		multiply := func(batch, workers int) []float32 {
			crew := newCrew(workers)
			defer crew.dismiss()
			p, dst := newPass(crew), make([]float32, n*c.rows)
			for v := 0; v < n; v += batch {
				count := min(batch, n-v)
				p.times(x[v*c.cols:(v+count)*c.cols], count, product{l, dst[v*c.rows : (v+count)*c.rows]})
			}
			return dst
		}
		got := multiply(1, 1)
		for v := range n {
			for row := range c.rows {
				want := 0.0
				for col := range c.cols {
					want += values[col*c.rows+row] * float64(x[v*c.cols+col])
				}
				if math.Abs(float64(got[v*c.rows+row])-want) > 1e-6*float64(c.cols) {
					t.Fatalf("%v %d x %d: number %d of vector %d is %g, want %g", c.dtype, c.rows, c.cols, row, v, got[v*c.rows+row], want)
				}
			}
		}
		for _, other := range []struct{ batch, workers int }{{1, 3}, {2, 1}, {5, 4}} {
			for i, v := range multiply(other.batch, other.workers) {
				if v != got[i] {
					t.Fatalf("%v %d x %d: batches of %d, %d workers: number %d differs", c.dtype, c.rows, c.cols, other.batch, other.workers, i)
				}
			}
		}
	}
}
