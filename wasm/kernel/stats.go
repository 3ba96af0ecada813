package kernel

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Stats looks at every value of w once. stored is the type that w's values have where they are stored: it decides what is subnormal. Sums
// are taken row by row with four partial sums, and over rows with compensation.
func Stats(w Rows, stored tensor.DType) (abi.Stats, error) {
	rows, cols := w.Shape()
	s := abi.Stats{Count: int64(rows) * int64(cols), FirstNonFinite: -1, Min: math.Inf(1), Max: math.Inf(-1)}
	var sum, squares compensated
	used := make([]bool, cols) // columns that have a value other than zero
	finite := make([]float64, cols)
	tiny := smallestNormal(stored)
	err := eachBlock(w, func(first int, block *Matrix) error {
		for i := range block.Rows {
			values := finite[:0]
			rowZeros := s.Zero
			for j, v := range block.Row(i) {
				if v == 0 {
					s.Zero++
					continue // adds nothing to any sum
				}
				used[j] = true
				if v-v != 0 {
					if s.FirstNonFinite < 0 {
						s.FirstNonFinite = int64(first+i)*int64(cols) + int64(j)
					}
					if v != v {
						s.NaN++
					} else {
						s.Inf++
					}
					continue
				}
				if math.Abs(v) < tiny {
					s.Subnormal++
				}
				s.Min, s.Max = min(s.Min, v), max(s.Max, v)
				values = append(values, v)
			}
			sum.add(total(values))
			squares.add(dot(values, values))
			if s.Zero-rowZeros == int64(cols) {
				s.ZeroRows++
			}
		}
		return nil
	})
	if err != nil {
		return abi.Stats{}, err
	}
	for _, nonzero := range used {
		if !nonzero {
			s.ZeroCols++
		}
	}
	if s.Zero > 0 {
		s.Min, s.Max = min(s.Min, 0), max(s.Max, 0)
	}
	if s.NaN+s.Inf == s.Count {
		s.Min, s.Max = 0, 0
	}
	s.Sum, s.SumSquares = sum.value(), squares.value()
	return s, nil
}

// smallestNormal is the smallest magnitude above zero that d stores with full precision.
func smallestNormal(d tensor.DType) float64 {
	switch d {
	case tensor.F16:
		return 0x1p-14
	case tensor.F64:
		return 0x1p-1022
	}
	return 0x1p-126
}

// total is the sum of x in dot's order.
func total(x []float64) float64 {
	var s0, s1, s2, s3 float64
	for len(x) >= 4 {
		s0, s1, s2, s3 = s0+x[0], s1+x[1], s2+x[2], s3+x[3]
		x = x[4:]
	}
	sums := [4]float64{s0, s1, s2, s3}
	for i, v := range x {
		sums[i] += v
	}
	return (sums[0] + sums[2]) + (sums[1] + sums[3])
}

// compensated is Neumaier's sum: what each addition loses is summed beside.
type compensated struct{ sum, lost float64 }

func (c *compensated) add(v float64) {
	next := c.sum + v
	switch {
	case next-next != 0: // infinite: nothing to compensate
	case math.Abs(c.sum) >= math.Abs(v):
		c.lost += (c.sum - next) + v
	default:
		c.lost += (v - next) + c.sum
	}
	c.sum = next
}

func (c *compensated) value() float64 { return c.sum + c.lost }
