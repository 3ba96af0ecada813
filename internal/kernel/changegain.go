package kernel

import (
	"fmt"
	"math"
)

// Gains writes the gains that scale outputs to their magnitudes: f32(f64(magnitude) / sqrt(sum)), of the sums of a Change. Where there are more sums
// than magnitudes, those of equal runs are added first, ascending. It fails on an output that has no length, or one that is not finite, or whose gain
// is not a finite f32.
func Gains(dst, magnitudes []float32, sums []float64) error {
	if len(magnitudes) != len(dst) || len(dst) == 0 || len(sums)%len(dst) != 0 {
		return fmt.Errorf("%d magnitudes and %d sums for %d gains", len(magnitudes), len(sums), len(dst))
	}
	width := len(sums) / len(dst)
	for i := range dst {
		sum := sums[i*width]
		for _, more := range sums[i*width+1 : (i+1)*width] {
			sum += more
		}
		norm := math.Sqrt(sum)
		if norm == 0 || norm-norm != 0 {
			return fmt.Errorf("output %d of W + delta has length %g: it cannot be scaled to a magnitude", i, norm)
		}
		dst[i] = float32(float64(magnitudes[i]) / norm)
		if dst[i]-dst[i] != 0 {
			return fmt.Errorf("output %d has magnitude %g and length %g: their ratio is not a finite f32", i, magnitudes[i], norm)
		}
	}
	return nil
}

// columnGains returns a gain for each stored column, or nil where gains are not of columns.
func (c *Change) columnGains() []float32 {
	switch {
	case !c.OfColumns:
		return nil
	case len(c.Gains) == c.Cols || c.Gains == nil:
		return c.Gains
	}
	gains, width := make([]float32, c.Cols), c.Cols/len(c.Gains)
	for col := range gains {
		gains[col] = c.Gains[col/width]
	}
	return gains
}

// lanes16 is the number of partial sums of a sum of squares, and the unit of scaleKernels.
const lanes16 = 16

// ones are the gains of what is not scaled.
var ones = [lanes16]float32{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}

// same returns a gain 16 times.
func (s *scratch) same(gain float32) []float32 {
	if math.Float32bits(s.sameGain[0]) != math.Float32bits(gain) { // -0 and +0 give different bits
		for i := range s.sameGain {
			s.sameGain[i] = gain
		}
	}
	return s.sameGain[:]
}

// addSquaresToLanes adds the square of entry i to lane i mod 16.
func addSquaresToLanes(lanes []float64, v []float32) {
	done := 0
	if kernel := active.merge.scale.squareLanes; kernel != nil {
		kernel(len(v), &lanes[0], &v[0])
		done = len(v) / lanes16 * lanes16
	}
	for i, x := range v[done:] {
		lanes[i%lanes16] += float64(x) * float64(x) // exact: fused or not, it is the same
	}
}

// addSquares adds the square of each entry to a sum of its own.
func addSquares(sums []float64, v []float32) {
	done := 0
	if kernel := active.merge.scale.squareEach; kernel != nil {
		kernel(len(v), &sums[0], &v[0])
		done = len(v) / lanes16 * lanes16
	}
	for i, x := range v[done:] {
		sums[done+i] += float64(x) * float64(x)
	}
}
