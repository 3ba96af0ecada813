// Package kernel is the linear algebra the host offers to guests. It computes in f64, in an order that the shapes alone fix: the same
// operands give the same bits on every machine, whatever the number of processors. Matrix products, inner products and sums of multiples of
// vectors are chains of fused multiply-adds, which internal/kernel defines and runs; in this package itself no product is fused with a sum.
package kernel

import (
	"errors"
	"fmt"
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
