package kernel

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// laneSums are the lanes of one dot product. Their values are all f32, kept in f64 between the steps.
type laneSums [lanes]float64

// extend adds the products of w and x, of which the first goes to lane 0. x is as long as w. It is FMA32 with its usual case, a sum well inside
// the normal range of f32, in line: that sum's low bits are cut by Veltkamp's method, because converting to f32 and back is slow.
func (s *laneSums) extend(w, x []float32) {
	x = x[:len(w)]
	for j, v := range w {
		lane := &s[j%lanes]
		next := float64(float64(v)*float64(x[j])) + *lane
		if magnitude := math.Float64bits(next) &^ (1 << 63); magnitude-usualLeast > usualRange || isMidpoint(next) {
			*lane = float64(FMA32(v, x[j], float32(*lane)))
			continue
		}
		big := float64(next * split)
		*lane = big - (big - next)
	}
}

// usualLeast and usualRange are the bits of 2^-126, and how far from there those of 2^127 are.
const (
	usualLeast = (1023 - 126) << 52
	usualRange = (127 + 126) << 52
)

// sum adds the lanes pairwise.
func (s *laneSums) sum() float32 {
	var v [lanes]float32
	for i, lane := range s {
		v[i] = float32(lane)
	}
	for distance := lanes / 2; distance > 0; distance /= 2 {
		for i := range distance {
			v[i] += v[i+distance]
		}
	}
	return v[0]
}

func dotPortable(w, x []float32) float32 {
	var s laneSums
	s.extend(w, x)
	return s.sum()
}

// dotStored multiplies one stored row, which is as long as x.
func dotStored(w []byte, dtype tensor.DType, x []float32) float32 {
	var s laneSums
	var wide [16 * lanes]float32
	for len(x) > 0 {
		n := min(len(x), len(wide))
		bytes := n * dtype.Size()
		widen32(wide[:n], w[:bytes], dtype)
		s.extend(wide[:n], x[:n])
		w, x = w[bytes:], x[n:]
	}
	return s.sum()
}

// dotRows multiplies as many stored rows as dst has elements.
func dotRows(dst []float32, w []byte, dtype tensor.DType, x []float32) {
	stride := len(x) * dtype.Size()
	for i := range dst {
		dst[i] = dotStored(w[i*stride:(i+1)*stride], dtype, x)
	}
}

// widen32 is tensor.ToF32 of lengths and a dtype that fit.
func widen32(dst []float32, src []byte, dtype tensor.DType) {
	if err := tensor.ToF32(dst, src, dtype); err != nil {
		panic(err)
	}
}
