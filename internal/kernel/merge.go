package kernel

import (
	"fmt"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Counts tells what a merge did to the entries it covered.
type Counts struct {
	Changed   int64 // entries whose stored bits changed
	NonFinite int64 // entries that became NaN or infinite although W was finite
}

// Add returns the counts of both.
func (c Counts) Add(other Counts) Counts {
	return Counts{Changed: c.Changed + other.Changed, NonFinite: c.NonFinite + other.NonFinite}
}

// MergeRows merges stored rows [first, first+rows) of W: dst = round(f32(src) + delta), one rounding to nearest even into dtype, which is
// BF16, F16 or F32. src and dst are the bytes of those rows; they are the same memory or do not overlap. A NaN of W stays that NaN, quiet;
// a NaN that arises is the quiet NaN with no payload. Blocks of rows can be merged concurrently.
//
// It fails, before it writes, on another dtype and on rows or lengths that do not fit the delta's shape.
func MergeRows(dst, src []byte, dtype tensor.DType, d *Delta, first, rows int) (Counts, error) {
	m, err := newMerging(dst, src, dtype, d, first, rows)
	if err != nil {
		return Counts{}, err
	}
	return m.rows(first, rows), nil
}

// ParallelMergeRows is MergeRows with its rows dealt to goroutines, which have ended when it returns: workers of them, or GOMAXPROCS where workers
// is 0 or less. Since Go 1.25 that follows the CPU limit of the process's cgroup. The bytes and the counts are those of MergeRows whatever
// workers is.
func ParallelMergeRows(dst, src []byte, dtype tensor.DType, d *Delta, first, rows, workers int) (Counts, error) {
	m, err := newMerging(dst, src, dtype, d, first, rows)
	if err != nil {
		return Counts{}, err
	}
	var total counter
	deal(rows, m.granule(), workers, func(from, n int) { total.add(m.rows(first+from, n)) })
	return total.counts(), nil
}

// RowsTogether is how many stored rows are merged in little more time than one: where a weight is merged in blocks, they should have a multiple.
func RowsTogether() int { return max(1, active.merge.rows) }

// merging is a merge of some stored rows.
type merging struct {
	storage
	d        *Delta
	dst, src []byte // of the rows from start on
	start    int
	stride   int // bytes of a row
	cols     int
	kernels  *mergeKernels
	strip    mergeStrip
	columns  []float32 // packed for strip
}

// newRows checks the arguments of a merge.
func newRows(dst, src []byte, dtype tensor.DType, d *Delta, first, rows int) (merging, error) {
	total, cols := d.Shape()
	if first < 0 || rows < 0 || first > total-rows {
		return merging{}, fmt.Errorf("rows %d to %d of a weight of %d rows", first, first+rows-1, total)
	}
	as, err := storedAs(dtype)
	if err != nil {
		return merging{}, err
	}
	if len(src) != rows*cols*as.size || len(dst) != len(src) {
		return merging{}, fmt.Errorf("%d and %d bytes are not %d rows of %d %v", len(src), len(dst), rows, cols, dtype)
	}
	return merging{storage: as, d: d, dst: dst, src: src, start: first, stride: cols * as.size, cols: cols, kernels: &active.merge}, nil
}

func newMerging(dst, src []byte, dtype tensor.DType, d *Delta, first, rows int) (merging, error) {
	m, err := newRows(dst, src, dtype, d, first, rows)
	if err != nil {
		return m, err
	}
	if m.kernels.rows == 0 || rows == 0 {
		return m, nil
	}
	switch dtype {
	case tensor.BF16:
		m.strip = m.kernels.bf16
	case tensor.F16:
		m.strip = m.kernels.f16
	case tensor.F32:
		m.strip = m.kernels.f32
	}
	m.columns = d.packedColumns(m.kernels.cols, m.kernels.evenOdd && dtype == tensor.BF16)
	return m, nil
}

// granule is what the number of rows in a block should be a multiple of.
func (m *merging) granule() int { return RowsTogether() }

// rows merges stored rows [first, first+rows). It is safe to call concurrently for other rows.
func (m *merging) rows(first, rows int) (c Counts) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if m.kernels.rows == 0 {
		return m.portable(s, first, rows, 0, m.cols)
	}
	t := tiling{m.kernels.rows, m.kernels.cols}
	t.eachStrip(s, m.d, first, rows, 0, m.cols, func(factors []float32, row, n, col, width int) {
		c = c.Add(m.mergeStrip(s, factors, row, n, col, width))
	})
	return c
}

// mergeStrip merges n rows, at most the tile's, at columns [col, col+width).
func (m *merging) mergeStrip(s *scratch, factors []float32, row, n, col, width int) (c Counts) {
	k := m.kernels
	if n == k.rows {
		for width >= k.cols {
			panels, at := width/k.cols, m.at(row, col)
			done, changed := m.strip(m.d.Rank, panels, &factors[0], &m.columns[col*m.d.Rank], &m.dst[at], &m.src[at], m.stride)
			c.Changed += int64(changed)
			col, width = col+done*k.cols, width-done*k.cols
			if done < panels {
				c = c.Add(m.portable(s, row, n, col, k.cols))
				col, width = col+k.cols, width-k.cols
			}
		}
	}
	for width > 0 {
		part := min(width, paddedPanels*k.cols)
		c = c.Add(m.mergePadded(s, factors, row, n, col, part))
		col, width = col+part, width-part
	}
	return c
}

// paddedPanels is how many panels are merged at a time where the tile is larger than what is left.
const paddedPanels = 16

// mergePadded merges by way of a copy that is padded with zeros. Those stay zeros, which is no change, or they become NaN together with an entry
// of the weight.
func (m *merging) mergePadded(s *scratch, factors []float32, row, n, col, width int) Counts {
	k := m.kernels
	panels := (width + k.cols - 1) / k.cols
	stride := panels * k.cols * m.size
	tile := s.bytes(k.rows * stride)
	clear(tile)
	for i := range n {
		copy(tile[i*stride:], m.src[m.at(row+i, col):][:width*m.size])
	}
	done, changed := m.strip(m.d.Rank, panels, &factors[0], &m.columns[col*m.d.Rank], &tile[0], &tile[0], stride)
	if done < panels {
		return m.portable(s, row, n, col, width)
	}
	for i := range n {
		copy(m.dst[m.at(row+i, col):][:width*m.size], tile[i*stride:])
	}
	return Counts{Changed: int64(changed)}
}

// at is where an entry is in dst and src.
func (m *merging) at(row, col int) int { return (row-m.start)*m.stride + col*m.size }

// portable merges without kernels.
func (m *merging) portable(s *scratch, row, rows, col, width int) (c Counts) {
	m.d.portableRows(s, row, rows, col, col+width, func(v []float32, row, col int) {
		from := m.at(row, col)
		to := from + len(v)*m.size
		m.add(v, m.src[from:to])
		c = c.Add(m.store(m.dst[from:to], m.src[from:to], v))
	})
	return c
}
