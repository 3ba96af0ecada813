package kernel

import (
	"context"
	"fmt"
	"math"
)

// krylov is the state of the iteration: orthonormal bases of a subspace of the stored columns' space and of its image, W basis = left upper,
// and what WᵀW makes of the first. Of each, size columns are in use, and there is room for more.
type krylov struct {
	w           operator
	rows, cols  int
	size        int
	basis, left columns
	upper       columns // size x size, upper triangular by blocks
	gram        columns // WᵀW basis
	random      splitmix

	right, inner, part packed // scratch, from here on
	readers            [2]blockReader
	values             []float64 // of a block of W
}

func newKrylov(w operator, width, capacity int) *krylov {
	s := &krylov{w: w, random: 1}
	s.rows, s.cols = w.Shape()
	capacity = max(capacity, width)
	s.basis, s.left, s.gram = newColumns(s.cols, capacity), newColumns(s.rows, capacity), newColumns(s.cols, capacity)
	s.upper = newColumns(capacity, capacity)
	return s
}

func krylovSVD(ctx context.Context, w operator, k int) (u columns, s []float64, v columns, err error) {
	rows, cols := w.Shape()
	width, capacity := krylovSize(rows, cols, k)
	state := newKrylov(w, width, capacity)
	next := newColumns(cols, width)
	for j := range width {
		state.fresh(next.column(j), columns{}, next.part(0, j))
	}
	check := 2*k + width
	// A Krylov space from width columns sees width copies of a multiple singular value and then closes. New directions find more copies, but
	// only after some passes, and k copies need this many of them.
	patience, wait := (k+width-1)/width, 0
	for range topPasses {
		if err := state.extend(ctx, next); err != nil {
			return columns{}, nil, columns{}, err
		}
		size := state.size
		next = state.gram.part(size-next.cols, size).clone().part(0, min(width, cols-size))
		closed := state.extendBasis(state.basis.part(0, size), next, 1e-12, columns{})
		if wait--; closed && patience > 0 {
			patience--
			wait = 10
		}
		full := next.cols == 0 || size+next.cols > capacity
		if size < check && !full {
			continue
		}
		check = size + max(2*width, size/4)
		ritz, err := state.ritz(min(k+width, size))
		if err != nil {
			return columns{}, nil, columns{}, err
		}
		if next.cols == 0 || wait <= 0 && ritz.converged(k) { // a complete basis is exact
			return state.combine(state.left, ritz.mixed.part(0, k)), ritz.s[:k], ritz.v.part(0, k), nil
		}
		if full {
			state.restart(ritz)
			check = capacity
		}
	}
	return columns{}, nil, columns{}, fmt.Errorf("the %d largest singular values of a weight of %d x %d did not converge in %d passes: %w",
		k, rows, cols, topPasses, ErrNumeric)
}

