package kernel

import (
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// changing is a Change of some stored rows.
type changing struct {
	*Change
	storage
	dst, src, start, dense []byte // of the rows
	dtype                  tensor.DType
	first, rows            int
	own, begins, adds      widening // how src, start and dense are read
	row                    scaleRow
}

// begin checks the arguments of a merge.
func (c *Change) begin(dst, src, start, dense []byte, dtype tensor.DType, first, rows int) (*changing, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if first < 0 || rows < 0 || first > c.Rows-rows {
		return nil, fmt.Errorf("rows %d to %d of a weight of %d rows", first, first+rows-1, c.Rows)
	}
	as, err := storedAs(dtype)
	if err != nil {
		return nil, err
	}
	if len(src) != rows*c.Cols*as.size || len(dst) != len(src) {
		return nil, fmt.Errorf("%d and %d bytes are not %d rows of %d %v", len(src), len(dst), rows, c.Cols, dtype)
	}
	if n := c.StartBytes(first, rows); len(start) != n {
		return nil, fmt.Errorf("the start of rows %d to %d has %d bytes, and %d came", first, first+rows-1, n, len(start))
	}
	if n := rows * c.Cols * c.Dense.Size(); len(dense) != n {
		return nil, fmt.Errorf("the dense delta of rows %d to %d has %d bytes, and %d came", first, first+rows-1, n, len(dense))
	}
	return &changing{
		Change: c, storage: as, dst: dst, src: src, start: start, dense: dense, dtype: dtype, first: first, rows: rows,
		own: widenings(dtype), begins: widenings(c.Start), adds: widenings(c.Dense), row: active.merge.scale.of(dtype),
	}, nil
}

// mergeBlocks merges where there is nothing but low-rank deltas.
func (m *changing) mergeBlocks(first, rows int) (total Counts, err error) {
	stride := m.Cols * m.size
	m.eachBlock(first, rows, func(d *Delta, first, row, n int) {
		at := (row - m.first) * stride
		c, failure := MergeRows(m.dst[at:][:n*stride], m.src[at:][:n*stride], m.dtype, d, first, n)
		total = total.Add(c)
		if failure != nil {
			err = failure
		}
	})
	return total, err
}

// eachBlock cuts stored rows [from, from+rows) where deltas end: do gets the first of the delta's rows, the first of the matrix's, and their number.
func (m *changing) eachBlock(from, rows int, do func(d *Delta, first, row, n int)) {
	height := m.Rows / len(m.Deltas)
	for end := from + rows; from < end; {
		block := from / height
		n := min(end, (block+1)*height) - from
		do(m.Deltas[block], from-block*height, from, n)
		from += n
	}
}

// run is some rows of a change whose start lies in one piece of memory.
type run struct {
	first, rows int
	start       []byte
	as          *widening
	apart       bool // the start is not W
}

// eachRun cuts the rows into runs.
func (m *changing) eachRun(do func(r run)) {
	own := func(first, rows int) {
		if rows > 0 {
			do(run{first: first, rows: rows, start: m.src[(first-m.first)*m.Cols*m.size:], as: &m.own})
		}
	}
	switch {
	case m.Start == tensor.Invalid:
		own(m.first, m.rows)
		return
	case m.StartRows == nil:
		do(run{first: m.first, rows: m.rows, start: m.start, as: &m.begins, apart: true})
		return
	}
	row, start := m.first, m.start
	for held := m.startRows(m.first, m.rows); len(held) > 0; {
		n := 1
		for n < len(held) && held[n].Row == held[0].Row+n {
			n++
		}
		own(row, held[0].Row-row)
		do(run{first: held[0].Row, rows: n, start: start, as: &m.begins, apart: true})
		row, start, held = held[0].Row+n, start[n*m.Cols*m.begins.size:], held[n:]
	}
	own(row, m.first+m.rows-row)
}

// eachPiece calls do with pieces of V: entries that follow one another, which do may overwrite, and their row and first column. All but the last
// piece of a row have a multiple of 16 entries. Along one row columns ascend, and along one column rows do. Where flat, rows are one row.
func (m *changing) eachPiece(s *scratch, r run, flat bool, do func(v []float32, row, col int)) {
	finish := func(v []float32, row, col int) {
		r.as.add(v, r.start[((row-r.first)*m.Cols+col)*r.as.size:])
		do(v, row, col)
	}
	if len(m.Deltas) > 0 {
		m.eachBlock(r.first, r.rows, func(d *Delta, first, row, n int) {
			d.eachPiece(s, first, n, 0, m.Cols, func(v []float32, at, col int) { finish(v, at-first+row, col) })
		})
		return
	}
	rows, cols := r.rows, m.Cols
	if flat {
		rows, cols = 1, rows*cols
	}
	v := s.values(pieceCols)
	for row := r.first; row < r.first+rows; row++ {
		for col := 0; col < cols; col += pieceCols {
			v := v[:min(pieceCols, cols-col)]
			copy(v, nothing[:])
			if m.Dense != tensor.Invalid {
				m.adds.add(v, m.dense[((row-m.first)*m.Cols+col)*m.adds.size:])
				if m.Scale != 1 {
					for i, x := range v {
						v[i] = float32(m.Scale * x) // rounded before it is added
					}
				}
			}
			finish(v, row, col)
		}
	}
}

// nothing is what changes no number that is added to it: -0, of either zero too.
var nothing = func() (zeros [pieceCols]float32) {
	for i := range zeros {
		zeros[i] = float32(math.Copysign(0, -1))
	}
	return zeros
}()

// merge merges the rows piece by piece.
func (m *changing) merge() (c Counts) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	gains := m.columnGains()
	m.eachRun(func(r run) {
		m.eachPiece(s, r, m.Gains == nil, func(v []float32, row, col int) {
			g := piecewise{gains: ones[:]}
			switch {
			case gains != nil:
				g = piecewise{gains: gains[col:], step: 4 * lanes16}
			case m.Gains != nil:
				g.gains = s.same(m.Gains[row])
			}
			at := (row-m.first)*m.Cols + col
			start := r.start[((row-r.first)*m.Cols+col)*r.as.size:]
			c = c.Add(m.store(v, g, at*m.size, start, r))
		})
	})
	return c
}

// squareRowsAtOnce bounds the memory of partial sums.
const squareRowsAtOnce = 512

// squareRows adds to the sums of stored rows.
func (m *changing) squareRows(sums []float64) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	m.eachRun(func(r run) {
		for ; r.rows > 0; r = r.from(squareRowsAtOnce, m.Cols) {
			part := r
			part.rows = min(r.rows, squareRowsAtOnce)
			lanes := s.laneSums(part.rows * lanes16)
			m.eachPiece(s, part, false, func(v []float32, row, _ int) { addSquaresToLanes(lanes[(row-part.first)*lanes16:][:lanes16], v) })
			for i := range part.rows {
				sums[part.first+i] += addLanes(lanes[i*lanes16:][:lanes16])
			}
		}
	})
}

// from is what is left of a run after n rows.
func (r run) from(n, cols int) run {
	n = min(n, r.rows)
	r.first, r.rows, r.start = r.first+n, r.rows-n, r.start[n*cols*r.as.size:]
	return r
}

// squareColumns adds to the sums of stored columns.
func (m *changing) squareColumns(sums []float64) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	m.eachRun(func(r run) {
		m.eachPiece(s, r, false, func(v []float32, _, col int) { addSquares(sums[col:][:len(v)], v) })
	})
}
