package kernel

import (
	"context"
	"fmt"
	"math"
)

const (
	// topTolerance bounds what TopSVD leaves: ‖WᵀW v_i - σ_i² v_i‖ is at most topTolerance·σ_1·σ_i for every triple it returns, or at most
	// topFloor·σ_1², which is what rounding leaves of the smallest. The error of σ_i² is of the order of the square of that, over the gap.
	topTolerance = 1e-9
	topFloor     = 1e-14

	// topPasses bounds how often W is read. Weights need ten or twenty; a spectrum that is flat around σ_k can need more.
	topPasses = 400

	// topExact is the smaller dimension up to which W is factorised as a whole, whatever k: it is faster there.
	topExact = 1024
)

// TopSVD returns the k largest singular triples of the weight in w, out x in, or in x out where transposed: U is out x k, s descending, V
// is in x k, signs as SVD fixes them. k is at most min(out, in).
//
// Where k is small against the dimensions it reads w some ten times and iterates a block Krylov space of WᵀW from a fixed start, with full
// orthogonalisation, thick restarts and Rayleigh-Ritz values from W itself, so no squared spectrum is ever factorised, until every
// triple meets topTolerance. Otherwise w is read into memory and factorised as a whole. Either way the result depends on w alone. It looks
// at ctx while it reads w, and fails with ErrNumeric where w is not finite or the iteration does not converge.
func TopSVD(ctx context.Context, w Rows, transposed bool, k int) (u *Matrix, s []float64, v *Matrix, err error) {
	return topSVD(ctx, operator{Rows: w}, transposed, k)
}

// factorizedWhole reports whether TopSVD reads all of a weight instead of iterating.
func factorizedWhole(rows, cols, k int) bool {
	smaller := min(rows, cols)
	return smaller <= topExact || 3*k > smaller
}

// TopScratch is about how many bytes TopSVD and MergedSVD use besides their results, for callers that bound memory first.
func TopScratch(rows, cols, k int) int64 {
	bytes := 16 * float64(rows) * float64(cols) // by rows, and by columns
	if !factorizedWhole(rows, cols, k) {
		_, capacity := krylovSize(rows, cols, k)
		bytes = 48 * float64(capacity) * float64(max(rows, cols)) // a basis and two images, twice: a restart combines them
	}
	return int64(min(bytes, 1<<62))
}

// krylovSize is how many columns a block has, and the basis before a restart.
func krylovSize(rows, cols, k int) (width, capacity int) {
	width = min(32, max(8, (k/4+3)&^3))
	return width, min(rows, cols, 4*k+8*width)
}

