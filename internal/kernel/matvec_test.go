package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// naiveDot follows the definition of lanes.
func naiveDot(w, x []float32) float32 {
	var s [16]float32
	for j := range w {
		s[j%16] = FMA32(w[j], x[j], s[j%16])
	}
	for _, distance := range []int{8, 4, 2, 1} {
		for lane := range distance {
			s[lane] += s[lane+distance]
		}
	}
	return s[0]
}

// vectors returns n random f32, some of them special where it is asked for.
func vectors(r *rand.Rand, n int, special bool) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.NormFloat64())
		if special && r.IntN(8) == 0 {
			out[i] = specials[r.IntN(len(specials))]
		}
	}
	return out
}

// specials are where a sum can go wrong: zeros, subnormals, products that underflow or overflow. A NaN or an infinity would hide the rest of a
// row, and is rare.
var specials = []float32{
	0, negativeZero, math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 0x1p-126, -0x1.fffffcp-127, 0x1p-75, -0x1p-75, 0x1p-100,
	0x1p63, -0x1p64, 0x1p-24, 1, -1, 0x1.000002p0, 0x1.fffffep-1,
}

// wild are values that spread.
var wild = []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.MaxFloat32, -math.MaxFloat32}

// oddAddress returns a copy that begins at an odd address.
func oddAddress(b []byte) []byte {
	return append(make([]byte, 1, len(b)+1), b...)[1:]
}

// storedVectors stores values as dtype, and returns what is stored in f32 too.
func storedVectors(t testing.TB, dtype tensor.DType, values []float32) ([]byte, []float32) {
	t.Helper()
	wide := make([]float64, len(values))
	for i, v := range values {
		wide[i] = float64(v)
	}
	w, back := oddAddress(encode(dtype, wide...)), make([]float32, len(values))
	if err := tensor.ToF32(back, w, dtype); err != nil {
		t.Fatal(err)
	}
	return w, back
}

func checkProducts(t *testing.T, what string, dst, w, x []float32, rows, cols, n int) {
	t.Helper()
	for v := range n {
		for i := range rows {
			want := naiveDot(w[i*cols:(i+1)*cols], x[v*cols:(v+1)*cols])
			if got := dst[v*rows+i]; !sameBits(got, want) {
				t.Fatalf("%s: %d x %d, vector %d of %d, row %d: %x, want %x", what, rows, cols, v, n, i, got, want)
			}
		}
	}
}

func TestMatVecKeepsItsOrder(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32, tensor.F64} {
			t.Run(dtype.String(), func(t *testing.T) {
				r := rand.New(rand.NewPCG(7, 8))
				for cols := 1; cols <= 200; cols++ {
					for _, rows := range []int{1 + cols%7, 8 + cols%13} {
						for n := range 1 + cols%3 {
							checkMatVec(t, r, dtype, rows, cols, n+1)
						}
					}
				}
				for n := 1; n <= 9; n++ {
					checkMatVec(t, r, dtype, 21, 48, n)
				}
				checkMatVec(t, r, dtype, 5, 16, vectorBlock+3)
				checkMatVec(t, r, dtype, 67, columnBlock+37, 2)
				checkMatVec(t, r, dtype, 300, 192, 3)
			})
		}
	})
}

// TestFewVectors goes through every number of vectors that rows are multiplied with as they are stored, the first that are more, and every number
// of rows that is left over.
func TestFewVectors(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
			t.Run(dtype.String(), func(t *testing.T) {
				r := rand.New(rand.NewPCG(17, 18))
				for n := 1; n <= fewVectors+1; n++ {
					checkMatVec(t, r, dtype, tileRows+n, lanes*(1+n%3), n)
				}
			})
		}
	})
}

// checkMatVec compares every way to multiply rows x cols weights with n vectors.
func checkMatVec(t *testing.T, r *rand.Rand, dtype tensor.DType, rows, cols, n int) {
	t.Helper()
	values, x := vectors(r, rows*cols, true), vectors(r, 1+n*cols, true)[1:]
	for range rows * cols / 1000 {
		values[r.IntN(len(values))] = wild[r.IntN(len(wild))]
	}
	w, wide := storedVectors(t, dtype, values)
	dst := make([]float32, n*rows+1)
	dst[n*rows] = 42
	MatVec(dst, w, dtype, rows, cols, x)
	checkProducts(t, "MatVec", dst, wide, x, rows, cols, 1)
	clear(dst[:n*rows])
	MatMat(dst, w, dtype, rows, cols, x, n)
	checkProducts(t, "MatMat", dst, wide, x, rows, cols, n)
	for _, workers := range []int{2, 3} {
		clear(dst[:n*rows])
		ParallelMatVec(dst, w, dtype, rows, cols, x, workers)
		checkProducts(t, "ParallelMatVec", dst, wide, x, rows, cols, 1)
		clear(dst[:n*rows])
		ParallelMatMat(dst, w, dtype, rows, cols, x, n, workers)
		checkProducts(t, "ParallelMatMat", dst, wide, x, rows, cols, n)
	}
	if dtype == tensor.F32 {
		clear(dst[:n*rows])
		Dots(dst[:rows], wide, x[:cols])
		checkProducts(t, "Dots", dst, wide, x, rows, cols, 1)
	}
	if dst[n*rows] != 42 {
		t.Fatalf("%d x %d, %d vectors: written beyond the end", rows, cols, n)
	}
}

