package kernel

import "math"

// ritzTriples approximate the largest singular triples from the state's bases: W v = s u exactly.
type ritzTriples struct {
	v     columns
	s     []float64
	mixed columns // u as combinations of the left basis
	gram  columns // WᵀW v
}

// ritz returns the keep largest triples of W restricted to the basis.
func (s *krylov) ritz(keep int) (*ritzTriples, error) {
	upper := s.upper.part(0, s.size).above(s.size).clone()
	exponent := upper.scaleDown()
	var r ritzTriples
	var weights columns
	var err error
	if r.mixed, r.s, weights, err = topTall(upper, keep, true); err != nil {
		return nil, err
	}
	if err := rescale(r.s, exponent); err != nil {
		return nil, err
	}
	r.v, r.gram = s.combine(s.basis, weights), s.combine(s.gram, weights)
	return &r, nil
}

// combine returns the combinations of the columns of from that weights gives.
func (s *krylov) combine(from, weights columns) columns {
	product := NewMatrix(from.rows, weights.cols)
	s.part.inner, s.part.cols = weights.rows, weights.cols
	s.part.Pack(weights.view(false), weights.rows, weights.cols)
	s.part.add(product.Data, product.Cols, from.part(0, weights.rows).view(false), product.Rows)
	return columnsOf(product, false)
}

// converged reports whether the first k triples meet topTolerance.
func (r *ritzTriples) converged(k int) bool {
	first := r.s[0]
	for i := range k {
		residual := append([]float64(nil), r.gram.column(i)...)
		axpy(-float64(r.s[i]*r.s[i]), r.v.column(i), residual)
		if math.Sqrt(dot(residual, residual)) > max(float64(topTolerance*first)*r.s[i], topFloor*first*first) {
			return false
		}
	}
	return true
}

// restart keeps the triples as the bases. The block that comes next stays orthogonal to them, and the space they grow is the one that an
// unrestarted iteration would have grown from a better start.
func (s *krylov) restart(r *ritzTriples) {
	left := s.combine(s.left, r.mixed)
	s.size = len(r.s)
	s.basis.set(r.v)
	s.left.set(left)
	s.gram.set(r.gram)
	for j, value := range r.s {
		clear(s.upper.column(j))
		s.upper.column(j)[j] = value
	}
}
