package kernel

import "math"

// vectorKernels are the loops over f64 vectors that factorisations spend their time in. n is at least 1. transpose8 writes the transpose of 8
// rows of n entries, srcStride apart, as n rows of 8, dstStride apart; n is a multiple of 4 there, and at least 4.
type vectorKernels struct {
	dot        func(n int, x, y *float64) float64
	dot2       func(n int, v, x, y *float64) (vx, vy float64)
	axpy       func(n int, a float64, x, y *float64)
	axpy2      func(n int, a, b float64, v, x, y *float64)
	gather2    func(n int, a, b float64, x, y, sum *float64)
	rotate     func(n int, cosine, sine float64, x, y *float64)
	scale      func(n int, a float64, x *float64)
	transpose8 func(n int, dst *float64, dstStride int, src *float64, srcStride int)
}

// Where its kernels are nil, an implementation runs the loops in Go below.
var vectorGeneric = vectorKernels{}

// dotLanes is the number of partial sums of an inner product.
const dotLanes = 16

// Dot64 is the inner product of x and y, which is as long as x or longer. Element i goes by a fused multiply-add to lane i mod 16; the lanes
// start from +0 and are added pairwise at distance 8, 4, 2 and 1.
func Dot64(x, y []float64) float64 {
	n := len(x)
	if n == 0 {
		return 0
	}
	y = y[:n]
	if active.vector.dot != nil {
		return active.vector.dot(n, &x[0], &y[0])
	}
	var lanes [dotLanes]float64
	for ; len(x) >= dotLanes; x, y = x[dotLanes:], y[dotLanes:] {
		a, b := (*[dotLanes]float64)(x), (*[dotLanes]float64)(y)
		for l := range lanes {
			lanes[l] = math.FMA(a[l], b[l], lanes[l])
		}
	}
	for l, v := range x {
		lanes[l] = math.FMA(v, y[l], lanes[l])
	}
	for distance := dotLanes / 2; distance > 0; distance /= 2 {
		for l := range distance {
			lanes[l] += lanes[l+distance]
		}
	}
	return lanes[0]
}

// TwoDots64 is Dot64(v, x) and Dot64(v, y), in one pass over v.
func TwoDots64(v, x, y []float64) (vx, vy float64) {
	n := len(v)
	if n == 0 {
		return 0, 0
	}
	x, y = x[:n], y[:n]
	if active.vector.dot2 != nil {
		return active.vector.dot2(n, &v[0], &x[0], &y[0])
	}
	return Dot64(v, x), Dot64(v, y)
}

// AddScaled64 adds a times x to y, which is as long as x or longer: y[i] = fma(a, x[i], y[i]).
func AddScaled64(a float64, x, y []float64) {
	n := len(x)
	if n == 0 {
		return
	}
	y = y[:n]
	if active.vector.axpy != nil {
		active.vector.axpy(n, a, &x[0], &y[0])
		return
	}
	for i, v := range x {
		y[i] = math.FMA(a, v, y[i])
	}
}

// ScatterScaled64 is AddScaled64(a, v, x) and AddScaled64(b, v, y), in one pass over v.
func ScatterScaled64(a, b float64, v, x, y []float64) {
	n := len(v)
	if n == 0 {
		return
	}
	x, y = x[:n], y[:n]
	if active.vector.axpy2 != nil {
		active.vector.axpy2(n, a, b, &v[0], &x[0], &y[0])
		return
	}
	for i, w := range v {
		x[i], y[i] = math.FMA(a, w, x[i]), math.FMA(b, w, y[i])
	}
}

// GatherScaled64 is AddScaled64(a, x, sum) and then AddScaled64(b, y, sum), for all of sum, in one pass over it.
func GatherScaled64(a, b float64, x, y, sum []float64) {
	n := len(sum)
	if n == 0 {
		return
	}
	x, y = x[:n], y[:n]
	if active.vector.gather2 != nil {
		active.vector.gather2(n, a, b, &x[0], &y[0], &sum[0])
		return
	}
	for i, s := range sum {
		sum[i] = math.FMA(b, y[i], math.FMA(a, x[i], s))
	}
}

// Rotate64 turns x and y into fma(cosine, x, -(sine·y)) and fma(sine, x, cosine·y), where the product that is not fused is rounded.
func Rotate64(x, y []float64, cosine, sine float64) {
	n := len(x)
	if n == 0 {
		return
	}
	y = y[:n]
	if active.vector.rotate != nil {
		active.vector.rotate(n, cosine, sine, &x[0], &y[0])
		return
	}
	for i, v := range x {
		w := y[i]
		x[i], y[i] = math.FMA(cosine, v, -float64(sine*w)), math.FMA(sine, v, float64(cosine*w))
	}
}

// Scale64 multiplies x by a.
func Scale64(a float64, x []float64) {
	if len(x) == 0 {
		return
	}
	if active.vector.scale != nil {
		active.vector.scale(len(x), a, &x[0])
		return
	}
	for i, v := range x {
		x[i] = float64(a * v)
	}
}

// Transpose64 writes the transpose of src, rows x cols, to dst. The rows of src are srcStride entries apart, those of dst dstStride.
func Transpose64(dst []float64, dstStride int, src []float64, srcStride, rows, cols int) {
	if rows < 1 || cols < 1 {
		return
	}
	View64{Data: src, Stride: srcStride}.check(rows, cols)
	View64{Data: dst, Stride: dstStride}.check(cols, rows)
	fast, done := cols&^3, 0 // columns that a kernel takes, rows that it has taken
	if active.vector.transpose8 != nil && fast > 0 {
		for ; done+8 <= rows; done += 8 {
			active.vector.transpose8(fast, &dst[done], dstStride, &src[done*srcStride], srcStride)
		}
	}
	for i := range rows {
		from := 0
		if i < done {
			from = fast
		}
		for j, v := range src[i*srcStride:][from:cols] {
			dst[(from+j)*dstStride+i] = v
		}
	}
}
