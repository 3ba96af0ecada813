package kernel

import (
	"fmt"
	"math"
	"sort"
)

// maxSweeps bounds the Jacobi iteration; ten are plenty in practice.
const maxSweeps = 60

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
	left, s, right, err := topTall(c, max(m.Rows, m.Cols), len(c))
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
	return left.matrix(m.Rows), s, right.matrix(m.Cols), nil
}

// topTall returns the k largest singular triples of c, whose columns have length rows >= len(c), and takes it over. For few of them
// bisection on a bidiagonal form is several times faster than Jacobi, which stands by where that does not pass its test.
func topTall(c columns, rows, k int) (u columns, s []float64, v columns, err error) {
	h := factorize(c, rows)
	if 2*k < len(c) {
		if u, s, v, ok := bidiagonalize(h.r()).top(k); ok {
			return h.apply(u), s, v, nil
		}
	}
	// Jacobi on the columns of Rᵀ, which the QR has graded, needs fewer sweeps than on those of R.
	v, s, u, err = jacobi(h.r().transpose(len(c)))
	if err != nil {
		return nil, nil, nil, err
	}
	return h.apply(u[:k]), s[:k], v[:k], nil
}

// transpose returns the transpose of columns of length rows.
func (c columns) transpose(rows int) columns {
	t := newColumns(len(c), rows)
	for j, column := range c {
		for i := range rows {
			t[i][j] = column[i]
		}
	}
	return t
}

// jacobi factorises a square matrix by rotating pairs of its columns until all are orthogonal: c V = U diag(s). It takes over c for U. All
// of U and V is orthonormal, also where singular values are zero.
func jacobi(c columns) (u columns, s []float64, v columns, err error) {
	n := len(c)
	v = newColumns(n, n)
	for j := range v {
		v[j][j] = 1
	}
	tolerance := 0x1p-52 * math.Sqrt(float64(n))
	squares := make([]float64, n)
	for sweep, rotated := 0, true; rotated; sweep++ {
		if sweep == maxSweeps {
			return nil, nil, nil, fmt.Errorf("the singular values of a core of %d x %d did not converge in %d sweeps: %w", n, n, sweep, ErrNumeric)
		}
		rotated = false
		for j := range c {
			squares[j] = dot(c[j], c[j]) // afresh in every sweep: the updates below drift
			if squares[j] < negligible {
				clear(c[j])
				squares[j] = 0
			}
		}
		for p := range n - 1 {
			for q := p + 1; q < n; q++ {
				if orthogonalize(c[p], c[q], v[p], v[q], &squares[p], &squares[q], tolerance) {
					rotated = true
				}
			}
		}
	}
	u, s, v = sortByNorm(c, v)
	complete(u, s)
	return u, s, v, nil
}

// orthogonalize rotates the columns x and y, and with them vx and vy, so that x and y become orthogonal and x the longer one. It reports
// whether there was anything to do.
func orthogonalize(x, y, vx, vy []float64, xx, yy *float64, tolerance float64) bool {
	if *yy == 0 {
		return false
	}
	xy := dot(x, y)
	if math.Abs(xy) <= float64(tolerance*math.Sqrt(*xx))*math.Sqrt(*yy) {
		if *xx >= *yy {
			return false
		}
		// Orthogonal but in the wrong order. Swapping keeps the sweeps convergent (de Rijk), and calls for another, since the columns now
		// meet others.
		swap(x, y)
		swap(vx, vy)
		*xx, *yy = *yy, *xx
		return true
	}
	zeta := (*yy - *xx) / float64(2*xy)
	t := 1 / (math.Abs(zeta) + hypotenuse(math.Abs(zeta)))
	if zeta < 0 {
		t = -t
	}
	cosine := 1 / math.Sqrt(1+float64(t*t))
	sine := float64(cosine * t)
	*xx -= float64(t * xy)
	*yy += float64(t * xy)
	rotate(x, y, cosine, sine)
	rotate(vx, vy, cosine, sine)
	if *xx < *yy {
		swap(x, y)
		swap(vx, vy)
		*xx, *yy = *yy, *xx
	}
	*yy = max(*yy, 0)
	return true
}

// hypotenuse is sqrt(1 + x^2) for x >= 0. The library's Hypot fuses the square with the sum on some machines.
func hypotenuse(x float64) float64 {
	longer, shorter := max(1, x), min(1, x)
	ratio := shorter / longer
	return float64(longer * math.Sqrt(1+float64(ratio*ratio)))
}

// sortByNorm turns the orthogonal columns into unit columns and their norms, descending. Columns of zeros are left as they are.
func sortByNorm(c, v columns) (u columns, s []float64, sorted columns) {
	order, norms := make([]int, len(c)), make([]float64, len(c))
	for j := range c {
		order[j], norms[j] = j, math.Sqrt(dot(c[j], c[j]))
	}
	sort.SliceStable(order, func(i, j int) bool { return norms[order[i]] > norms[order[j]] })
	for _, j := range order {
		if norms[j] > 0 {
			for i := range c[j] {
				c[j][i] /= norms[j]
			}
		}
		u, s, sorted = append(u, c[j]), append(s, norms[j]), append(sorted, v[j])
	}
	return u, s, sorted
}

// complete replaces the columns of u that belong to zeros of s, at its end, by columns orthonormal to all others.
func complete(u columns, s []float64) {
	for j := range u {
		if s[j] > 0 {
			continue
		}
		for unit := range u[j] { // some unit vector keeps at least 1/n of its square
			clear(u[j])
			u[j][unit] = 1
			if orthonormalize(u[j], u[:j]) > 0.5/math.Sqrt(float64(len(u[j]))) {
				break
			}
		}
	}
}

// orthonormalize subtracts from x its parts along the orthonormal columns of basis, twice, since once leaves what cancellation made, scales
// it to length 1, and returns the norm it had before scaling.
func orthonormalize(x []float64, basis columns) float64 {
	for range 2 {
		for _, b := range basis {
			axpy(-dot(b, x), b, x)
		}
	}
	norm := math.Sqrt(dot(x, x))
	if norm > 0 {
		for i := range x {
			x[i] /= norm
		}
	}
	return norm
}

// fixSigns makes the first of the entries of largest magnitude in each column of u positive, and keeps u vᵀ.
func fixSigns(u, v columns) {
	for j, column := range u {
		var largest float64
		for _, x := range column {
			if math.Abs(x) > math.Abs(largest) {
				largest = x
			}
		}
		if largest < 0 {
			negate(column)
			negate(v[j])
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
	for j, x := range largest {
		if x < 0 {
			for _, m := range []*Matrix{u, v} {
				for i := j; i < len(m.Data); i += m.Cols {
					m.Data[i] = -m.Data[i]
				}
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
