package kernel

import (
	"math"
	"sync"
	"unsafe"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Blocks of a product of a stored matrix with many vectors: one part of a panel of widened weights stays in the first-level cache while the
// vectors' part of the same columns passes by.
const (
	vectorBlock = 96
	partBlock   = 512 // columns in each part
	columnBlock = 2 * partBlock
	rowBlock    = 8
	dealtRows   = 4 * rowBlock // that go to dst at once, and to one goroutine
)

// MatMat computes, for each of n vectors, what MatVec computes, to the bit. x is n x cols and dst n x rows, one vector after the other.
func MatMat(dst []float32, w []byte, dtype tensor.DType, rows, cols int, x []float32, n int) {
	ParallelMatMat(dst, w, dtype, rows, cols, x, n, 1)
}

// ParallelMatMat is MatMat with its rows dealt to at most workers goroutines. The result does not depend on how many.
func ParallelMatMat(dst []float32, w []byte, dtype tensor.DType, rows, cols int, x []float32, n, workers int) {
	k := &active.matvec
	m := storedMatrix{bytes: w[:rows*cols*dtype.Size()], dtype: dtype, rows: rows, cols: cols, kernels: k.stored(dtype)}
	dst, x = dst[:n*rows], x[:n*cols]
	workers = max(1, min(workers, n*len(m.bytes)/minRowsBytes))
	if k.rows == 0 {
		deal(rows, 1, workers, func(first, count int) { m.multiplyPortable(dst, x, n, first, first+count) })
		return
	}
	if n <= fewVectors && m.few() {
		m.multiplyFew(dst, x, n, workers)
		return
	}
	p := vectorPacks.Get().(*vectorPack)
	defer vectorPacks.Put(p)
	for n > 0 {
		count := min(n, vectorBlock)
		p.load(x, count, cols)
		to := dst
		deal(rows, dealtRows, workers, func(first, count int) {
			s := matvecScratches.Get().(*matvecScratch)
			defer matvecScratches.Put(s)
			for i := 0; i < count; i += dealtRows {
				s.multiplyRows(to, &m, p, first+i, min(dealtRows, count-i))
			}
		})
		dst, x, n = dst[count*rows:], x[count*cols:], n-count
	}
}

// storedMatrix is a row-major matrix of stored weights.
type storedMatrix struct {
	bytes      []byte
	dtype      tensor.DType
	rows, cols int
	kernels    *storedKernels
}

// row returns columns [from, from+n) of row i as they are stored.
func (m *storedMatrix) row(i, from, n int) []byte {
	size := m.dtype.Size()
	return m.bytes[(i*m.cols+from)*size:][:n*size]
}

// multiplyPortable computes rows [from, to) for n vectors.
func (m *storedMatrix) multiplyPortable(dst, x []float32, n, from, to int) {
	for v := range n {
		for i := from; i < to; i++ {
			dst[v*m.rows+i] = dotStored(m.row(i, 0, m.cols), m.dtype, x[v*m.cols:(v+1)*m.cols])
		}
	}
}

// vectorPack holds some vectors by blocks of columns, so that what is read together lies together: block, part, vector, column in the part. The last
// block ends with zeros where the columns are not a multiple of lanes.
type vectorPack struct {
	vectors, cols int // cols with the zeros
	values        []float32
	tail          [lanes]float32
}

var vectorPacks = sync.Pool{New: func() any { return &vectorPack{} }}

func (p *vectorPack) load(x []float32, n, cols int) {
	k := &active.matvec
	p.vectors, p.cols = n, (cols+lanes-1)/lanes*lanes
	if cap(p.values) < n*p.cols {
		p.values = make([]float32, n*p.cols)
	}
	p.values = p.values[:n*p.cols]
	for from := 0; from < p.cols; from += k.columns() {
		width := min(k.columns(), p.cols-from)
		part := width / k.parts // columns
		for v := range n {
			to, row := p.values[n*from+v*part:], x[v*cols+from:(v+1)*cols]
			blocks := min(width, len(row)) / lanes
			if blocks > 0 {
				k.f32.split(&to[0], (*byte)(unsafe.Pointer(&row[0])), 4*n*part, blocks)
			}
			if blocks*lanes < width {
				clear(p.tail[copy(p.tail[:], row[blocks*lanes:]):])
				k.f32.split(&to[blocks*lanes/k.parts], (*byte)(unsafe.Pointer(&p.tail[0])), 4*n*part, 1)
			}
		}
	}
}

// columns is how many columns are a block.
func (k *matvecKernels) columns() int { return partBlock * k.parts }

// matvecScratch is what one goroutine multiplies a block of rows in.
type matvecScratch struct {
	panel [rowBlock * columnBlock]float32         // of a block of columns: part, row, column in the part
	lanes [rowBlock * vectorBlock * lanes]float32 // part, tile of vectors, tile of rows, vector, row, lane in the part
	sums  [rowBlock * vectorBlock]float32         // the same without lanes
	wide  [columnBlock]float32
	dst   [vectorBlock * dealtRows]float32
}

var matvecScratches = sync.Pool{New: func() any { return &matvecScratch{} }}

// multiplyRows computes count rows from row first on, at most dealtRows, for the vectors of p. They are gathered first, since results of
// different vectors are far apart in dst.
func (s *matvecScratch) multiplyRows(dst []float32, m *storedMatrix, p *vectorPack, first, count int) {
	for i := 0; i < count; i += rowBlock {
		s.multiply(s.dst[i:], m, p, first+i, min(rowBlock, count-i))
	}
	for v := range p.vectors {
		copy(dst[v*m.rows+first:][:count], s.dst[v*dealtRows:])
	}
}

// multiply computes count rows from row first on, at most rowBlock, for the vectors of p, dealtRows apart in dst. What is beyond the rows up to
// a whole tile is computed from leftovers, and not used.
func (s *matvecScratch) multiply(dst []float32, m *storedMatrix, p *vectorPack, first, count int) {
	k := &active.matvec
	rows := (count + tileRows - 1) / tileRows * tileRows
	laned := rows * p.vectors * lanes / k.parts // lanes in a part
	clear(s.lanes[:laned*k.parts])
	for from := 0; from < p.cols; from += k.columns() {
		width := min(k.columns(), p.cols-from)
		part := width / k.parts
		for i := range count {
			s.widen(k, i*part, rows*part, m, first+i, from, width)
		}
		for at := range k.parts {
			panel, x, sums := s.panel[at*rows*part:], p.values[p.vectors*(from+at*part):], s.lanes[at*laned:]
			for v := 0; v < p.vectors; {
				tile := k.tile(p.vectors - v)
				for i := 0; i < rows; i += tileRows {
					tile.run(&sums[(v*rows+i*tile.vectors)*lanes/k.parts], &panel[i*part], &x[v*part], width/lanes)
				}
				v += tile.vectors
			}
		}
	}
	k.sums(&s.sums[0], &s.lanes[0], 4*laned, rows*p.vectors/4)
	for v := 0; v < p.vectors; {
		tile := k.tile(p.vectors - v)
		for i := 0; i < rows; i += tileRows {
			for u := range tile.vectors {
				*(*[tileRows]float32)(dst[(v+u)*dealtRows+i:]) = [tileRows]float32(s.sums[v*rows+i*tile.vectors+u*tileRows:])
			}
		}
		v += tile.vectors
	}
}

// widen writes columns [from, from+width) of row i of m to the panel, at to in its first part. Behind the last column it writes -0, which with
// a factor of +0 leaves every sum as it is.
func (s *matvecScratch) widen(k *matvecKernels, to, part int, m *storedMatrix, i, from, width int) {
	n := min(width, m.cols-from)
	row, done := m.row(i, from, n), 0
	if m.kernels.split != nil && n >= lanes {
		m.kernels.split(&s.panel[to], &row[0], 4*part, n/lanes)
		done = n / lanes * lanes
	}
	if done == width {
		return
	}
	rest := s.wide[:width-done]
	widen32(rest[:n-done], row[done*m.dtype.Size():], m.dtype)
	for j := n - done; j < len(rest); j++ {
		rest[j] = negativeZero
	}
	k.f32.split(&s.panel[to+done/k.parts], (*byte)(unsafe.Pointer(&rest[0])), 4*part, len(rest)/lanes)
}

// tile returns the widest tile of at most n vectors.
func (k *matvecKernels) tile(n int) *matvecTile {
	i := 0
	for k.tiles[i].vectors > n {
		i++
	}
	return &k.tiles[i]
}

var negativeZero = float32(math.Copysign(0, -1))
