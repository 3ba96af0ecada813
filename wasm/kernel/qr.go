package kernel

import (
	"math"

	"github.com/tenon-ml/tenon/internal/kernel"
)

// householder is a QR factorisation of m x n, kept as its reflectors: Q = H_0 H_1 ... H_{k-1}, H_j = I - tau_j v_j v_jᵀ, k = min(m, n).
// Column j of work holds the entries of R down to row j, and below them v_j, whose entry j is 1 and not stored.
type householder struct {
	work columns
	tau  []float64
}

// factorize takes over c.
func factorize(c columns) *householder {
	h := &householder{work: c, tau: make([]float64, min(c.rows, c.cols))}
	k := len(h.tau)
	for first := 0; first < k; first += panelCols {
		last := min(first+panelCols, k)
		for j := first; j < last; j++ {
			h.tau[j] = reflector(c.column(j)[j:])
			h.reflect(j, c.part(j+1, last))
		}
		if last < c.cols {
			h.applyPanel(first, true, c.part(last, c.cols))
		}
	}
	return h
}

// reflector finds the reflection that turns x into a multiple of the first unit vector. It leaves that multiple in x[0] and the rest of v,
// whose first entry is 1, in x[1:].
func reflector(x []float64) (tau float64) { return foldReflector(&x[0], x[1:]) }

// foldReflector is reflector for a vector whose first entry lies elsewhere.
func foldReflector(head *float64, tail []float64) (tau float64) {
	squares := dot(tail, tail)
	if squares < negligible {
		clear(tail)
		return 0 // nothing to do: the identity
	}
	norm := math.Sqrt(float64(*head**head) + squares)
	if *head > 0 {
		norm = -norm // away from head, so that nothing cancels
	}
	kernel.Scale64(1/(*head-norm), tail)
	tau = (norm - *head) / norm
	*head = norm
	return tau
}

// reflect applies H_j to the columns of x, two at a time.
func (h *householder) reflect(j int, x columns) {
	if x.cols > 0 {
		reflect(h.work.column(j)[j+1:], h.tau[j], x.above(j+1).below(j), x.below(j+1))
	}
}

// reflect applies a reflection to columns that consist of the first entry of heads and all of x, for a v whose entry for heads is 1.
func reflect(v []float64, tau float64, heads, x columns) {
	if tau == 0 {
		return
	}
	l := 0
	for ; l+1 < heads.cols; l += 2 {
		first, second := &heads.data[l*heads.stride], &heads.data[(l+1)*heads.stride]
		a, b := kernel.TwoDots64(v, x.column(l), x.column(l+1))
		a, b = float64(tau*(*first+a)), float64(tau*(*second+b))
		*first -= a
		*second -= b
		kernel.ScatterScaled64(-a, -b, v, x.column(l), x.column(l+1))
	}
	if l < heads.cols {
		first := &heads.data[l*heads.stride]
		a := float64(tau * (*first + dot(v, x.column(l))))
		*first -= a
		axpy(-a, v, x.column(l))
	}
}

// applyPanel applies the reflections of the panel that starts at column first to the columns of x, in the order of Q or of Qᵀ.
func (h *householder) applyPanel(first int, transposed bool, x columns) {
	last := min(first+panelCols, len(h.tau))
	if (last-first)*x.cols < 64 { // too few for what it takes to gather them
		for i := range last - first {
			if transposed {
				h.reflect(first+i, x)
			} else {
				h.reflect(last-1-i, x)
			}
		}
		return
	}
	r := gatherReflectors(h.work.part(first, last).below(first), h.tau[first:last], false)
	r.apply(transposed, columns{}, x.below(first))
	r.release()
}

// r returns R, k x n, by columns.
func (h *householder) r() columns {
	k := len(h.tau)
	upper := newColumns(k, h.work.cols)
	for j := range upper.cols {
		copy(upper.column(j), h.work.column(j)[:min(j+1, k)])
	}
	return upper
}

// apply returns Q x for the columns of x, each of length k or less: the missing entries are zero.
func (h *householder) apply(x columns) columns {
	result := newColumns(h.work.rows, x.cols)
	result.set(x)
	h.applyTo(result)
	return result
}

// applyTo replaces x by Q x.
func (h *householder) applyTo(x columns) {
	for first := (len(h.tau) - 1) / panelCols * panelCols; first >= 0; first -= panelCols {
		h.applyPanel(first, false, x)
	}
}

// QR factorises m (rows x cols) into Q with k = min(rows, cols) orthonormal columns and the upper triangular R, k x cols, by Householder
// reflections. The diagonal of R is not made positive. It fails with ErrNumeric where m is not finite.
func QR(m *Matrix) (q, r *Matrix, err error) {
	t, exponent, err := scaledTall("the matrix", m, false)
	if err != nil {
		return nil, nil, err
	}
	factorizeAll(true, t)
	r = t.r().matrix()
	for i, v := range r.Data {
		r.Data[i] = math.Ldexp(v, exponent)
	}
	unit := newColumns(t.k(), t.k())
	for j := range unit.cols {
		unit.column(j)[j] = 1
	}
	return t.apply(unit), r, r.checkFinite("R")
}
