package kernel

import (
	"fmt"
	"math"
)

// DeltaSVD factorises scale·B·A (B is out x r, A is r x in) without forming it: QR of B and of Aᵀ, then the SVD of the core R_B R_Aᵀ. U is
// out x rank, s descending, V is in x rank, and signs are fixed as SVD does. rank is the numerical rank, the number of singular values
// above
//
//	max(out, in) · 2^-52 · |scale| · ‖B‖_F · ‖A‖_F
//
// which is relative to the factors: a product of factors that cancel is noise from its first singular value on. Where rank is 0, U, s
// and V are nil. It fails with ErrNumeric where scale, B or A are not finite, or a singular value is not.
func DeltaSVD(b, a *Matrix, scale float64) (u *Matrix, s []float64, v *Matrix, rank int, err error) {
	if err := b.checkFinite("B"); err != nil {
		return nil, nil, nil, 0, err
	}
	if err := a.checkFinite("A"); err != nil {
		return nil, nil, nil, 0, err
	}
	if b.Cols != a.Rows {
		return nil, nil, nil, 0, fmt.Errorf("B is %d x %d and A is %d x %d: %w", b.Rows, b.Cols, a.Rows, a.Cols, ErrShape)
	}
	if scale-scale != 0 {
		return nil, nil, nil, 0, fmt.Errorf("the scale is %g: %w", scale, ErrNumeric)
	}
	bColumns, aColumns := columnsOf(b, false), columnsOf(a, true)
	exponent := bColumns.scaleDown() + aColumns.scaleDown()
	tolerance := float64(max(b.Rows, a.Cols)) * 0x1p-52 * frobenius(bColumns) * frobenius(aColumns)
	if scale == 0 || tolerance == 0 {
		return nil, nil, nil, 0, nil
	}
	bFactors, aFactors := factorize(bColumns, b.Rows), factorize(aColumns, a.Cols)
	left, s, right, err := svdCore(bFactors, aFactors)
	if err != nil {
		return nil, nil, nil, 0, err
	}
	for rank < len(s) && s[rank] > tolerance {
		rank++
	}
	if rank == 0 {
		return nil, nil, nil, 0, nil
	}
	s = s[:rank]
	fraction, scaleExponent := math.Frexp(math.Abs(scale))
	for i := range s {
		s[i] *= fraction
	}
	if err := rescale(s, exponent+scaleExponent); err != nil {
		return nil, nil, nil, 0, err
	}
	uColumns, vColumns := bFactors.apply(left[:rank]), aFactors.apply(right[:rank])
	if scale < 0 {
		for _, column := range uColumns {
			negate(column)
		}
	}
	fixSigns(uColumns, vColumns)
	return uColumns.matrix(b.Rows), s, vColumns.matrix(a.Cols), rank, nil
}

// svdCore factorises R_B R_Aᵀ.
func svdCore(b, a *householder) (u columns, s []float64, v columns, err error) {
	rb, ra := b.r(), a.r()
	rows, cols := len(b.tau), len(a.tau)
	core := newColumns(rows, cols)
	for j := range cols {
		// R_B and R_A are zero below their diagonals.
		for k := j; k < len(ra); k++ {
			axpy(ra[k][j], rb[k][:min(k+1, rows)], core[j])
		}
	}
	if rows < cols {
		v, s, u, err = topTall(core.transpose(rows), cols, rows)
		return u, s, v, err
	}
	return topTall(core, rows, cols)
}

func frobenius(c columns) float64 {
	var squares float64
	for _, column := range c {
		squares += dot(column, column)
	}
	return math.Sqrt(squares)
}
