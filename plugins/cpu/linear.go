package cpu

import "github.com/tenon-ml/tenon/internal/kernel"

// linear is one matrix of a forward pass with what is added to its products.
type linear struct {
	matrix
	bias    []float32 // rows numbers, or nil
	factors *factors  // of a generation that is not merged, or nil
}

// factors are a patch that was not merged: scale·B(A x) is added to what the matrix gives. B is rows x rank, A is rank x cols.
type factors struct {
	a, b  matrix
	scale float32
}

// product is one matrix with where its product goes, rows x what the matrix gives.
type product struct {
	linear *linear
	dst    []float32
}

// times computes dst = W x + bias + scale·B(A x) for each of n vectors, one after the other, without what the matrix does not have, for each of the
// products: they have the same vectors. The numbers of one vector depend neither on n nor on the number of workers: every product adds in an order
// of its own, and the sum goes from left to right.
func (p *pass) times(x []float32, n int, products ...product) {
	if n == 1 {
		p.timesOne(x, products)
	}
	for _, r := range products {
		l, dst := r.linear, r.dst
		switch {
		case l.transposed:
			p.timesTransposed(dst, &l.matrix, x, n)
		case n > 1:
			kernel.ParallelMatMat(dst, l.bytes, l.dtype, l.rows, l.cols, x, n, p.crew.size())
		}
		if l.bias != nil {
			for i := range n {
				add(dst[i*l.rows:(i+1)*l.rows], l.bias)
			}
		}
		if f := l.factors; f != nil {
			p.low, p.lifted = grown(p.low, n*f.a.rows), grown(p.lifted, n*l.rows)
			f.a.times(p.low, x, n, p.crew.size())
			f.b.times(p.lifted, p.low, n, p.crew.size())
			for i, v := range p.lifted {
				dst[i] += float32(f.scale * v)
			}
		}
	}
}

// partBytes is the least part of a matrix that a worker multiplies at a time.
const partBytes = 128 << 10

// timesOne computes the products with one vector that are stored as they are multiplied with, in parts. They are in one list, so that workers wait
// for each other once and not for each matrix.
func (p *pass) timesOne(x []float32, products []product) {
	p.parts, p.vector = p.parts[:0], x
	bytes := 0
	for _, r := range products {
		bytes += len(r.linear.bytes)
	}
	least := max(partBytes, bytes/(partsEach*p.crew.size()))
	for _, r := range products {
		m := &r.linear.matrix
		if m.transposed {
			continue
		}
		count := max(1, len(m.bytes)/least)
		for i := range count {
			from, to := i*m.rows/count, (i+1)*m.rows/count
			p.parts = append(p.parts, matrixPart{m, r.dst[from:to], from})
		}
	}
	if len(p.parts) > 0 {
		p.crew.each(len(p.parts), least/4, p.steps.multiply)
	}
}

// partsEach is about how many parts each worker has of a product: the last to be done may be late by one.
const partsEach = 4

// matrixPart is some rows of a matrix and where their products go.
type matrixPart struct {
	*matrix
	dst  []float32
	from int
}

// multiply computes one part.
func (p *pass) multiply(i, _ int) {
	m := &p.parts[i]
	stride := m.cols * m.dtype.Size()
	kernel.MatVec(m.dst, m.bytes[m.from*stride:][:len(m.dst)*stride], m.dtype, len(m.dst), m.cols, p.vector)
}

// times computes dst = W x for each of n vectors, one after the other, with at most workers goroutines. The result depends on neither.
func (m *matrix) times(dst, x []float32, n, workers int) {
	if n == 1 {
		kernel.ParallelMatVec(dst, m.bytes, m.dtype, m.rows, m.cols, x, workers)
		return
	}
	kernel.ParallelMatMat(dst, m.bytes, m.dtype, m.rows, m.cols, x, n, workers)
}

func add(dst, x []float32) {
	for i, v := range x {
		dst[i] += v
	}
}
