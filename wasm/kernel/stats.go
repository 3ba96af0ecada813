package kernel

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Stats looks at every value of w once. stored is the type that w's values have where they are stored: it decides what is subnormal. Sums
// are taken row by row with four partial sums, and over rows with compensation.
func Stats(w Rows, stored tensor.DType) (abi.Stats, error) {
	s := newCensus(w, stored)
	if err := eachBlock(w, func(first int, block *Matrix) error { s.add(first, block); return nil }); err != nil {
		return abi.Stats{}, err
	}
	return s.result(), nil
}

// census is Stats under way.
type census struct {
	cols         int
	tiny         float64 // the smallest magnitude that is not subnormal
	total        abi.Stats
	sum, squares compensated
	used         []bool // columns that have a value other than zero
	rows         []abi.Stats
	parts        []censusPart
}

// censusPart is what one goroutine needs.
type censusPart struct {
	used   []bool
	every  bool // all of used
	values []float64
}

func newCensus(w Rows, stored tensor.DType) *census {
	rows, cols := w.Shape()
	return &census{
		cols: cols, tiny: smallestNormal(stored), used: make([]bool, cols),
		total: abi.Stats{Count: int64(rows) * int64(cols), FirstNonFinite: -1, Min: math.Inf(1), Max: math.Inf(-1)},
	}
}

// add counts the rows of a block, which begins at row first, in parallel, and adds them in their order.
func (c *census) add(first int, block *Matrix) {
	if len(c.rows) < block.Rows {
		c.rows = make([]abi.Stats, block.Rows)
	}
	n := workers(block.Rows, float64(len(block.Data)))
	for len(c.parts) < n {
		c.parts = append(c.parts, censusPart{used: make([]bool, c.cols), values: make([]float64, c.cols)})
	}
	parallel(n, func(worker int) {
		for i := block.Rows * worker / n; i < block.Rows*(worker+1)/n; i++ {
			c.rows[i] = c.parts[worker].row(block.Row(i), c.tiny)
		}
	})
	for i, row := range c.rows[:block.Rows] {
		t := &c.total
		t.NaN += row.NaN
		t.Inf += row.Inf
		t.Zero += row.Zero
		t.Subnormal += row.Subnormal
		if row.FirstNonFinite >= 0 && t.FirstNonFinite < 0 {
			t.FirstNonFinite = int64(first+i)*int64(c.cols) + row.FirstNonFinite
		}
		if row.Zero == int64(c.cols) {
			t.ZeroRows++
		}
		t.Min, t.Max = min(t.Min, row.Min), max(t.Max, row.Max)
		c.sum.add(row.Sum)
		c.squares.add(row.SumSquares)
	}
}

// row counts one row. Its extrema are infinite where nothing is finite, and zeros are not among them.
func (p *censusPart) row(values []float64, tiny float64) abi.Stats {
	smallest, largest, low, high := math.Inf(1), 0.0, math.Inf(1), math.Inf(-1)
	finite := true
	for _, v := range values {
		size := math.Abs(v)
		if size < smallest {
			smallest = size
		}
		if size > largest {
			largest = size
		}
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
		finite = finite && v == v
	}
	if !finite || smallest < tiny || largest-largest != 0 {
		return p.mixed(values, tiny)
	}
	if !p.every {
		p.every = true
		for j := range p.used {
			p.used[j] = true
		}
	}
	return abi.Stats{FirstNonFinite: -1, Min: low, Max: high, Sum: total(values), SumSquares: dot(values, values)}
}

// mixed is row for a row with zeros, subnormals, or values that are not finite.
func (p *censusPart) mixed(row []float64, tiny float64) abi.Stats {
	s := abi.Stats{FirstNonFinite: -1, Min: math.Inf(1), Max: math.Inf(-1)}
	values := p.values[:0]
	for j, v := range row {
		if v == 0 {
			s.Zero++
			continue // adds nothing to any sum
		}
		p.used[j] = true
		if v-v != 0 {
			if s.FirstNonFinite < 0 {
				s.FirstNonFinite = int64(j)
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
	s.Sum, s.SumSquares = total(values), dot(values, values)
	return s
}

func (c *census) result() abi.Stats {
	s := c.total
	for _, part := range c.parts {
		for j, used := range part.used {
			c.used[j] = c.used[j] || used
		}
	}
	for _, used := range c.used {
		if !used {
			s.ZeroCols++
		}
	}
	if s.Zero > 0 {
		s.Min, s.Max = min(s.Min, 0), max(s.Max, 0)
	}
	if s.NaN+s.Inf == s.Count {
		s.Min, s.Max = 0, 0
	}
	s.Sum, s.SumSquares = c.sum.value(), c.squares.value()
	return s
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
