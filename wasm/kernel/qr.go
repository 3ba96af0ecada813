package kernel

import "math"

// householder is a QR factorisation of m x n, kept as its reflectors: Q = H_0 H_1 ... H_{k-1}, H_j = I - tau_j v_j v_jᵀ, k = min(m, n).
// Column j of work holds the entries of R down to row j, and below them v_j, whose entry j is 1 and not stored.
type householder struct {
	rows int
	work columns
	tau  []float64
}

// factorize takes over c, whose columns have length rows.
func factorize(c columns, rows int) *householder {
	h := &householder{rows: rows, work: c, tau: make([]float64, min(rows, len(c)))}
	for j := range h.tau {
		h.tau[j] = reflector(c[j][j:])
		c[j+1:].parallel(2*(rows-j), func(part columns) { h.reflect(j, part) })
	}
	return h
}

// reflector finds the reflection that turns x into a multiple of the first unit vector. It leaves that multiple in x[0] and the rest of v,
// whose first entry is 1, in x[1:].
func reflector(x []float64) (tau float64) {
	head, tail := x[0], x[1:]
	squares := dot(tail, tail)
	if squares < negligible {
		return 0 // nothing to do: the identity
	}
	norm := math.Sqrt(float64(head*head) + squares)
	if head > 0 {
		norm = -norm // away from head, so that nothing cancels
	}
	for i := range tail {
		tail[i] /= head - norm
	}
	x[0] = norm
	return (norm - head) / norm
}

// reflect applies H_j to the columns of x, two at a time.
func (h *householder) reflect(j int, x columns) {
	v, tau := h.work[j][j+1:], h.tau[j]
	if tau == 0 {
		return
	}
	for ; len(x) >= 2; x = x[2:] {
		first, second := x[0][j:], x[1][j:]
		a, b := dot2(v, first[1:], second[1:])
		a, b = float64(tau*(first[0]+a)), float64(tau*(second[0]+b))
		first[0] -= a
		second[0] -= b
		axpy2(-a, -b, v, first[1:], second[1:])
	}
	for _, column := range x {
		a := float64(tau * (column[j] + dot(v, column[j+1:])))
		column[j] -= a
		axpy(-a, v, column[j+1:])
	}
}

// r returns R, k x n, by columns.
func (h *householder) r() columns {
	k := len(h.tau)
	upper := newColumns(k, len(h.work))
	for j, column := range h.work {
		copy(upper[j], column[:min(j+1, k)])
	}
	return upper
}

// apply returns Q x for the columns of x, each of length k or less: the missing entries are zero.
func (h *householder) apply(x columns) columns {
	result := newColumns(h.rows, len(x))
	for c, column := range x {
		copy(result[c], column)
	}
	result.parallel(2*h.rows*len(h.tau), func(part columns) {
		for len(part) > 0 { // few columns at a time stay in the cache while all reflections pass by
			n := min(8, len(part))
			for j := len(h.tau) - 1; j >= 0; j-- {
				h.reflect(j, part[:n])
			}
			part = part[n:]
		}
	})
	return result
}

// q returns the thin Q, rows x k.
func (h *householder) q() columns {
	unit := newColumns(len(h.tau), len(h.tau))
	for j := range unit {
		unit[j][j] = 1
	}
	return h.apply(unit)
}

// QR factorises m (rows x cols) into Q with k = min(rows, cols) orthonormal columns and the upper triangular R, k x cols, by Householder
// reflections. The diagonal of R is not made positive. It fails with ErrNumeric where m is not finite.
func QR(m *Matrix) (q, r *Matrix, err error) {
	if err := m.checkFinite("the matrix"); err != nil {
		return nil, nil, err
	}
	c := columnsOf(m, false)
	exponent := c.scaleDown()
	h := factorize(c, m.Rows)
	r = h.r().matrix(len(h.tau))
	for i, v := range r.Data {
		r.Data[i] = math.Ldexp(v, exponent)
	}
	return h.q().matrix(m.Rows), r, r.checkFinite("R")
}
