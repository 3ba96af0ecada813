package kernel

import (
	"math"

	"github.com/tenon-ml/tenon/internal/kernel"
)

// columns is a matrix by columns, each contiguous: column j is data[j*stride:][:rows]. The factorisations work on columns.
type columns struct {
	rows, cols, stride int
	data               []float64
}

// newColumns returns columns of zeros. Columns that start a multiple of a page apart would compete for the same places in a cache.
func newColumns(rows, cols int) columns {
	stride := rows
	if rows%64 == 0 {
		stride += 8
	}
	return columns{rows, cols, stride, make([]float64, stride*cols)}
}

// column is a view of column j.
func (c columns) column(j int) []float64 {
	if c.rows == 0 {
		return nil
	}
	return c.data[j*c.stride:][:c.rows:c.rows]
}

// part is a view of columns [from, to).
func (c columns) part(from, to int) columns {
	if from >= to || c.rows == 0 {
		return columns{rows: c.rows, cols: max(to-from, 0), stride: c.stride}
	}
	return columns{c.rows, to - from, c.stride, c.data[from*c.stride : (to-1)*c.stride+c.rows]}
}

// below is a view of the rows from first on.
func (c columns) below(first int) columns {
	if first >= c.rows || c.cols == 0 {
		return columns{cols: c.cols, stride: c.stride}
	}
	return columns{c.rows - first, c.cols, c.stride, c.data[first:]}
}

// above is a view of the first rows.
func (c columns) above(rows int) columns {
	c.rows = min(rows, c.rows)
	return c
}

// view is the matrix, and by the other reading of its data its transpose.
func (c columns) view(transposed bool) kernel.View64 {
	return kernel.View64{Data: c.data, Stride: c.stride, Transposed: !transposed}
}

// clone copies the columns.
func (c columns) clone() columns {
	copied := newColumns(c.rows, c.cols)
	copied.set(c)
	return copied
}

// set copies the columns of other, which may be shorter and fewer.
func (c columns) set(other columns) {
	for j := range other.cols {
		copy(c.column(j), other.column(j))
	}
}

// columnsOf copies m, or its transpose.
func columnsOf(m *Matrix, transposed bool) columns {
	if transposed {
		c := newColumns(m.Cols, m.Rows)
		for j := range c.cols {
			copy(c.column(j), m.Row(j))
		}
		return c
	}
	c := newColumns(m.Rows, m.Cols)
	kernel.Transpose64(c.data, c.stride, m.Data, m.Cols, m.Rows, m.Cols)
	return c
}

// matrix copies the columns into a Matrix.
func (c columns) matrix() *Matrix {
	m := NewMatrix(c.rows, c.cols)
	kernel.Transpose64(m.Data, c.cols, c.data, c.stride, c.cols, c.rows)
	return m
}

// byRows returns the matrix whose rows are the columns.
func (c columns) byRows() *Matrix {
	m := NewMatrix(c.cols, c.rows)
	for j := range c.cols {
		copy(m.Row(j), c.column(j))
	}
	return m
}

// transpose returns the transpose.
func (c columns) transpose() columns {
	t := newColumns(c.cols, c.rows)
	kernel.Transpose64(t.data, t.stride, c.data, c.stride, c.cols, c.rows)
	return t
}

// scaleDown divides everything by a power of two that brings the largest magnitude into [1, 2), and returns its exponent. Squares
// can then neither overflow nor all vanish, and singular values only change their exponent. Zero matrices are left alone.
func (c columns) scaleDown() int {
	var largest float64
	for j := range c.cols {
		largest = max(largest, largestOf(c.column(j)))
	}
	if largest == 0 {
		return 0
	}
	exponent := math.Ilogb(largest)
	for j := range c.cols {
		if column := c.column(j); plainPower(exponent) {
			kernel.Scale64(math.Ldexp(1, -exponent), column)
		} else {
			for i, v := range column {
				column[i] = math.Ldexp(v, -exponent)
			}
		}
	}
	return exponent
}

// plainPower reports whether 2^-exponent is a number far from the ends of f64, so that multiplying by it is dividing by 2^exponent.
func plainPower(exponent int) bool { return -1000 <= exponent && exponent <= 1000 }

// parallel hands parts of the columns to work, each of which costs so many products.
func (c columns) parallel(products int, work func(from, to int)) {
	n := workers(c.cols/2, float64(products)*float64(c.cols))
	parallel(n, func(worker int) { work(c.cols*worker/n, c.cols*(worker+1)/n) })
}
