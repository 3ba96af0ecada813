package kernel

import (
	"math"

	"github.com/tenon-ml/tenon/internal/kernel"
)

// dot is the inner product of x and y.
func dot(x, y []float64) float64 { return kernel.Dot64(x, y) }

// axpy adds a*x to y.
func axpy(a float64, x, y []float64) { kernel.AddScaled64(a, x, y) }

// swap exchanges x and y.
func swap(x, y []float64) {
	y = y[:len(x)]
	for i, v := range x {
		x[i], y[i] = y[i], v
	}
}

func negate(x []float64) {
	for i, v := range x {
		x[i] = -v
	}
}

// largestOf is the largest magnitude in x; NaN where x has NaN, else infinity where it has that.
func largestOf(x []float64) float64 {
	var a, b, c, d uint64 // magnitudes order like their bits, NaN above infinity
	for ; len(x) >= 4; x = x[4:] {
		a, b = max(a, math.Float64bits(x[0])<<1), max(b, math.Float64bits(x[1])<<1)
		c, d = max(c, math.Float64bits(x[2])<<1), max(d, math.Float64bits(x[3])<<1)
	}
	for _, v := range x {
		a = max(a, math.Float64bits(v)<<1)
	}
	return math.Float64frombits(max(a, b, c, d) >> 1)
}