func TestMatVecDoesNotAllocate(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 9))
		dst, x := make([]float32, 70), vectors(r, 70, false)
		w, _ := storedVectors(t, tensor.BF16, vectors(r, 70*64, false))
		if n := testing.AllocsPerRun(100, func() { MatVec(dst, w, tensor.BF16, 70, 64, x) }); n != 0 {
			t.Errorf("%g allocations", n)
		}
	})
}

func TestAddWeighted(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for cols := range 201 {
			n := cols % 10
			dst, weights, rows := vectors(r, cols, true), vectors(r, n, true), vectors(r, 1+n*cols, true)[1:]
			want := slices.Clone(dst)
			for i, weight := range weights {
				for j := range want {
					want[j] = FMA32(weight, rows[i*cols+j], want[j])
				}
			}
			AddWeighted(dst, weights, rows)
			for j := range want {
				if !sameBits(dst[j], want[j]) {
					t.Fatalf("%d rows of %d, column %d: %x, want %x", n, cols, j, dst[j], want[j])
				}
			}
		}
	})
}

func TestExp(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(15, 16))
		for n := range 201 {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(30 * r.NormFloat64())
			}
			if n > 50 {
				copy(x[r.IntN(n-20):], wild)
				copy(x[r.IntN(n-20):], specials)
			}
			scale, shift := float32(r.NormFloat64()), float32(r.NormFloat64())
			got := slices.Clone(x)
			Exp(got, scale, shift)
			for i, v := range x {
				y := FMA32(v, scale, shift)
				if want := exponential(y); !sameBits(got[i], want) {
					t.Fatalf("%d numbers: e^%g is %x, want %x", n, y, got[i], want)
				}
				exact := math.Exp(max(-86, min(float64(y), 88)))
				if math.Abs(float64(got[i])-exact) > exact*0x1p-22 {
					t.Fatalf("e^%g is %g, want %g", y, got[i], exact)
				}
			}
		}
	})
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

// TestLaneSumsAreFused compares the portable inner loop with FMA32 where its shortcut must step aside.
func TestLaneSumsAreFused(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for range 20000 {
		w, x := vectors(r, 40, true), vectors(r, 40, true)
		if r.IntN(10) == 0 {
			w[r.IntN(len(w))] = wild[r.IntN(len(wild))]
		}
		if got, want := dotPortable(w, x), naiveDot(w, x); !sameBits(got, want) {
			t.Fatalf("%x, want %x: %x times %x", got, want, w, x)
		}
	}
}

func benchmarkShapes(b *testing.B, run func(b *testing.B, w []byte, dtype tensor.DType, size int)) {
	const size = 4096
	r := rand.New(rand.NewPCG(1, 2))
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
		w := gaussian(r, dtype, size*size, 0.02)
		b.Run(dtype.String(), func(b *testing.B) { run(b, w, dtype, size) })
	}
}

// BenchmarkMatVec reads weights from memory, with one goroutine and with two.
func BenchmarkMatVec(b *testing.B) {
	benchmarkShapes(b, func(b *testing.B, w []byte, dtype tensor.DType, size int) {
		x, dst := vectors(rand.New(rand.NewPCG(3, 4)), size, false), make([]float32, size)
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
				b.SetBytes(int64(len(w)))
				for b.Loop() {
					ParallelMatVec(dst, w, dtype, size, size, x, workers)
				}
			})
		}
	})
}

// BenchmarkMatMat multiplies with the vectors of a prompt.
func BenchmarkMatMat(b *testing.B) {
	benchmarkShapes(b, func(b *testing.B, w []byte, dtype tensor.DType, size int) {
		for _, n := range []int{2, 8, 64} {
			x, dst := vectors(rand.New(rand.NewPCG(3, 4)), n*size, false), make([]float32, n*size)
			for _, workers := range []int{1, 2} {
				b.Run(fmt.Sprintf("vectors=%d/workers=%d", n, workers), func(b *testing.B) {
					for b.Loop() {
						ParallelMatMat(dst, w, dtype, size, size, x, n, workers)
					}
					b.ReportMetric(2*float64(n)*float64(size*size)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	})
}
