package sandbox

import (
	"errors"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/kernel"
)

// This file, project.go, weights.go and merged.go are all that the sandbox knows of the linear algebra it offers.

// failed makes an error of a kernel a status.
func failed(err error) error {
	var known *failure
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, kernel.ErrShape):
		return fail(abi.Shape, "%v", err)
	case errors.Is(err, kernel.ErrNumeric):
		return fail(abi.Numeric, "%v", err)
	case errors.Is(err, kernel.ErrDType):
		return fail(abi.Unsupported, "%v", err)
	}
	return fail(abi.Internal, "%v", err)
}

// matrix returns the operand in argument i as a matrix in memory. The factors of an adapter are read each time they are asked for, since
// they are small; a weight of the base may be larger than memory and is refused.
func (c *call) matrix(i int) (*kernel.Matrix, error) {
	o, err := c.object(i)
	if err != nil {
		return nil, err
	}
	if m, ok := o.(*computed); ok {
		return m.matrix(), nil
	}
	s := o.(*stored)
	if s.base {
		return nil, fail(abi.Unsupported, "a weight of the base is an operand of project and stats only")
	}
	if err := c.room(s.rows, s.cols, 0); err != nil {
		return nil, err
	}
	m := kernel.NewMatrix(s.rows, s.cols)
	return m, c.readF64(s, m.Data, 0)
}

func (m *computed) matrix() *kernel.Matrix {
	return &kernel.Matrix{Rows: m.rows, Cols: m.cols, Data: m.data}
}

func computedOf(m *kernel.Matrix) *computed { return &computed{m.Rows, m.Cols, m.Data} }

// rowOf makes singular values a 1 x k matrix.
func rowOf(s []float64) *computed { return &computed{1, len(s), s} }

// addComputed gives the result of a kernel a handle.
func (c *call) addComputed(m *kernel.Matrix, err error) (int32, error) {
	if err != nil {
		return 0, failed(err)
	}
	return c.add(computedOf(m))
}

// addTo gives the results of a kernel handles and writes them to the pointer in argument i.
func (c *call) addTo(i int, objects ...object) (int32, error) {
	ids, err := c.addAll(objects...)
	if err != nil {
		return 0, err
	}
	c.giveHandles(i, ids...)
	return 0, nil
}

func matmul(c *call) (int32, error) {
	flags := c.i32(2)
	if flags&^(abi.TransposeA|abi.TransposeB) != 0 {
		return 0, fail(abi.Unsupported, "flags %#x", flags)
	}
	a, err := c.matrix(0)
	if err != nil {
		return 0, err
	}
	b, err := c.matrix(1)
	if err != nil {
		return 0, err
	}
	transposeA, transposeB := flags&abi.TransposeA != 0, flags&abi.TransposeB != 0
	rows, cols, err := kernel.ProductShape(a, b, transposeA, transposeB)
	if err != nil {
		return 0, failed(err)
	}
	if err := c.room(rows, cols, 0); err != nil {
		return 0, err
	}
	return c.addComputed(kernel.MatMul(a, b, transposeA, transposeB))
}

func axpby(c *call) (int32, error) {
	x, err := c.matrix(1)
	if err != nil {
		return 0, err
	}
	y, err := c.matrix(3)
	if err != nil {
		return 0, err
	}
	if x.Rows != y.Rows || x.Cols != y.Cols {
		return 0, fail(abi.Shape, "x is %d x %d, y is %d x %d", x.Rows, x.Cols, y.Rows, y.Cols)
	}
	if err := c.room(x.Rows, x.Cols, 0); err != nil {
		return 0, err
	}
	alpha, beta := c.f64(0), c.f64(2)
	sum := kernel.NewMatrix(x.Rows, x.Cols)
	for i := range sum.Data {
		sum.Data[i] = float64(alpha*x.Data[i]) + float64(beta*y.Data[i]) // no fused product: the same bits on every machine
	}
	return c.addComputed(sum, nil)
}

