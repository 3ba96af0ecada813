package kernel

import (
	"fmt"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Project returns Uᵀ W V (ku x kv) in one pass over w, for u of out x ku and v of in x kv. Where transposed is set, w holds Wᵀ (in x out).
// NaN and infinities go through.
func Project(w Rows, transposed bool, u, v *Matrix) (*Matrix, error) {
	p, err := newProjection(w, transposed, u, v)
	if err != nil {
		return nil, err
	}
	if err := eachBlock(w, p.add); err != nil {
		return nil, err
	}
	return p.result()
}

// ProjectStats is Project and Stats of w, as it is stored, in one pass.
func ProjectStats(w Rows, transposed bool, u, v *Matrix, stored tensor.DType) (*Matrix, abi.Stats, error) {
	p, err := newProjection(w, transposed, u, v)
	if err != nil {
		return nil, abi.Stats{}, err
	}
	s := newCensus(w, stored)
	if err := eachBlock(w, func(first int, block *Matrix) error {
		s.add(first, block)
		return p.add(first, block)
	}); err != nil {
		return nil, abi.Stats{}, err
	}
	result, err := p.result()
	return result, s.result(), err
}

// projection is Project under way: image is what w makes of one side.
type projection struct {
	left       *Matrix
	right      *packed
	image      *Matrix
	transposed bool
}

func newProjection(w Rows, transposed bool, u, v *Matrix) (*projection, error) {
	if err := u.check("U"); err != nil {
		return nil, err
	}
	if err := v.check("V"); err != nil {
		return nil, err
	}
	rows, cols := w.Shape()
	left, right := u, v
	if transposed {
		left, right = v, u // Uᵀ W V = (Vᵀ Wᵀ U)ᵀ
	}
	if left.Rows != rows || right.Rows != cols {
		return nil, fmt.Errorf("a stored weight of %d x %d between U of %d x %d and V of %d x %d: %w", rows, cols, u.Rows, u.Cols, v.Rows, v.Cols,
			ErrShape)
	}
	return &projection{left, pack(view{right, false}), NewMatrix(rows, right.Cols), transposed}, nil
}

func (p *projection) add(first int, block *Matrix) error {
	part := &Matrix{Rows: block.Rows, Cols: p.image.Cols, Data: p.image.Data[first*p.image.Cols:][:block.Rows*p.image.Cols]}
	addProduct(part, view{block, false}, p.right)
	return nil
}

func (p *projection) result() (*Matrix, error) {
	if p.transposed {
		return MatMul(p.image, p.left, true, false)
	}
	return MatMul(p.left, p.image, true, false)
}
