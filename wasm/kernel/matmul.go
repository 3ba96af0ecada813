package kernel

import (
	"fmt"

	"github.com/tenon-ml/tenon/internal/kernel"
)

// ProductShape is the shape of MatMul's result, for callers that bound memory first.
func ProductShape(a, b *Matrix, transA, transB bool) (rows, cols int, err error) {
	rows, inner := a.Rows, a.Cols
	if transA {
		rows, inner = inner, rows
	}
	other, cols := b.Rows, b.Cols
	if transB {
		other, cols = cols, other
	}
	if inner != other {
		return 0, 0, fmt.Errorf("a product of %d x %d and %d x %d: %w", rows, inner, other, cols, ErrShape)
	}
	return rows, cols, nil
}

// MatMul returns op(a) op(b), where op transposes if the flag is set. Each entry is the chain of fused multiply-adds
// of its products in ascending order, from +0, so the result does not depend on how the work is divided. NaN and infinities go through.
func MatMul(a, b *Matrix, transA, transB bool) (*Matrix, error) {
	if err := a.check("the left factor"); err != nil {
		return nil, err
	}
	if err := b.check("the right factor"); err != nil {
		return nil, err
	}
	rows, cols, err := ProductShape(a, b, transA, transB)
	if err != nil {
		return nil, err
	}
	product := NewMatrix(rows, cols)
	addProduct(product, view{a, transA}, pack(view{b, transB}))
	return product, nil
}

// view is a matrix or its transpose.
type view struct {
	*Matrix
	transposed bool
}

func (v view) shape() (rows, cols int) {
	if v.transposed {
		return v.Cols, v.Rows
	}
	return v.Rows, v.Cols
}

// strided is the view as internal/kernel takes it.
func (v view) strided() kernel.View64 {
	return kernel.View64{Data: v.Data, Stride: v.Cols, Transposed: v.transposed}
}

// packed is a right factor in the order in which it is multiplied.
type packed struct {
	kernel.Packed64
	inner, cols int
}

func pack(b view) *packed {
	p := &packed{}
	p.set(b)
	return p
}

// set packs another factor, in the room of the one before.
func (p *packed) set(b view) {
	p.inner, p.cols = b.shape()
	p.Pack(b.strided(), p.inner, p.cols)
}

// addProduct adds a b to dst, entry by entry in ascending order of the inner index. Blocks of rows run in parallel.
func addProduct(dst *Matrix, a view, b *packed) {
	b.add(dst.Data, dst.Cols, a.strided(), dst.Rows)
}

// add is addProduct for a dst of so many rows, stride entries apart.
func (p *packed) add(dst []float64, stride int, a kernel.View64, rows int) {
	const stripRows = 96 // of a strip that one worker multiplies
	blocks := (rows + stripRows - 1) / stripRows
	// A product here takes an eighth of what one takes in plain code.
	n := workers(blocks, float64(rows)*float64(p.inner)*float64(p.cols)/8)
	parallel(n, func(worker int) {
		from, to := blocks*worker/n*stripRows, min(blocks*(worker+1)/n*stripRows, rows)
		left := a
		if a.Transposed {
			left.Data = left.Data[from:]
		} else {
			left.Data = left.Data[from*a.Stride:]
		}
		p.AddProduct(dst[from*stride:], stride, left, to-from)
	})
}