func stats(c *call) (int32, error) {
	view := c.view(1, abi.StatsSize)
	o, err := c.object(0)
	if err != nil {
		return 0, err
	}
	var result abi.Stats
	switch o := o.(type) {
	case *computed:
		result, err = kernel.Stats(o.matrix(), tensor.F64)
	case *stored:
		result, err = kernel.Stats(o.rowsInFile(), o.DType)
		o.turn(&result)
	}
	if err != nil {
		return 0, failed(err)
	}
	result.Append(view[:0])
	return 0, nil
}

// rowsInFile is the matrix as it lies in its file.
func (s *stored) rowsInFile() kernel.Stored {
	file := kernel.Stored{Ref: s.Ref, Reader: s.Reader}
	file.Ref.Shape = []int{s.rows, s.cols}
	if s.transposed {
		file.Ref.Shape = []int{s.cols, s.rows}
	}
	return file
}

// turn makes the Stats of the matrix in its file those of the matrix the guest sees.
func (s *stored) turn(counts *abi.Stats) {
	if s.transposed {
		counts.ZeroRows, counts.ZeroCols = counts.ZeroCols, counts.ZeroRows
		counts.FirstNonFinite = s.seen(counts.FirstNonFinite)
	}
}

// seen turns the index of an element in the file, or -1, into its index as the guest sees the matrix.
func (s *stored) seen(index int64) int64 {
	if !s.transposed || index < 0 {
		return index
	}
	return index%int64(s.rows)*int64(s.cols) + index/int64(s.rows)
}

func qr(c *call) (int32, error) {
	c.view(1, 8)
	m, err := c.matrix(0)
	if err != nil {
		return 0, err
	}
	k := min(m.Rows, m.Cols)
	if err := c.room(m.Rows+m.Cols, k, objectBytes); err != nil {
		return 0, err
	}
	q, r, err := kernel.QR(m)
	if err != nil {
		return 0, failed(err)
	}
	return c.addTo(1, computedOf(q), computedOf(r))
}

func svd(c *call) (int32, error) {
	c.view(1, 12)
	m, err := c.matrix(0)
	if err != nil {
		return 0, err
	}
	k := min(m.Rows, m.Cols)
	if err := c.room(m.Rows+m.Cols+1, k, 2*objectBytes); err != nil {
		return 0, err
	}
	u, s, v, err := kernel.SVD(m)
	if err != nil {
		return 0, failed(err)
	}
	return c.addTo(1, computedOf(u), rowOf(s), computedOf(v))
}

func deltaSVD(c *call) (int32, error) {
	c.view(3, 12)
	b, err := c.matrix(0)
	if err != nil {
		return 0, err
	}
	a, err := c.matrix(1)
	if err != nil {
		return 0, err
	}
	if err := c.room(b.Rows+a.Cols+1, min(b.Rows, b.Cols, a.Cols), 2*objectBytes); err != nil {
		return 0, err
	}
	u, s, v, rank, err := kernel.DeltaSVD(b, a, c.f64(2))
	if err != nil || rank == 0 {
		return 0, failed(err)
	}
	if _, err := c.addTo(3, computedOf(u), rowOf(s), computedOf(v)); err != nil {
		return 0, err
	}
	return int32(rank), nil
}

// deltaValues is deltaSVD without vectors.
func deltaValues(c *call) (int32, error) {
	c.view(3, 4)
	b, err := c.matrix(0)
	if err != nil {
		return 0, err
	}
	a, err := c.matrix(1)
	if err != nil {
		return 0, err
	}
	if err := c.room(1, min(b.Rows, b.Cols, a.Cols), 0); err != nil {
		return 0, err
	}
	s, err := kernel.DeltaValues(b, a, c.f64(2))
	if err != nil || len(s) == 0 {
		return 0, failed(err)
	}
	if _, err := c.addTo(3, rowOf(s)); err != nil {
		return 0, err
	}
	return int32(len(s)), nil
}
