package kernel

import (
	"math"

	"github.com/tenon-ml/tenon/internal/kernel"
)

// bidiagonal is an n x n matrix M as U B Vᵀ: B has diag on its diagonal and above on the one above, U and V are products of reflections.
type bidiagonal struct {
	diag, above []float64
	left, right *householder // right works on entries 1 to n-1
}

// bidiagonalize takes over c, which is square (Golub and Kahan).
func bidiagonalize(c columns) *bidiagonal {
	n := c.cols
	b := &bidiagonal{diag: make([]float64, n), above: make([]float64, n-1)}
	b.left = &householder{work: c, tau: make([]float64, n)}
	b.right = &householder{work: newColumns(n-1, n-1), tau: make([]float64, n-1)}
	scratch := make([]float64, n)
	for j := range n {
		rest := c.part(j+1, n)
		b.left.tau[j] = reflector(c.column(j)[j:])
		b.left.reflect(j, rest)
		b.diag[j] = c.column(j)[j]
		if j == n-1 {
			break
		}
		v := b.right.work.column(j)[j:]
		for l := range v {
			v[l] = rest.column(l)[j]
		}
		b.right.tau[j] = reflector(v)
		b.above[j] = v[0]
		reflectRows(rest.below(j+1), v, b.right.tau[j], scratch[j+1:])
	}
	return b
}

// reflectRows multiplies the rows of c by the reflection of v, whose first entry counts as 1. sum is scratch as long as a column.
func reflectRows(c columns, v []float64, tau float64, sum []float64) {
	if tau == 0 {
		return
	}
	copy(sum, c.column(0))
	l := 1
	for ; l+1 < c.cols; l += 2 {
		kernel.GatherScaled64(v[l], v[l+1], c.column(l), c.column(l+1), sum)
	}
	for ; l < c.cols; l++ {
		axpy(v[l], c.column(l), sum)
	}
	axpy(-tau, sum, c.column(0))
	for l = 1; l+1 < c.cols; l += 2 {
		kernel.ScatterScaled64(-float64(tau*v[l]), -float64(tau*v[l+1]), sum, c.column(l), c.column(l+1))
	}
	for ; l < c.cols; l++ {
		axpy(-float64(tau*v[l]), sum, c.column(l))
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
	for j := range k {
		z, left, right := mixed.column(j), u.column(j), v.column(j)
		for i := range n {
			right[i], left[i] = z[2*i], z[2*i+1]
		}
		if !normalize(left) || !normalize(right) {
			return columns{}, nil, columns{}, false
		}
	}
	if !b.verify(u, s, v) {
		return columns{}, nil, columns{}, false
	}
	b.right.applyTo(v.below(1))
	b.left.applyTo(u)
	return u, s, v, true
}

// normalize scales x to length 1, and reports whether it has a length.
func normalize(x []float64) bool {
	norm := math.Sqrt(dot(x, x))
	if !(norm > 0) {
		return false
	}
	divide(x, norm)
	return true
}

// verify tests triples of B.
func (b *bidiagonal) verify(u columns, s []float64, v columns) bool {
	const tolerance = 1e-12
	n := len(b.diag)
	limit := float64(tolerance * s[0])
	for j, sigma := range s {
		u, v, left, right := u.column(j), v.column(j), u, v
		for i := range n {
			forward, backward := float64(b.diag[i]*v[i])-float64(sigma*u[i]), float64(b.diag[i]*u[i])-float64(sigma*v[i])
			if i < n-1 {
				forward += float64(b.above[i] * v[i+1])
			}
			if i > 0 {
				backward += float64(b.above[i-1] * u[i-1])
			}
			if !(math.Abs(forward) <= limit && math.Abs(backward) <= limit) {
				return false
			}
		}
		for l := range j {
			if math.Abs(dot(u, left.column(l))) > tolerance || math.Abs(dot(v, right.column(l))) > tolerance {
				return false
			}
		}
	}
	return true
}
