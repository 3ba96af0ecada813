package interference

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// entries looks at single entries of delta W: at all of them where they are few, else at rows drawn at random, the same for every adapter.
// The buffers are used again for each weight.
type entries struct {
	density       float64 // share of the entries that trimming keeps
	exact, sample int     // entries of a weight up to which all are looked at, and how many of a larger one

	target  diag.Target
	rows    []int // to look at, ascending
	own     trimmed
	ready   bool // own is that of target
	theirs  trimmed
	scratch []float64
}

// trimmed is delta W of some rows, and the magnitude from which on trimming keeps an entry.
type trimmed struct {
	values    []float64
	threshold float64
}

// leastRows is how many rows a sample has at least: fewer say nothing of the error.
const leastRows = 16

// begin chooses the rows of one weight.
func (e *entries) begin(target diag.Target) {
	e.target, e.ready = target, false
	stream := splitmix.New("interference rows", target.Name, 0)
	e.rows = stream.Sample(e.count(target.Out, target.In), target.Out)
}

// count is how many rows of a weight to look at: never more entries than of a weight that is looked at whole, but one row always.
func (e *entries) count(out, in int) int {
	whole := e.exact / in
	if out <= whole {
		return out
	}
	return min(max(e.sample/in, leastRows), max(whole, 1), out)
}

// compare counts how the trimmed deltas of the target and of a peer's agree.
func (e *entries) compare(pair diag.Target) (conflict, error) {
	if !e.ready {
		if err := e.trim(e.target, &e.own); err != nil {
			return conflict{}, err
		}
		e.ready = true
	}
	if err := e.trim(pair, &e.theirs); err != nil {
		return conflict{}, err
	}
	c := newConflict(len(e.rows), pair.Out)
	for first := 0; first < len(e.own.values); first += pair.In {
		c.add(e.own.row(first, pair.In), e.theirs.row(first, pair.In))
	}
	return c, nil
}

func (t *trimmed) row(first, n int) trimmed { return trimmed{t.values[first : first+n], t.threshold} }

// keeps tells whether trimming keeps a value. A zero changes nothing and is never kept, though more than density may be zero.
func (t *trimmed) keeps(value float64) bool { return value != 0 && math.Abs(value) >= t.threshold }

// trim computes the rows of delta W and the threshold, the exact quantile of their magnitudes: of TIES, which trims each delta W by itself.
func (e *entries) trim(target diag.Target, out *trimmed) error {
	n := len(e.rows) * target.In
	out.values = resized(out.values, n)
	// A block of rows is 2 MiB; the host holds it beside what arrives here.
	step := max(1, (1<<18)/target.In)
	for first := 0; first < len(e.rows); first += step {
		rows := e.rows[first:min(first+step, len(e.rows))]
		if err := e.multiply(target, rows, out.values[first*target.In:][:len(rows)*target.In]); err != nil {
			return err
		}
	}
	e.scratch = resized(e.scratch, n)
	for i, value := range out.values {
		e.scratch[i] = math.Abs(value)
	}
	stream := splitmix.New("interference pivots", target.Name, 0)
	out.threshold = largest(e.scratch, min(max(int(e.density*float64(n)), 1), n), &stream)
	return nil
}

// multiply fills dst with rows of delta W.
func (e *entries) multiply(target diag.Target, rows []int, dst []float64) error {
	block := make([]float64, len(rows)*target.Rank)
	for i, row := range rows {
		if err := target.B().Read64(block[i*target.Rank:][:target.Rank], row*target.Rank); err != nil {
			return err
		}
	}
	b, err := diag.Put(len(rows), target.Rank, block)
	if err != nil {
		return err
	}
	defer b.Drop()
	product, err := diag.MatMul(b, target.A(), diag.TransposeNone)
	if err != nil {
		return err
	}
	defer product.Drop()
	if err := product.Read64(dst, 0); err != nil {
		return err
	}
	for i := range dst {
		dst[i] *= target.Scale
	}
	return nil
}

func resized(buffer []float64, n int) []float64 {
	if cap(buffer) < n {
		return make([]float64, n)
	}
	return buffer[:n]
}

// largest gives the k-th largest of x, which it reorders. Pivots are drawn at random, so that no order of the values makes it slow.
func largest(x []float64, k int, stream *splitmix.Stream) float64 {
	for {
		pivot := x[stream.Uint64()%uint64(len(x))]
		above, below := 0, len(x) // x[:above] is above the pivot, x[below:] below it, and between above and i equal to it
		for i := 0; i < below; {
			switch {
			case x[i] > pivot:
				x[i], x[above] = x[above], x[i]
				above++
				i++
			case x[i] < pivot:
				below--
				x[i], x[below] = x[below], x[i]
			default:
				i++
			}
		}
		switch {
		case k <= above:
			x = x[:above]
		case k <= below:
			return pivot
		default:
			x, k = x[below:], k-below
		}
	}
}
