package kernel

import (
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/internal/kernel"
)

// negligible is the square of a length, in a matrix of size 1, below which inner products lose bits to underflow. What is shorter counts
// as zero.
const negligible = 0x1p-900

// SVD returns the thin factorisation m = U diag(s) Vᵀ with k = min(rows, cols): U is rows x k, s descending, V is cols x k. The first of
// the entries of largest magnitude in each column of U is positive. One-sided Jacobi on the triangular factor of a QR gives singular values
// with small errors relative to each of them, as far as the matrix determines them; those below 2^-450 of the largest are 0. It fails with
// ErrNumeric where m is not finite.
func SVD(m *Matrix) (u *Matrix, s []float64, v *Matrix, err error) {
	if err := m.checkFinite("the matrix"); err != nil {
		return nil, nil, nil, err
	}
	wide := m.Rows < m.Cols
	c := columnsOf(m, wide)
	exponent := c.scaleDown()
	left, s, right, err := topTall(c, c.cols, true)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := rescale(s, exponent); err != nil {
		return nil, nil, nil, err
	}
	if wide {
		left, right = right, left
	}
	fixSigns(left, right)
	return left.matrix(), s, right.matrix(), nil
}

// topTall returns the k largest singular triples of c, which has at least as many rows as columns, and takes it over. For few of them
// bisection on a bidiagonal form is several times faster than Jacobi, which stands by where that does not pass its test. Without vectors
// there are only the singular values, the same to the bit.
func topTall(c columns, k int, vectors bool) (u columns, s []float64, v columns, err error) {
	h := factorize(c)
	if 2*k < c.cols {
		if u, s, v, ok := bidiagonalize(h.r()).top(k); ok {
			return h.apply(u), s, v, nil
		}
	}
	// Jacobi on the columns of Rᵀ, which the QR has graded, needs fewer sweeps than on those of R.
	v, s, u, err = jacobi(h.r().transpose(), vectors)
	if err != nil || !vectors {
		return columns{}, s, columns{}, err
	}
	return h.apply(u.part(0, k)), s[:k], v.part(0, k), nil
}

// divide divides x by its norm, if it has one.
func divide(x []float64, norm float64) {
	if norm >= 0x1p-1000 {
		kernel.Scale64(1/norm, x)
		return
	}
	if norm > 0 {
		for i := range x {
			x[i] /= norm
		}
	}
}

// complete replaces the columns of u that belong to zeros of s, at its end, by columns orthonormal to all others.
func complete(u columns, s []float64) {
	for j := range u.cols {
		if s[j] > 0 {
			continue
		}
		column := u.column(j)
		for unit := range column { // some unit vector keeps at least 1/n of its square
			clear(column)
			column[unit] = 1
			if orthonormalize(column, u.part(0, j)) > 0.5/math.Sqrt(float64(len(column))) {
				break
			}
		}
	}
}

// orthonormalize subtracts from x its parts along the orthonormal columns of basis, twice, since once leaves what cancellation made, scales
// it to length 1, and returns the norm it had before scaling.
func orthonormalize(x []float64, basis columns) float64 {
	for range 2 {
		for j := range basis.cols {
			b := basis.column(j)
			axpy(-dot(b, x), b, x)
		}
	}
	norm := math.Sqrt(dot(x, x))
	divide(x, norm)
	return norm
}

// fixSigns makes the first of the entries of largest magnitude in each column of u positive, and keeps u vᵀ.
func fixSigns(u, v columns) {
	for j := range u.cols {
		var largest float64
		for _, x := range u.column(j) {
			if math.Abs(x) > math.Abs(largest) {
				largest = x
			}
		}
		if largest < 0 {
			negate(u.column(j))
			negate(v.column(j))
		}
	}
}

// fixRowSigns is fixSigns for matrices by rows.
func fixRowSigns(u, v *Matrix) {
	largest := make([]float64, u.Cols)
	for i := range u.Rows {
		for j, x := range u.Row(i) {
			if math.Abs(x) > math.Abs(largest[j]) {
				largest[j] = x
			}
		}
	}
	signs := largest
	for j, x := range largest {
		if signs[j] = 1; x < 0 {
			signs[j] = -1
		}
	}
	for _, m := range []*Matrix{u, v} {
		for i := range m.Rows {
			row := m.Row(i)
			for j, sign := range signs {
				row[j] *= sign
			}
		}
	}
}

// rescale multiplies s by 2^exponent.
func rescale(s []float64, exponent int) error {
	for i, v := range s {
		if s[i] = math.Ldexp(v, exponent); math.IsInf(s[i], 0) {
			return fmt.Errorf("a singular value of %g times 2^%d: %w", v, exponent, ErrNumeric)
		}
	}
	return nil
}