// extend adds block to the basis, in one pass over W.
func (s *krylov) extend(ctx context.Context, block columns) error {
	x := block.matrix()
	image, gram := NewMatrix(s.rows, x.Cols), NewMatrix(s.cols, x.Cols)
	s.right.set(view{x, false})
	if s.w.left != nil { // what the right factor of the update makes of the block
		mixed := NewMatrix(s.w.right.Rows, x.Cols)
		addProduct(mixed, view{s.w.right, false}, &s.right)
		s.inner.set(view{mixed, false})
	}
	err := s.eachBlock(func(first int, rows *Matrix) error {
		part := &Matrix{Rows: rows.Rows, Cols: x.Cols, Data: image.Data[first*x.Cols:][:rows.Rows*x.Cols]}
		addProduct(part, view{rows, false}, &s.right)
		if s.w.left != nil {
			width := s.w.left.Cols
			addProduct(part, view{&Matrix{Rows: rows.Rows, Cols: width, Data: s.w.left.Data[first*width:][:rows.Rows*width]}, false}, &s.inner)
		}
		s.part.set(view{part, false})
		addProduct(gram, view{rows, true}, &s.part)
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
	from, to := s.size, s.size+x.Cols
	s.size = to
	s.basis.part(from, to).set(block)
	s.gram.part(from, to).set(columnsOf(gram, false))
	s.left.part(from, to).set(columnsOf(image, false))
	s.extendBasis(s.left.part(0, from), s.left.part(from, to), 1e-15, s.upper.part(from, to))
	return nil
}

// eachBlock reads W once from top to bottom and hands out blocks of whole rows, which are good until visit returns. Meanwhile it reads the
// next one.
func (s *krylov) eachBlock(visit func(first int, rows *Matrix) error) error {
	type result struct {
		block
		error
	}
	height := blockRows(s.rows, s.cols)
	results := make(chan result, 1)
	for at := range s.readers {
		s.readers[at].w = s.w.Rows
	}
	read := func(first int) {
		reader := &s.readers[first/height%len(s.readers)]
		go func() {
			b, err := reader.read(first, min(height, s.rows-first))
			results <- result{b, err}
		}()
	}
	read(0)
	for first := 0; first < s.rows; first += height {
		got := <-results
		if got.error != nil {
			return got.error
		}
		last := first+height >= s.rows
		if !last {
			read(first + height)
		}
		if err := visit(first, s.widened(got.block)); err != nil {
			if !last {
				<-results // nothing reads once this returns
			}
			return err
		}
	}
	return nil
}

// widened is a block in f64, by several goroutines.
func (s *krylov) widened(b block) *Matrix {
	if b.bytes == nil {
		return &Matrix{Rows: b.rows, Cols: b.cols, Data: b.values[:b.rows*b.cols]}
	}
	if len(s.values) < b.rows*b.cols {
		s.values = make([]float64, b.rows*b.cols)
	}
	m := &Matrix{Rows: b.rows, Cols: b.cols, Data: s.values[:b.rows*b.cols]}
	n := workers(b.rows, float64(len(m.Data)))
	parallel(n, func(worker int) {
		for i := b.rows * worker / n; i < b.rows*(worker+1)/n; i++ {
			b.row(m.Row(i), i, 0, b.cols)
		}
	})
	return m
}

// extendBasis turns the columns of block into orthonormal ones that are orthogonal to basis, and with it span what they spanned. Where of
// a column no more than tolerance lies outside the span of those before, the space is closed, and another direction is drawn. coefficients,
// unless empty, become what the columns were as combinations of basis and block.
func (s *krylov) extendBasis(basis, block columns, tolerance float64, coefficients columns) (closed bool) {
	size := basis.cols
	for j := range coefficients.cols { // nothing yet but the columns themselves
		clear(coefficients.column(j))
		coefficients.column(j)[size+j] = 1
	}
	for range 2 { // once leaves what cancellation made
		along, among := s.subtract(basis, block), newColumns(block.cols, block.cols)
		for j := range block.cols {
			column := block.column(j)
			before := math.Sqrt(dot(column, column))
			for l := range j {
				among.column(j)[l] = dot(block.column(l), column)
				axpy(-among.column(j)[l], block.column(l), column)
			}
			norm := math.Sqrt(dot(column, column))
			if size > 0 {
				before = math.Sqrt(float64(before*before) + dot(along.column(j), along.column(j)))
			}
			if norm <= float64(tolerance*before) {
				s.fresh(column, basis, block.part(0, j))
				closed, norm = true, 0
			}
			divide(column, norm)
			among.column(j)[j] = norm
		}
		for j := coefficients.cols - 1; j >= 0; j-- { // what a column was before this round, by what it is after
			column := coefficients.column(j)
			inner := append([]float64(nil), column[size:size+block.cols]...)
			clear(column[size:])
			for l, factor := range inner[:j+1] {
				if size > 0 {
					axpy(factor, along.column(l), column)
				}
				axpy(factor, among.column(l), column[size:])
			}
		}
	}
	return closed
}

// subtract takes from the columns of block their parts along the orthonormal columns of basis, and returns these as combinations of basis.
func (s *krylov) subtract(basis, block columns) (along columns) {
	if basis.cols == 0 {
		return columns{}
	}
	rows, products := block.matrix(), NewMatrix(basis.cols, block.cols)
	s.right.set(view{rows, false})
	s.right.add(products.Data, products.Cols, basis.view(true), products.Rows)
	along = columnsOf(products, false)
	negate(products.Data)
	s.part.set(view{products, false})
	s.part.add(rows.Data, rows.Cols, basis.view(false), rows.Rows)
	block.set(columnsOf(rows, false))
	return along
}

// fresh draws a unit vector orthogonal to the columns of basis and of block, which are orthonormal and do not span everything.
func (s *krylov) fresh(x []float64, basis, block columns) {
	for {
		s.random.fill(x)
		if orthonormalize(x, basis) > 1e-6 && orthonormalize(x, block) > 1e-6 {
			orthonormalize(x, basis)
			return
		}
	}
}