// topSVD is TopSVD of an operator.
func topSVD(ctx context.Context, w operator, transposed bool, k int) (u *Matrix, s []float64, v *Matrix, err error) {
	rows, cols := w.Shape()
	if k < 1 || k > min(rows, cols) {
		return nil, nil, nil, fmt.Errorf("%d singular triples of a weight of %d x %d: %w", k, rows, cols, ErrShape)
	}
	var left, right columns
	if factorizedWhole(rows, cols, k) {
		left, s, right, err = wholeSVD(ctx, w, k)
	} else {
		left, s, right, err = krylovSVD(ctx, w, k)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	if transposed {
		left, right = right, left
		rows, cols = cols, rows
	}
	fixSigns(left, right)
	return left.matrix(rows), s, right.matrix(cols), nil
}

// wholeSVD reads all of w and cuts its SVD to k triples.
func wholeSVD(ctx context.Context, w operator, k int) (u columns, s []float64, v columns, err error) {
	rows, cols := w.Shape()
	whole := NewMatrix(rows, cols)
	if err := eachBlock(w.Rows, func(first int, block *Matrix) error {
		copy(whole.Data[first*cols:], block.Data)
		return ctx.Err()
	}); err != nil {
		return nil, nil, nil, err
	}
	if w.left != nil {
		addProduct(whole, view{w.left, false}, pack(view{w.right, false}))
	}
	if err := whole.checkFinite("the weight"); err != nil {
		return nil, nil, nil, err
	}
	c := columnsOf(whole, rows < cols)
	exponent := c.scaleDown()
	u, s, v, err = topTall(c, max(rows, cols), k)
	if err != nil {
		return nil, nil, nil, err
	}
	if rows < cols {
		u, v = v, u
	}
	return u, s, v, rescale(s, exponent)
}

// krylov is the state of the iteration: an orthonormal basis of a subspace of the stored columns' space, and what W and WᵀW make of it.
type krylov struct {
	w          operator
	rows, cols int
	basis      columns // orthonormal, each of length cols
	image      columns // W basis, each of length rows
	gram       columns // Wᵀ W basis, each of length cols
	random     splitmix
}

func krylovSVD(ctx context.Context, w operator, k int) (u columns, s []float64, v columns, err error) {
	state := &krylov{w: w, random: 1}
	state.rows, state.cols = w.Shape()
	width, capacity := krylovSize(state.rows, state.cols, k)
	next := make(columns, width)
	for j := range next {
		next[j] = state.fresh(next[:j])
	}
	check := 2*k + width
	// A Krylov space from width columns sees width copies of a multiple singular value and then closes. New directions find more copies, but
	// only after some passes, and k copies need this many of them.
	patience, wait := (k+width-1)/width, 0
	for range topPasses {
		if err := state.extend(ctx, next); err != nil {
			return nil, nil, nil, err
		}
		size := len(state.basis)
		var closed bool
		next, closed = state.nextBlock(min(width, state.cols-size))
		if wait--; closed && patience > 0 {
			patience--
			wait = 10
		}
		full := len(next) == 0 || size+len(next) > capacity
		if size < check && !full {
			continue
		}
		check = size + max(2*width, size/4)
		ritz, err := state.ritz(min(k+width, size))
		if err != nil {
			return nil, nil, nil, err
		}
		if len(next) == 0 || wait <= 0 && ritz.converged(k) { // a complete basis is exact
			return ritz.u[:k], ritz.s[:k], ritz.v[:k], nil
		}
		if full {
			state.restart(ritz)
			check = capacity
		}
	}
	return nil, nil, nil, fmt.Errorf("the %d largest singular values of a weight of %d x %d did not converge in %d passes: %w",
		k, state.rows, state.cols, topPasses, ErrNumeric)
}

// extend adds block to the basis, in one pass over W.
func (s *krylov) extend(ctx context.Context, block columns) error {
	x := block.matrix(s.cols)
	image, gram := NewMatrix(s.rows, x.Cols), NewMatrix(s.cols, x.Cols)
	right := pack(view{x, false})
	var inner *packed // what the right factor of the update makes of the block
	if s.w.left != nil {
		mixed := NewMatrix(s.w.right.Rows, x.Cols)
		addProduct(mixed, view{s.w.right, false}, right)
		inner = pack(view{mixed, false})
	}
	err := eachBlock(s.w.Rows, func(first int, rows *Matrix) error {
		part := &Matrix{Rows: rows.Rows, Cols: x.Cols, Data: image.Data[first*x.Cols:][:rows.Rows*x.Cols]}
		addProduct(part, view{rows, false}, right)
		if inner != nil {
			width := s.w.left.Cols
			addProduct(part, view{&Matrix{Rows: rows.Rows, Cols: width, Data: s.w.left.Data[first*width:][:rows.Rows*width]}, false}, inner)
		}
		addProduct(gram, view{rows, true}, pack(view{part, false}))
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	if s.w.left != nil {
		mixed := NewMatrix(s.w.left.Cols, x.Cols)
		addProduct(mixed, view{s.w.left, true}, pack(view{image, false}))
		addProduct(gram, view{s.w.right, true}, pack(view{mixed, false}))
	}
	if err := gram.checkFinite("WᵀW times a block"); err != nil {
		return err
	}
	s.basis = append(s.basis, block...)
	s.image = append(s.image, columnsOf(image, false)...)
	s.gram = append(s.gram, columnsOf(gram, false)...)
	return nil
}

// nextBlock returns width columns, orthonormal to the basis, from the last block's image under WᵀW. Where that lies in the basis, the
// space is closed: it is an invariant subspace of W, and new directions are drawn.
func (s *krylov) nextBlock(width int) (next columns, closed bool) {
	all := append(columns(nil), s.basis...)
	for _, column := range s.gram[len(s.gram)-width:] {
		candidate := append([]float64(nil), column...)
		size := math.Sqrt(dot(column, column))
		if orthonormalize(candidate, all) <= 1e-12*size {
			candidate, closed = s.fresh(all), true
		}
		all = append(all, candidate)
	}
	return all[len(s.basis):], closed
}

// fresh draws a unit vector orthogonal to basis, which does not span everything.
func (s *krylov) fresh(basis columns) []float64 {
	for {
		x := make([]float64, s.cols)
		s.random.fill(x)
		if orthonormalize(x, basis) > 1e-6 {
			return x
		}
	}
}

// ritzTriples approximate the largest singular triples from the state's basis: W v = s u exactly.
type ritzTriples struct {
	u, v    columns
	s       []float64
	weights columns // v as combinations of the basis
	gram    columns // WᵀW v
}

// ritz returns the keep largest triples of W restricted to the basis.
func (s *krylov) ritz(keep int) (*ritzTriples, error) {
	image := make(columns, len(s.image))
	for j, column := range s.image {
		image[j] = append([]float64(nil), column...)
	}
	exponent := image.scaleDown()
	var r ritzTriples
	var err error
	if r.u, r.s, r.weights, err = topTall(image, s.rows, keep); err != nil {
		return nil, err
	}
	if err := rescale(r.s, exponent); err != nil {
		return nil, err
	}
	r.v, r.gram = combine(s.basis, r.weights, s.cols), combine(s.gram, r.weights, s.cols)
	return &r, nil
}

// combine returns from times weights, for columns of length rows.
func combine(from, weights columns, rows int) columns {
	product := NewMatrix(rows, len(weights))
	addProduct(product, view{from.byRows(rows), true}, pack(view{weights.byRows(len(from)), true}))
	return columnsOf(product, false)
}

// byRows returns the matrix whose rows are the columns, each of length rows.
func (c columns) byRows(rows int) *Matrix {
	m := NewMatrix(len(c), rows)
	for j, column := range c {
		copy(m.Row(j), column)
	}
	return m
}

// converged reports whether the first k triples meet topTolerance.
func (r *ritzTriples) converged(k int) bool {
	first := r.s[0]
	for i := range k {
		square := float64(r.s[i] * r.s[i])
		var residual float64
		for j, v := range r.gram[i] {
			d := v - float64(square*r.v[i][j])
			residual += float64(d * d)
		}
		if math.Sqrt(residual) > max(float64(topTolerance*first)*r.s[i], topFloor*first*first) {
			return false
		}
	}
	return true
}

// restart keeps the triples as the basis, and takes them over. The block that comes next stays orthogonal to it, and the space they grow is
// the one that an unrestarted iteration would have grown from a better start.
func (s *krylov) restart(r *ritzTriples) {
	s.basis, s.image, s.gram = r.v, r.u, r.gram
	for j, column := range s.image {
		for i := range column {
			column[i] *= r.s[j]
		}
	}
}
