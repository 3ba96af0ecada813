package diagtest

import (
	"cmp"
	"math"
	"slices"
)

// qr is the thin Householder factorization: Q is m x k, R is k x n, k = min(m, n).
func qr(m Matrix) (q, r Matrix) {
	k := min(m.Rows, m.Cols)
	r = Matrix{Rows: m.Rows, Cols: m.Cols, Values: slices.Clone(m.Values)}
	reflectors := make([][]float64, k) // unit vectors; nil leaves everything as it is
	for j := range k {
		v := make([]float64, m.Rows)
		var norm float64
		for i := j; i < m.Rows; i++ {
			v[i] = r.At(i, j)
			norm = math.Hypot(norm, v[i])
		}
		if norm == 0 {
			continue
		}
		v[j] += math.Copysign(norm, v[j])
		var length float64
		for _, x := range v {
			length = math.Hypot(length, x)
		}
		for i := range v {
			v[i] /= length
		}
		reflectors[j] = v
		reflect(r, v)
	}
	q = Zeros(m.Rows, k)
	for j := range k {
		q.set(j, j, 1)
	}
	for j := k - 1; j >= 0; j-- {
		if reflectors[j] != nil {
			reflect(q, reflectors[j])
		}
	}
	r.Rows, r.Values = k, r.Values[:k*m.Cols]
	for i := range k {
		for j := range min(i, m.Cols) {
			r.set(i, j, 0)
		}
	}
	return q, r
}

// reflect replaces m by (I - 2 v v') m.
func reflect(m Matrix, v []float64) {
	for j := range m.Cols {
		var dot float64
		for i, x := range v {
			dot += x * m.At(i, j)
		}
		for i, x := range v {
			m.set(i, j, m.At(i, j)-2*dot*x)
		}
	}
}

// svd is the thin singular value decomposition by one-sided Jacobi rotations: U is m x k, S is descending, V is n x k. Columns of U that
// belong to singular values of zero are zero. The largest entry of each column of U is positive.
func svd(m Matrix) (u Matrix, s []float64, v Matrix) {
	if m.Rows < m.Cols {
		v, s, u = jacobi(m.Transposed())
	} else {
		u, s, v = jacobi(m)
	}
	for j := range s {
		largest := 0.0
		for i := range u.Rows {
			if math.Abs(u.At(i, j)) > math.Abs(largest) {
				largest = u.At(i, j)
			}
		}
		if largest < 0 {
			negate(u, j)
			negate(v, j)
		}
	}
	return u, s, v
}

func negate(m Matrix, col int) {
	for i := range m.Rows {
		m.set(i, col, -m.At(i, col))
	}
}

// jacobi decomposes m with at least as many rows as columns.
func jacobi(m Matrix) (u Matrix, s []float64, v Matrix) {
	n := m.Cols
	cols := m.Transposed() // a row of it is a column of m
	right := Zeros(n, n)   // likewise
	for i := range n {
		right.set(i, i, 1)
	}
	row := func(m Matrix, i int) []float64 { return m.Values[i*m.Cols : (i+1)*m.Cols] }
	for rotated, sweep := true, 0; rotated && sweep < 60; sweep++ {
		rotated = false
		for p := range n {
			for q := p + 1; q < n; q++ {
				x, y := row(cols, p), row(cols, q)
				xx, yy, xy := dot(x, x), dot(y, y), dot(x, y)
				if math.Abs(xy) <= 0x1p-52*math.Sqrt(xx*yy) {
					continue
				}
				rotated = true
				zeta := (yy - xx) / (2 * xy)
				t := math.Copysign(1/(math.Abs(zeta)+math.Hypot(1, zeta)), zeta)
				c := 1 / math.Hypot(1, t)
				rotate(x, y, c, c*t)
				rotate(row(right, p), row(right, q), c, c*t)
			}
		}
	}
	order := make([]int, n)
	norms := make([]float64, n)
	for i := range n {
		order[i], norms[i] = i, math.Sqrt(dot(row(cols, i), row(cols, i)))
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(norms[b], norms[a]) })
	u, v, s = Zeros(m.Rows, n), Zeros(n, n), make([]float64, n)
	for j, from := range order {
		s[j] = norms[from]
		for i := range m.Rows {
			if s[j] > 0 {
				u.set(i, j, cols.At(from, i)/s[j])
			}
		}
		for i := range n {
			v.set(i, j, right.At(from, i))
		}
	}
	return u, s, v
}

func dot(x, y []float64) (sum float64) {
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}

func rotate(x, y []float64, c, s float64) {
	for i := range x {
		x[i], y[i] = c*x[i]-s*y[i], s*x[i]+c*y[i]
	}
}

// deltaSVD decomposes scale * b a from two thin QRs, cut to the numerical rank that abi's delta_svd defines.
func deltaSVD(b, a Matrix, scale float64) (u Matrix, s []float64, v Matrix) {
	qb, rb := qr(b)
	qa, ra := qr(a.Transposed())
	u, s, v = svd(rb.Times(ra.Transposed()))
	tolerance := float64(max(b.Rows, a.Cols)) * 0x1p-52 * math.Abs(scale) * b.norm() * a.norm()
	k := 0
	for i := range s {
		s[i] *= math.Abs(scale)
		if s[i] > tolerance {
			k = i + 1
		}
	}
	u, v = qb.Times(u.firstCols(k)), qa.Times(v.firstCols(k))
	for j := range k {
		largest := 0.0
		for i := range u.Rows {
			if math.Abs(u.At(i, j)) > math.Abs(largest) {
				largest = u.At(i, j)
			}
		}
		if largest < 0 {
			negate(u, j)
		}
		if (largest < 0) != (scale < 0) {
			negate(v, j)
		}
	}
	return u, s[:k], v
}
