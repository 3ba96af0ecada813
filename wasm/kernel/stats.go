package kernel

import (
	"math"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Stats looks at every value of w once. stored is the type that w's values have where they are stored: it decides what is subnormal. Sums
// are taken along rows as kernel.TakeCensus does, where zeros and what is not finite add nothing, then over the rows of a block, and over the
// blocks, with compensation.
func Stats(w Rows, stored tensor.DType) (abi.Stats, error) {
	if err := checkRows(w); err != nil {
		return abi.Stats{}, err
	}
	c := newCensus(w, stored)
	if err := eachBlockParallel(w, c.add); err != nil {
		return abi.Stats{}, err
	}
	return c.result(), nil
}

// census is Stats under way. Blocks may come in any order, and from several goroutines.
type census struct {
	rows, cols int
	tiny       float64 // the smallest magnitude that is not subnormal
	blocks     []blockCensus
	workers    []censusWorker
}

// blockCensus is what there is of a block. Its extrema are infinite where nothing is finite, and zeros are not among them.
type blockCensus struct {
	abi.Stats
	sum, squares compensated
}

// censusWorker is what one goroutine needs.
type censusWorker struct {
	used   []bool // columns that have a value other than zero
	every  bool   // all of used
	values []float64
}

func newCensus(w Rows, stored tensor.DType) *census {
	rows, cols := w.Shape()
	height := blockRows(rows, cols)
	return &census{
		rows: rows, cols: cols, tiny: kernel.SmallestNormal(stored),
		blocks: make([]blockCensus, (rows+height-1)/height), workers: make([]censusWorker, passWorkers(rows, cols)),
	}
}

// newBlockCensus is that of no rows.
func newBlockCensus() blockCensus {
	return blockCensus{Stats: abi.Stats{FirstNonFinite: -1, Min: math.Inf(1), Max: math.Inf(-1)}}
}

// add counts the rows of a block.
func (c *census) add(worker, at int, b block) {
	w := &c.workers[worker]
	if w.used == nil {
		w.used, w.values = make([]bool, c.cols), make([]float64, c.cols)
	}
	t := newBlockCensus()
	for i := range b.rows {
		row := w.row(b, i, c.tiny)
		if row.FirstNonFinite >= 0 {
			row.FirstNonFinite += int64(b.first+i) * int64(c.cols)
		}
		if row.Zero == int64(c.cols) {
			row.ZeroRows++
		}
		t.merge(row)
		t.sum.add(row.Sum)
		t.squares.add(row.SumSquares)
	}
	c.blocks[at] = t
}

// merge adds what comes after in the matrix, but for the sums.
func (t *blockCensus) merge(s abi.Stats) {
	t.NaN += s.NaN
	t.Inf += s.Inf
	t.Zero += s.Zero
	t.Subnormal += s.Subnormal
	t.ZeroRows += s.ZeroRows
	if t.FirstNonFinite < 0 {
		t.FirstNonFinite = s.FirstNonFinite
	}
	t.Min, t.Max = min(t.Min, s.Min), max(t.Max, s.Max)
}

// row counts row i of a block.
func (w *censusWorker) row(b block, i int, tiny float64) abi.Stats {
	found, ordinary := b.census(i, tiny)
	if !ordinary {
		return w.mixed(b.row(w.values, i, 0, b.cols), tiny)
	}
	if !w.every {
		w.every = true
		for j := range w.used {
			w.used[j] = true
		}
	}
	return abi.Stats{FirstNonFinite: -1, Min: found.Min, Max: found.Max, Sum: found.Sum, SumSquares: found.SumSquares}
}

// census is that of row i.
func (b block) census(i int, tiny float64) (kernel.Census, bool) {
	if b.bytes == nil {
		return kernel.ValuesCensus(b.row(nil, i, 0, b.cols), tiny)
	}
	stride := b.cols * b.dtype.Size()
	return kernel.TakeCensus(b.bytes[i*stride:(i+1)*stride], b.dtype)
}

// mixed is row for a row with zeros, subnormals, or values that are not finite.
func (w *censusWorker) mixed(row []float64, tiny float64) abi.Stats {
	s := abi.Stats{FirstNonFinite: -1, Min: math.Inf(1), Max: math.Inf(-1)}
	finite := w.values[:len(row)] // may be row
	for j, v := range row {
		finite[j] = v
		if v == 0 {
			s.Zero++
			continue
		}
		w.used[j] = true
		if v-v != 0 {
			if s.FirstNonFinite < 0 {
				s.FirstNonFinite = int64(j)
			}
			if v != v {
				s.NaN++
			} else {
				s.Inf++
			}
			finite[j] = 0 // adds nothing to any sum
			continue
		}
		if math.Abs(v) < tiny {
			s.Subnormal++
		}
		s.Min, s.Max = min(s.Min, v), max(s.Max, v)
	}
	sums, _ := kernel.ValuesCensus(finite, tiny)
	s.Sum, s.SumSquares = sums.Sum, sums.SumSquares
	return s
}

func (c *census) result() abi.Stats {
	total := newBlockCensus()
	for _, b := range c.blocks {
		total.merge(b.Stats)
		total.sum.add(b.sum.value())
		total.squares.add(b.squares.value())
	}
	s := total.Stats
	s.Count = int64(c.rows) * int64(c.cols)
	s.ZeroCols = int64(c.unusedColumns())
	if s.Zero > 0 {
		s.Min, s.Max = min(s.Min, 0), max(s.Max, 0)
	}
	if s.NaN+s.Inf == s.Count {
		s.Min, s.Max = 0, 0
	}
	s.Sum, s.SumSquares = total.sum.value(), total.squares.value()
	return s
}

func (c *census) unusedColumns() int {
	unused := 0
	for j := range c.cols {
		used := false
		for _, w := range c.workers {
			used = used || w.used != nil && w.used[j]
		}
		if !used {
			unused++
		}
	}
	return unused
}

// compensated is Neumaier's sum: what each addition loses is summed beside.
type compensated struct{ sum, lost float64 }

func (c *compensated) add(v float64) {
	next := c.sum + v
	switch {
	case next-next != 0: // infinite: nothing to compensate
	case math.Abs(c.sum) >= math.Abs(v):
		c.lost += (c.sum - next) + v
	default:
		c.lost += (v - next) + c.sum
	}
	c.sum = next
}

func (c *compensated) value() float64 { return c.sum + c.lost }
