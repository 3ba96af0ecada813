package kernel

import "sync"

// tiling cuts stored rows into strips of rows, and their columns into panels of cols.
type tiling struct{ rows, cols int }

const (
	columnBytes = 256 << 10 // of packed columns that strips pass over: they stay in the second-level cache
	rowBytes    = 64 << 10  // of packed rows' factors, likewise
)

// eachStrip cuts stored rows [first, first+rows) of a delta at columns [from, to), of which from is a multiple of t.cols. For each strip it calls do
// with the rows' factors, k by t.rows with zeros for missing rows; with its first row and their number; and with its first column, again a multiple,
// and their number. Strips that follow one another share columns; along one row columns ascend, and along one column rows do.
func (t tiling) eachStrip(s *scratch, d *Delta, first, rows, from, to int, do func(factors []float32, row, n, col, width int)) {
	chunk := max(1, rowBytes/(4*d.Rank*t.rows)) * t.rows
	block := min(max(1, columnBytes/(4*d.Rank*t.cols)), maxPanels) * t.cols
	for ; rows > 0; first, rows = first+chunk, rows-chunk {
		n := min(chunk, rows)
		factors := s.rowFactors((n + t.rows - 1) / t.rows * t.rows * d.Rank)
		d.packRows(factors, t.rows, first, n)
		for col := from; col < to; col += block {
			for row := 0; row < n; row += t.rows {
				do(factors[row*d.Rank:], first+row, min(t.rows, n-row), col, min(block, to-col))
			}
		}
	}
}

// packRows writes the factors of stored rows [first, first+rows), strip after strip, each Rank by height, with zeros for the rows that the last
// one lacks.
func (d *Delta) packRows(dst []float32, height, first, rows int) {
	for ; rows > 0; first, rows = first+height, rows-height {
		n, strip := min(height, rows), dst[:d.Rank*height]
		dst = dst[len(strip):]
		if n < height {
			clear(strip)
		}
		if d.FanInFanOut {
			packTogether(strip, height, d.A[first:], d.In, n, d.Rank)
		} else {
			packApart(strip, height, d.SB[first*d.Rank:], d.Rank, n, d.Rank)
		}
	}
}

// packs are a delta's columns' factors as kernels want them. They are made when they are first asked for, since a delta may be merged by none or
// in blocks, and kept, since it is usually merged by the same kernel again.
type packs struct {
	mutex sync.Mutex
	made  []pack
}

type pack struct {
	cols    int
	evenOdd bool
	values  []float32
}

// packedColumns returns the factors of all stored columns, panel after panel, each Rank by cols, with zeros for the columns that the last one
// lacks. evenOdd puts a panel's even columns before its odd ones. The factors of a panel that begins at column j begin at j times Rank.
func (d *Delta) packedColumns(cols int, evenOdd bool) []float32 {
	d.packs.mutex.Lock()
	defer d.packs.mutex.Unlock()
	for _, p := range d.packs.made {
		if p.cols == cols && p.evenOdd == evenOdd {
			return p.values
		}
	}
	_, total := d.Shape()
	p := pack{cols, evenOdd, alignedFloats((total + cols - 1) / cols * cols * d.Rank)}
	workers := 1
	if total*d.Rank >= sharedFactors {
		workers = 0 // as many as there are processors
	}
	deal(total, cols, workers, func(first, n int) {
		for end := first + n; first < end; first += cols {
			p.panel(d, first, min(cols, end-first))
		}
	})
	d.packs.made = append(d.packs.made, p)
	return p.values
}

// panel packs n columns from first on.
func (p *pack) panel(d *Delta, first, n int) {
	values := p.values[first*d.Rank:][:p.cols*d.Rank]
	switch {
	case !p.evenOdd && d.FanInFanOut:
		packApart(values, p.cols, d.SB[first*d.Rank:], d.Rank, n, d.Rank)
	case !p.evenOdd:
		packTogether(values, p.cols, d.A[first:], d.In, n, d.Rank)
	case d.FanInFanOut:
		packApart(values, p.cols, d.SB[first*d.Rank:], 2*d.Rank, (n+1)/2, d.Rank)
		if n > 1 {
			packApart(values[p.cols/2:], p.cols, d.SB[(first+1)*d.Rank:], 2*d.Rank, n/2, d.Rank)
		}
	default:
		for k := range d.Rank {
			step, row := values[k*p.cols:][:p.cols], d.A[k*d.In+first:][:n]
			even, odd := step[:p.cols/2], step[p.cols/2:]
			for i := range n / 2 {
				even[i], odd[i] = row[2*i], row[2*i+1]
			}
			if n%2 > 0 {
				even[n/2] = row[n-1]
			}
		}
	}
}
