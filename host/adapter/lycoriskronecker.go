package adapter

import (
	"github.com/tenon-ml/tenon/host/fault"
)

// setKronecker gives LoKr, the Kronecker product of left (u x v) and right (p x q·kernel): row (i1,i2) and column (j1,j2) of it is
// left[i1,j1] · right[i2,j2]. Where right is a product B2·A2 of rank r, the rows (i1,·) are a block of their own, with the factors B2 and
// [left[i1,0]·A2, left[i1,1]·A2, …], as long as those are smaller than the whole.
func (s *assembly) setKronecker(m *singleModule, target *Target) *fault.Error {
	a, weights := s.Adapter, s.Weights
	left := func() matrix {
		if m.has(kronecker1) {
			return decode(weights, m.tensor(a, kronecker1))
		}
		first, second := decode(weights, m.tensor(a, kronecker1A)), decode(weights, m.tensor(a, kronecker1B))
		product := matrix{rows: first.rows, cols: second.cols, data: make([]float64, first.rows*second.cols)}
		for i := range product.rows {
			combine(product.row(i), first.row(i), second)
		}
		return product
	}
	blocks := s.leftRows(m)
	rows := target.Out / blocks
	if e := s.reserveLeft(m, blocks); e != nil {
		return e
	}
	if m.has(kronecker2) {
		if s.base == nil {
			return unboundFault()
		}
		whole := m.tensor(a, kronecker2)
		s.setWholeKronecker(m, target, left, func() func(i int, row []float64) {
			stored := storedRows{weights.Bytes(whole), whole.DType, product(whole.Shape[1:])}
			return stored.read
		}, 1)
		return nil
	}
	rank, width := s.rankOfHalf(m, kronecker2A, kroneckerT2), s.rightWidth(m)
	if e := s.reserve(m, width, kronecker2A, kronecker2B, kroneckerT2); e != nil {
		return e
	}
	right := func() half {
		return openHalf(weights, m.tensor(a, kronecker2A), m.tensor(a, kronecker2B), m.core(a, kroneckerT2))
	}
	if rows <= rank {
		if s.base == nil {
			return unboundFault()
		}
		s.setWholeKronecker(m, target, left, func() func(i int, row []float64) {
			r := right()
			return func(i int, row []float64) { combine(row, r.left.row(i), r.right) }
		}, rank)
		return nil
	}
	target.Blocks, target.Rank = blocks, rank
	target.A = s.computed(m, target, ".a", blocks*rank, target.In, 1, func() func(int, []float64) {
		l, r := left(), right()
		return func(i int, row []float64) { kron(row, l.row(i/rank), r.right.row(i%rank)) }
	})
	target.B = s.computed(m, target, ".b", target.Out, rank, 1, func() func(int, []float64) {
		r := right()
		return func(i int, row []float64) { copy(row, r.left.row(i%rows)) }
	})
	target.Out = rows
	return nil
}

// setWholeKronecker computes the whole product. right opens the right factor, whose row it adds to one of zeros.
func (s *assembly) setWholeKronecker(m *singleModule, target *Target, left func() matrix, right func() func(i int, row []float64),
	multiplications int) {
	rows, width := target.Out/s.leftRows(m), s.rightWidth(m)
	target.Dense = s.computed(m, target, ".dense", target.Out, target.In, multiplications, func() func(int, []float64) {
		l, read := left(), right()
		return func(i int, row []float64) {
			second := make([]float64, width)
			read(i%rows, second)
			kron(row, l.row(i/rows), second)
		}
	})
}

// reserveLeft refuses a left factor that memory is not for.
func (s *assembly) reserveLeft(m *singleModule, rows int) *fault.Error {
	if m.has(kronecker1) {
		return room(m.tensor(s.Adapter, kronecker1).Elements())
	}
	first, second := m.tensor(s.Adapter, kronecker1A), m.tensor(s.Adapter, kronecker1B)
	if e := room(first.Elements(), second.Elements()); e != nil {
		return e
	}
	s.derived.work += 2 * float64(rows) * float64(product(second.Shape[1:])) * float64(second.Shape[0])
	return room(rows * product(second.Shape[1:]))
}

// rightWidth is how many columns the right factor has, as a matrix.
func (s *assembly) rightWidth(m *singleModule) int {
	if m.has(kronecker2) {
		return product(m.tensor(s.Adapter, kronecker2).Shape[1:])
	}
	width := product(m.tensor(s.Adapter, kronecker2B).Shape[1:])
	if m.has(kroneckerT2) {
		width *= product(m.tensor(s.Adapter, kroneckerT2).Shape[2:])
	}
	return width
}

// leftRows is how many rows the left factor has.
func (s *assembly) leftRows(m *singleModule) int {
	return m.tensor(s.Adapter, m.spare(kronecker1, kronecker1A)).Shape[0]
}

// kron is one row of a Kronecker product: the second row times each entry of the first.
func kron(row, first, second []float64) {
	for j, v := range first {
		addScaled(row[j*len(second):(j+1)*len(second)], v, second)
	}
}
