package kernel

import (
	"context"
	"fmt"
)

const (
	// topTolerance bounds what TopSVD leaves: ‖WᵀW v_i - σ_i² v_i‖ is at most topTolerance·σ_1·σ_i for every triple it returns, or at most
	// topFloor·σ_1², which is what rounding leaves of the smallest. The error of σ_i² is of the order of the square of that, over the gap.
	topTolerance = 1e-9
	topFloor     = 1e-14

	// topPasses bounds how often W is read. Weights need ten or twenty; a spectrum that is flat around σ_k can need more.
	topPasses = 400

	// topExact is the smaller dimension up to which W is factorised as a whole, whatever k: it is faster there.
	topExact = 512
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
		bytes = float64(48 * float64(capacity) * float64(max(rows, cols))) // two bases and an image, twice: a restart combines them
		bytes += float64(24 * blockRows(rows, cols) * cols)                // a block of W, and it and the next one as they are stored
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
	}
	fixSigns(left, right)
	return left.matrix(), s, right.matrix(), nil
}

// wholeSVD reads all of w and cuts its SVD to k triples.
func wholeSVD(ctx context.Context, w operator, k int) (u columns, s []float64, v columns, err error) {
	rows, cols := w.Shape()
	whole := NewMatrix(rows, cols)
	if err := eachBlock(w.Rows, func(first int, block *Matrix) error {
		copy(whole.Data[first*cols:], block.Data)
		return ctx.Err()
	}); err != nil {
		return columns{}, nil, columns{}, err
	}
	if w.left != nil {
		addProduct(whole, view{w.left, false}, pack(view{w.right, false}))
	}
	if err := whole.checkFinite("the weight"); err != nil {
		return columns{}, nil, columns{}, err
	}
	c := columnsOf(whole, rows < cols)
	exponent := c.scaleDown()
	u, s, v, err = topTall(c, k, true)
	if err != nil {
		return columns{}, nil, columns{}, err
	}
	if rows < cols {
		u, v = v, u
	}
	return u, s, v, rescale(s, exponent)
}
