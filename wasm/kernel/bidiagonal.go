package kernel

import "math"

// bidiagonal is an n x n matrix M as U B Vᵀ: B has diag on its diagonal and above on the one above, U and V are products of reflections.
type bidiagonal struct {
	diag, above []float64
	left, right *householder // right works on entries 1 to n-1
}

// bidiagonalize takes over c, which is square (Golub and Kahan).
func bidiagonalize(c columns) *bidiagonal {
	n := len(c)
	b := &bidiagonal{diag: make([]float64, n), above: make([]float64, n-1)}
	b.left = &householder{rows: n, work: c, tau: make([]float64, n)}
	b.right = &householder{rows: n - 1, work: newColumns(n-1, n-1), tau: make([]float64, n-1)}
	scratch := make([]float64, n)
	for j := range n {
		b.left.tau[j] = reflector(c[j][j:])
		b.left.reflect(j, c[j+1:])
		b.diag[j] = c[j][j]
		if j == n-1 {
			break
		}
		v := b.right.work[j][j:]
		for l, column := range c[j+1:] {
			v[l] = column[j]
		}
		b.right.tau[j] = reflector(v)
		b.above[j] = v[0]
		reflectRows(c[j+1:], j+1, v, b.right.tau[j], scratch[j+1:])
	}
	return b
}

// reflectRows multiplies the rows from first on of the columns c by the reflection of v, whose first entry counts as 1. sum is scratch as
// long as those rows.
func reflectRows(c columns, first int, v []float64, tau float64, sum []float64) {
	if tau == 0 {
		return
	}
	copy(sum, c[0][first:])
	l := 1
	for ; l+1 < len(c); l += 2 {
		gather2(v[l], v[l+1], c[l][first:], c[l+1][first:], sum)
	}
	for ; l < len(c); l++ {
		axpy(v[l], c[l][first:], sum)
	}
	axpy(-tau, sum, c[0][first:])
	for l = 1; l+1 < len(c); l += 2 {
		axpy2(-float64(tau*v[l]), -float64(tau*v[l+1]), sum, c[l][first:], c[l+1][first:])
	}
	for ; l < len(c); l++ {
		axpy(-float64(tau*v[l]), sum, c[l][first:])
	}
}

// top returns the k largest singular triples of M, and whether they pass their own test: small residuals and orthonormal columns. Where
// singular values vanish against the largest they may not.
func (b *bidiagonal) top(k int) (u columns, s []float64, v columns, ok bool) {
	chain := b.chain()
	s = chain.largest(k)
	mixed := chain.vectors(s)
	n := len(b.diag)
	u, v = newColumns(n, k), newColumns(n, k)
	for j, z := range mixed {
		for i := range n {
			v[j][i], u[j][i] = z[2*i], z[2*i+1]
		}
		if !normalize(u[j]) || !normalize(v[j]) {
			return nil, nil, nil, false
		}
	}
	if !b.verify(u, s, v) {
		return nil, nil, nil, false
	}
	tails := make(columns, k)
	for j := range v {
		tails[j] = v[j][1:]
	}
	for j := n - 2; j >= 0; j-- {
		b.right.reflect(j, tails)
	}
	for j := n - 1; j >= 0; j-- {
		b.left.reflect(j, u)
	}
	return u, s, v, true
}

// normalize scales x to length 1, and reports whether it has a length.
func normalize(x []float64) bool {
	norm := math.Sqrt(dot(x, x))
	if !(norm > 0) {
		return false
	}
	for i := range x {
		x[i] /= norm
	}
	return true
}

// verify tests triples of B.
func (b *bidiagonal) verify(u columns, s []float64, v columns) bool {
	const tolerance = 1e-12
	n := len(b.diag)
	limit := float64(tolerance * s[0])
	for j, sigma := range s {
		for i := range n {
			forward, backward := float64(b.diag[i]*v[j][i])-float64(sigma*u[j][i]), float64(b.diag[i]*u[j][i])-float64(sigma*v[j][i])
			if i < n-1 {
				forward += float64(b.above[i] * v[j][i+1])
			}
			if i > 0 {
				backward += float64(b.above[i-1] * u[j][i-1])
			}
			if !(math.Abs(forward) <= limit && math.Abs(backward) <= limit) {
				return false
			}
		}
		for l := range j {
			if math.Abs(dot(u[j], u[l])) > tolerance || math.Abs(dot(v[j], v[l])) > tolerance {
				return false
			}
		}
	}
	return true
}
