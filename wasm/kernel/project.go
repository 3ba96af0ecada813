package kernel

import "fmt"

// Project returns Uᵀ W V (ku x kv) in one pass over w, for u of out x ku and v of in x kv. Where transposed is set, w holds Wᵀ (in x out).
// NaN and infinities go through.
func Project(w Rows, transposed bool, u, v *Matrix) (*Matrix, error) {
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
	image, factor := NewMatrix(rows, right.Cols), pack(view{right, false})
	err := eachBlock(w, func(first int, block *Matrix) error {
		part := &Matrix{Rows: block.Rows, Cols: image.Cols, Data: image.Data[first*image.Cols:][:block.Rows*image.Cols]}
		addProduct(part, view{block, false}, factor)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if transposed {
		return MatMul(image, left, true, false)
	}
	return MatMul(left, image, true, false)
}
