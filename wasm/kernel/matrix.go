// Package kernel is the linear algebra the host offers to guests. It computes in f64, in an order that the shapes alone fix: the same
// operands give the same bits on every machine, whatever the number of processors. No product is fused with a sum.
package kernel

import (
	"errors"
	"fmt"
	"math"
)

// The errors a caller tells apart.
var (
	// ErrShape is returned when operands do not fit each other.
	ErrShape = errors.New("shapes do not fit")
	// ErrNumeric is returned when an operand or a result is not finite, or an iteration does not converge.
	ErrNumeric = errors.New("no numeric result")
	// ErrDType is returned for an element type that a kernel does not compute with.
	ErrDType = errors.New("unsupported dtype")
)

// Matrix is dense and row-major: entry (i, j) is Data[i*Cols+j], and len(Data) is Rows*Cols.
type Matrix struct {
	Rows, Cols int
	Data       []float64
}

// NewMatrix returns a matrix of zeros.
func NewMatrix(rows, cols int) *Matrix {
	return &Matrix{Rows: rows, Cols: cols, Data: make([]float64, rows*cols)}
}

// Row is a view of row i.
func (m *Matrix) Row(i int) []float64 { return m.Data[i*m.Cols : (i+1)*m.Cols] }

// Shape makes a Matrix Rows.
func (m *Matrix) Shape() (rows, cols int) { return m.Rows, m.Cols }

// Read makes a Matrix Rows.
func (m *Matrix) Read(dst []float64, first, n int) error {
	if first < 0 || n < 0 || first > m.Rows-n {
		return fmt.Errorf("rows %d to %d of %d: %w", first, first+n-1, m.Rows, ErrShape)
	}
	copy(dst, m.Data[first*m.Cols:(first+n)*m.Cols])
	return nil
}

// check refuses a matrix whose data is not Rows*Cols long, or has no entries.
func (m *Matrix) check(name string) error {
	if m.Rows < 1 || m.Cols < 1 || len(m.Data)/m.Cols != m.Rows || len(m.Data)%m.Cols != 0 {
		return fmt.Errorf("%s is %d x %d with %d entries: %w", name, m.Rows, m.Cols, len(m.Data), ErrShape)
	}
	return nil
}

// checkFinite is check, and refuses what is not finite.
func (m *Matrix) checkFinite(name string) error {
	if err := m.check(name); err != nil {
		return err
	}
	for at, v := range m.Data {
		if v-v != 0 {
			return fmt.Errorf("%s has %g at (%d, %d): %w", name, v, at/m.Cols, at%m.Cols, ErrNumeric)
		}
	}
	return nil
}

// columns is a matrix by columns, each contiguous. The factorisations work on columns.
type columns [][]float64

// newColumns returns cols columns of zeros of length rows.
func newColumns(rows, cols int) columns {
	backing, c := make([]float64, rows*cols), make(columns, cols)
	for j := range c {
		c[j] = backing[j*rows : (j+1)*rows : (j+1)*rows]
	}
	return c
}

// columnsOf copies m, or its transpose.
func columnsOf(m *Matrix, transposed bool) columns {
	if transposed {
		c := newColumns(m.Cols, m.Rows)
		for j := range c {
			copy(c[j], m.Row(j))
		}
		return c
	}
	c := newColumns(m.Rows, m.Cols)
	for i := range m.Rows {
		for j, v := range m.Row(i) {
			c[j][i] = v
		}
	}
	return c
}

// matrix copies the columns, each of length rows, into a Matrix.
func (c columns) matrix(rows int) *Matrix {
	m := NewMatrix(rows, len(c))
	for j, column := range c {
		for i, v := range column[:rows] {
			m.Data[i*m.Cols+j] = v
		}
	}
	return m
}

// scaleDown divides everything by a power of two that brings the largest magnitude into [1, 2), and returns its exponent. Squares
// can then neither overflow nor all vanish, and singular values only change their exponent. Zero matrices are left alone.
func (c columns) scaleDown() int {
	var largest float64
	for _, column := range c {
		for _, v := range column {
			largest = max(largest, math.Abs(v))
		}
	}
	if largest == 0 {
		return 0
	}
	exponent := math.Ilogb(largest)
	for _, column := range c {
		for i, v := range column {
			column[i] = math.Ldexp(v, -exponent)
		}
	}
	return exponent
}
