package interference

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/rows"
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
	scratch []uint32
}

// trimmed is delta W of some rows but for its scale, which changes no order, and what trimming keeps of it.
type trimmed struct {
	words []word // row after row
	least word   // the least magnitude that is kept
	flip  word   // the signs, where the scale turns them
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
	n := wordsOf(pair.In)
	for first := 0; first < len(e.own.words); first += n {
		c.add(e.own.row(first, n), e.theirs.row(first, n))
	}
	return c, nil
}

func (t *trimmed) row(first, n int) trimmed {
	return trimmed{t.words[first : first+n], t.least, t.flip}
}

// trim computes the rows of delta W and the threshold, the exact quantile of their magnitudes: of TIES, which trims each delta W by itself.
func (e *entries) trim(target diag.Target, out *trimmed) error {
	stride := wordsOf(target.In)
	out.words = resized(out.words, len(e.rows)*stride)
	// A block of rows is 2 MiB on the host.
	step := max(1, (1<<18)/target.In)
	for first := 0; first < len(e.rows); first += step {
		rows := e.rows[first:min(first+step, len(e.rows))]
		if err := e.multiply(target, rows, out.words[first*stride:][:len(rows)*stride]); err != nil {
			return err
		}
	}
	if target.Scale == 0 {
		clear(out.words)
	}
	out.flip = 0
	if math.Signbit(target.Scale) {
		out.flip = signs
	}
	n := len(e.rows) * target.In
	stream := splitmix.New("interference pivots", target.Name, 0)
	// A zero changes nothing and is never kept, though more than density may be zero.
	out.least = both(max(1, largest(out.words, min(max(int(e.density*float64(n)), 1), n), &e.scratch, &stream)))
	return nil
}

// multiply fills words with rows of B A, each row from a word of its own on.
func (e *entries) multiply(target diag.Target, some []int, words []word) error {
	product, err := rows.Product(target, some)
	if err != nil {
		return err
	}
	defer product.Drop()
	if target.In%2 == 0 {
		return product.Read32(halves(words), 0)
	}
	stride := wordsOf(target.In)
	for i := range some {
		row := words[i*stride:][:stride]
		row[stride-1] = 0
		if err := product.Read32(halves(row)[:target.In], i*target.In); err != nil {
			return err
		}
	}
	return nil
}

func resized[T any](buffer []T, n int) []T {
	if cap(buffer) < n {
		return make([]T, n)
	}
	return buffer[:n]
}
