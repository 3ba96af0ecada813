package kernel

import (
	"sync/atomic"

	"github.com/tenon-ml/tenon/internal/kernel"
)

// A factor of a large weight is thousands of rows by a few columns. It is factorised in blocks of rows that stay in the cache while all
// reflections pass by: a run is blocks one below the other, each folded into the triangle of those above it, and the triangles of
// all runs are folded into the first one. How the rows are cut depends on the shape only.
const (
	tallBlock = 256 // rows of a block, or twice the columns where that is more
	tallRun   = 512 // rows of a run, or eight times the columns where that is more
)

// tall is a QR factorisation of a matrix with such a shape. One with few rows is a plain Householder factorisation, to the bit.
type tall struct {
	source     *Matrix
	transposed bool
	factor     float64 // a power of two that everything is multiplied by
	rows, cols int
	runs       []tallPart
	joined     tallPart // of the triangles
}

// tallPart is a stack of blocks: the first with its plain factorisation, the others folded in.
type tallPart struct {
	first  *householder
	folded []fold
	r      columns // of all blocks together
}

// fold says how a block was folded into a triangle: reflection j is of row j of the triangle and all of column j of the block.
type fold struct {
	work columns // column j is v_j without its entry of the triangle, which is 1
	tau  []float64
}

// newTall prepares the factorisation of factor times m or its transpose.
func newTall(m *Matrix, transposed bool, factor float64) *tall {
	t := &tall{source: m, transposed: transposed, factor: factor, rows: m.Rows, cols: m.Cols}
	if transposed {
		t.rows, t.cols = t.cols, t.rows
	}
	t.runs = make([]tallPart, max(1, t.rows/max(tallRun, 8*t.cols)))
	return t
}

// factorizeAll factorises several matrices, whose runs share the processors. Without keep there is R and no Q.
func factorizeAll(keep bool, all ...*tall) {
	type task struct {
		*tall
		run int
	}
	var tasks []task
	var products float64
	for _, t := range all {
		products += float64(float64(t.rows) * float64(t.cols) * float64(t.cols))
		for i := range t.runs {
			tasks = append(tasks, task{t, i})
		}
	}
	var next atomic.Int64
	parallel(workers(len(tasks), products), func(int) {
		for at := next.Add(1) - 1; at < int64(len(tasks)); at = next.Add(1) - 1 {
			tasks[at].factorizeRun(tasks[at].run, keep)
		}
	})
	for _, t := range all {
		t.joined.r = t.runs[0].r
		for _, run := range t.runs[1:] {
			t.joined.fold(run.r, keep)
		}
	}
}

// bounds gives the rows of part i of n equal parts of the rows from first on.
func bounds(first, rows, i, n int) (from, to int) { return first + rows*i/n, first + rows*(i+1)/n }

// blocksOf is how many blocks a run of so many rows has.
func (t *tall) blocksOf(rows int) int { return max(1, rows/max(tallBlock, 2*t.cols)) }

func (t *tall) factorizeRun(i int, keep bool) {
	first, last := bounds(0, t.rows, i, len(t.runs))
	blocks := t.blocksOf(last - first)
	var spare columns
	for b := range blocks {
		from, to := bounds(first, last-first, b, blocks)
		if spare.cols == 0 || keep {
			spare = newColumns((last-first+blocks-1)/blocks, t.cols)
		}
		block := spare.above(to - from)
		t.load(block, from)
		if b > 0 {
			t.runs[i].fold(block, keep)
			continue
		}
		h := factorize(block)
		t.runs[i].r = h.r()
		if keep {
			t.runs[i].first = h
		}
	}
}

// load fills a block with the rows from first on.
func (t *tall) load(block columns, first int) {
	for j := range block.cols {
		if t.transposed {
			copy(block.column(j), t.source.Row(j)[first:])
		}
	}
	if !t.transposed {
		kernel.Transpose64(block.data, block.stride, t.source.Data[first*t.cols:], t.cols, block.rows, block.cols)
	}
	if t.factor != 1 {
		for j := range block.cols {
			kernel.Scale64(t.factor, block.column(j))
		}
	}
}

