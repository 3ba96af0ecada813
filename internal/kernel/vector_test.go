package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// special64 are values at the ends of f64.
var special64 = []float64{
	0, math.Copysign(0, -1), 1, -1, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, -math.MaxFloat64, 0x1p-1074, -0x1p-1074, 0x1p-1022,
	-0x1p-600, 0x1p-500, 1 + 0x1p-52,
}

// normal64 returns n normal values; with a share of special ones where special is set.
func normal64(r *rand.Rand, n int, special bool) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64()
		if special && r.IntN(6) == 0 {
			x[i] = special64[r.IntN(len(special64))]
		}
	}
	return x
}

func sameBits64(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

// wantDot is the definition of Dot64.
func wantDot(x, y []float64) float64 {
	var lanes [16]float64
	for i, v := range x {
		lanes[i%16] = math.FMA(v, y[i], lanes[i%16])
	}
	for _, distance := range []int{8, 4, 2, 1} {
		for l := range distance {
			lanes[l] = lanes[l] + lanes[l+distance]
		}
	}
	return lanes[0]
}

// TestVectors holds the loops against their definitions: every length, any alignment, and nothing written beyond the end.
func TestVectors(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for n := range 201 {
			for _, special := range []bool{false, true} {
				vectors := [3][]float64{}
				for i := range vectors {
					vectors[i] = normal64(r, n+8, special)[r.IntN(4):][:n+4]
				}
				a, b := r.NormFloat64(), r.NormFloat64()
				if special {
					a, b = special64[r.IntN(len(special64))], special64[r.IntN(len(special64))]
				}
				checkVectors(t, n, a, b, vectors)
			}
		}
	})
}

// checkVectors runs every loop on the first n elements of copies of the vectors.
func checkVectors(t *testing.T, n int, a, b float64, vectors [3][]float64) {
	t.Helper()
	x, y, z := vectors[0][:n], vectors[1][:n], vectors[2][:n]
	if got, want := Dot64(x, y), wantDot(x, y); !sameBits64(got, want) {
		t.Errorf("n = %d: dot is %x, want %x", n, got, want)
	}
	xy, xz := TwoDots64(x, y, z)
	if wantXY, wantXZ := wantDot(x, y), wantDot(x, z); !sameBits64(xy, wantXY) || !sameBits64(xz, wantXZ) {
		t.Errorf("n = %d: dots are %x, %x, want %x, %x", n, xy, xz, wantXY, wantXZ)
	}
	for _, c := range []struct {
		name string
		run  func(x, y, z []float64)
		want func(x, y, z float64) (nextX, nextY, nextZ float64)
	}{
		{"AddScaled64", func(x, y, _ []float64) { AddScaled64(a, x, y) },
			func(x, y, z float64) (float64, float64, float64) { return x, math.FMA(a, x, y), z }},
		{"ScatterScaled64", func(x, y, z []float64) { ScatterScaled64(a, b, x, y, z) },
			func(x, y, z float64) (float64, float64, float64) { return x, math.FMA(a, x, y), math.FMA(b, x, z) }},
		{"GatherScaled64", func(x, y, z []float64) { GatherScaled64(a, b, x, y, z) },
			func(x, y, z float64) (float64, float64, float64) { return x, y, math.FMA(b, y, math.FMA(a, x, z)) }},
		{"Rotate64", func(x, y, _ []float64) { Rotate64(x, y, a, b) }, func(x, y, z float64) (float64, float64, float64) {
			return math.FMA(a, x, -float64(b*y)), math.FMA(b, x, float64(a*y)), z
		}},
		{"Scale64", func(x, _, _ []float64) { Scale64(a, x) }, func(x, y, z float64) (float64, float64, float64) { return a * x, y, z }},
	} {
		var copies [3][]float64
		for i := range copies {
			copies[i] = append(make([]float64, 0, len(vectors[i])), vectors[i]...)
		}
		c.run(copies[0][:n], copies[1][:n], copies[2][:n])
		for i := range vectors[0] {
			want := [3]float64{vectors[0][i], vectors[1][i], vectors[2][i]}
			if i < n {
				want[0], want[1], want[2] = c.want(want[0], want[1], want[2])
			}
			for l, w := range want {
				if !sameBits64(copies[l][i], w) {
					t.Errorf("%s, n = %d: element %d of vector %d is %x, want %x", c.name, n, i, l, copies[l][i], w)
				}
			}
		}
	}
}

func TestTranspose64(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		for range 300 {
			rows, cols := r.IntN(40), r.IntN(40)
			srcStride, dstStride := cols+r.IntN(5), rows+r.IntN(5)
			src, dst := normal64(r, rows*srcStride+8, true), make([]float64, cols*dstStride+8)
			Transpose64(dst, dstStride, src, srcStride, rows, cols)
			for j := range cols {
				for i := range dstStride {
					want := 0.0
					if i < rows {
						want = src[i*srcStride+j]
					}
					if got := dst[j*dstStride+i]; !sameBits64(got, want) {
						t.Fatalf("%d x %d: (%d, %d) is %g, want %g", rows, cols, j, i, got, want)
					}
				}
			}
		}
	})
}
