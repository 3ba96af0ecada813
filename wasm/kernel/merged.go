package kernel

import (
	"context"
	"fmt"
)

// operator is a matrix that is read, plus left times right where these are given.
type operator struct {
	Rows
	left, right *Matrix
}

// MergedSVD is TopSVD of w + update, which is never rounded nor, where k is small against the dimensions, formed. update says whether w is
// transposed.
func MergedSVD(ctx context.Context, w Rows, update Update, k int) (u *Matrix, s []float64, v *Matrix, err error) {
	rows, cols := w.Shape()
	if err := update.check(rows, cols); err != nil {
		return nil, nil, nil, err
	}
	if err := update.B.checkFinite("B"); err != nil {
		return nil, nil, nil, err
	}
	if err := update.A.checkFinite("A"); err != nil {
		return nil, nil, nil, err
	}
	if update.Scale-update.Scale != 0 {
		return nil, nil, nil, fmt.Errorf("the scale is %g: %w", update.Scale, ErrNumeric)
	}
	o := operator{Rows: w}
	o.left, o.right = update.stored()
	if !update.Transposed {
		o.left = &Matrix{Rows: o.left.Rows, Cols: o.left.Cols, Data: append([]float64(nil), o.left.Data...)} // it is the caller's
	}
	for i, v := range o.left.Data {
		o.left.Data[i] = float64(update.Scale * v)
	}
	return topSVD(ctx, o, update.Transposed, k)
}