// fold takes over a block.
func (p *tallPart) fold(block columns, keep bool) {
	f := fold{work: block, tau: make([]float64, block.cols)}
	for first := 0; first < block.cols; first += panelCols {
		last := min(first+panelCols, block.cols)
		for j := first; j < last; j++ {
			f.tau[j] = foldReflector(&p.r.column(j)[j], block.column(j))
			reflect(block.column(j), f.tau[j], p.r.part(j+1, last).below(j), block.part(j+1, last))
		}
		if last < block.cols {
			f.applyPanel(first, true, p.r.part(last, block.cols), block.part(last, block.cols))
		}
	}
	if keep {
		p.folded = append(p.folded, f)
	}
}

// applyPanel applies the reflections of the panel that starts at column first to the columns of x below those of heads.
func (f *fold) applyPanel(first int, transposed bool, heads, x columns) {
	last := min(first+panelCols, len(f.tau))
	if (last-first)*x.cols < 64 { // too few for what it takes to gather them
		for i := range last - first {
			j := first + i
			if !transposed {
				j = last - 1 - i
			}
			reflect(f.work.column(j), f.tau[j], heads.below(j), x)
		}
		return
	}
	r := gatherReflectors(f.work.part(first, last), f.tau[first:last], true)
	r.apply(transposed, heads.below(first), x)
	r.release()
}

// r returns R, k x cols with k = min(rows, cols), by columns.
func (t *tall) r() columns { return t.joined.r }

// k is the number of rows of R.
func (t *tall) k() int { return min(t.rows, t.cols) }

// apply returns Q x for the columns of x, each of length k or less: the missing entries are zero.
func (t *tall) apply(x columns) *Matrix {
	result := NewMatrix(t.rows, x.cols)
	heads := make([]columns, len(t.runs)) // what each run's triangle stands for
	heads[0] = newColumns(t.k(), x.cols)
	heads[0].set(x)
	for i := len(t.runs) - 1; i > 0; i-- {
		heads[i] = newColumns(t.cols, x.cols)
		t.joined.folded[i-1].unfold(heads[0], heads[i])
	}
	var next atomic.Int64
	products := float64(t.rows) * float64(t.cols) * float64(x.cols)
	parallel(workers(len(t.runs), products), func(int) {
		for i := int(next.Add(1)) - 1; i < len(t.runs); i = int(next.Add(1)) - 1 {
			t.applyRun(result, heads[i], i)
		}
	})
	return result
}

// applyRun writes the rows of run i, and uses up head.
func (t *tall) applyRun(result *Matrix, head columns, i int) {
	first, last := bounds(0, t.rows, i, len(t.runs))
	run, blocks := &t.runs[i], t.blocksOf(last-first)
	write := func(x columns, from int) {
		kernel.Transpose64(result.Data[from*result.Cols:], result.Cols, x.data, x.stride, x.cols, x.rows)
	}
	spare := newColumns((last-first+blocks-1)/blocks, head.cols)
	for b := blocks - 1; b > 0; b-- {
		from, to := bounds(first, last-first, b, blocks)
		clear(spare.data)
		x := spare.above(to - from)
		run.folded[b-1].unfold(head, x)
		write(x, from)
	}
	_, to := bounds(first, last-first, 0, blocks)
	clear(spare.data)
	x := spare.above(to - first)
	x.set(head)
	run.first.applyTo(x)
	write(x, first)
}

// unfold turns the entries head of a folded triangle into those of the triangle before and of the block, whose columns x are zero.
func (f *fold) unfold(head, x columns) {
	for first := (len(f.tau) - 1) / panelCols * panelCols; first >= 0; first -= panelCols {
		f.applyPanel(first, false, head, x)
	}
}
