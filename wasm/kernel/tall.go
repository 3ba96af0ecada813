package kernel

import (
	"math"
	"sync/atomic"
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
			t.joined.fold(run.r, t.cols, keep)
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
		if spare == nil || keep {
			spare = newColumns((last-first+blocks-1)/blocks, t.cols)
		}
		block := make(columns, t.cols)
		for j := range block {
			block[j] = spare[j][:to-from]
		}
		t.load(block, from)
		if b > 0 {
			t.runs[i].fold(block, to-from, keep)
			continue
		}
		h := factorize(block, to-from)
		t.runs[i].r = h.r()
		if keep {
			t.runs[i].first = h
		}
	}
}

// load fills a block with the rows from first on.
func (t *tall) load(block columns, first int) {
	if t.transposed {
		for j, column := range block {
			for i, v := range t.source.Row(j)[first : first+len(column)] {
				column[i] = float64(t.factor * v)
			}
		}
		return
	}
	for i := range block[0] {
		for j, v := range t.source.Row(first + i) {
			block[j][i] = float64(t.factor * v)
		}
	}
}

// fold takes over a block of so many rows.
func (p *tallPart) fold(block columns, rows int, keep bool) {
	f := fold{work: block, tau: make([]float64, len(block))}
	for j, v := range block {
		f.tau[j] = foldReflector(&p.r[j][j], v[:rows])
		f.reflect(j, j, p.r[j+1:], block[j+1:])
	}
	if keep {
		p.folded = append(p.folded, f)
	}
}

// foldReflector is reflector for a vector whose first entry lies elsewhere.
func foldReflector(head *float64, tail []float64) (tau float64) {
	squares := dot(tail, tail)
	if squares < negligible {
		clear(tail)
		return 0
	}
	norm := math.Sqrt(float64(*head**head) + squares)
	if *head > 0 {
		norm = -norm // away from head, so that nothing cancels
	}
	inverse := 1 / (*head - norm)
	for i := range tail {
		tail[i] *= inverse
	}
	tau = (norm - *head) / norm
	*head = norm
	return tau
}

// reflect applies reflection j to the entries at row of the columns of upper and to the columns of x below them, two at a time.
func (f *fold) reflect(j, row int, upper, x columns) {
	v, tau := f.work[j], f.tau[j]
	if tau == 0 {
		return
	}
	l := 0
	for ; l+1 < len(x); l += 2 {
		a, b := dot2(v, x[l], x[l+1])
		a, b = float64(tau*(upper[l][row]+a)), float64(tau*(upper[l+1][row]+b))
		upper[l][row] -= a
		upper[l+1][row] -= b
		axpy2(-a, -b, v, x[l], x[l+1])
	}
	for ; l < len(x); l++ {
		a := float64(tau * (upper[l][row] + dot(v, x[l])))
		upper[l][row] -= a
		axpy(-a, v, x[l])
	}
}

// r returns R, k x cols with k = min(rows, cols), by columns.
func (t *tall) r() columns { return t.joined.r }

// k is the number of rows of R.
func (t *tall) k() int { return min(t.rows, t.cols) }

// apply returns Q x for the columns of x, each of length k or less: the missing entries are zero.
func (t *tall) apply(x columns) *Matrix {
	result := NewMatrix(t.rows, len(x))
	heads := make([]columns, len(t.runs)) // what each run's triangle stands for
	heads[0] = newColumns(t.k(), len(x))
	for c, column := range x {
		copy(heads[0][c], column)
	}
	for i := len(t.runs) - 1; i > 0; i-- {
		heads[i] = newColumns(t.cols, len(x))
		t.joined.folded[i-1].unfold(heads[0], heads[i])
	}
	var next atomic.Int64
	products := float64(t.rows) * float64(t.cols) * float64(len(x))
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
		for c, column := range x {
			for row, v := range column {
				result.Data[(from+row)*result.Cols+c] = v
			}
		}
	}
	for b := blocks - 1; b > 0; b-- {
		from, to := bounds(first, last-first, b, blocks)
		x := newColumns(to-from, len(head))
		run.folded[b-1].unfold(head, x)
		write(x, from)
	}
	write(run.first.apply(head), first)
}

// unfold turns the entries head of a folded triangle into those of the triangle before and of the block, whose columns x are zero.
func (f *fold) unfold(head, x columns) {
	for j := len(f.tau) - 1; j >= 0; j-- {
		f.reflect(j, j, head, x)
	}
}
