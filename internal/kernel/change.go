package kernel

import (
	"fmt"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Change is what a merge makes of one stored matrix of Rows x Cols:
//
//	W' = round(gain · (f32(start) + delta))
//
// where start is W, or what is to stand in its place; delta is the products of Deltas, or dense, or nothing at all, and then nothing is added; and a
// gain is 1, or one of Gains. Each operation is in f32 and rounds to nearest even, and there is one more rounding into W's dtype, which is BF16, F16
// or F32. A NaN of the start stays that NaN, quiet; a NaN that arises is the quiet NaN with no payload.
//
// A Change that is not written to is safe for concurrent use.
type Change struct {
	Rows, Cols int
	// Deltas are added to equal blocks of stored rows, one after the other; each has the shape of its block. NewDeltas makes them.
	Deltas []*Delta
	// Dense is the dtype of a delta of as many entries as the matrix, f32(Scale)·f32(dense[i,j]), where that is in place of Deltas.
	Dense tensor.DType
	Scale float32
	// Start is the dtype of the entries that stand in place of W's: all, or those of StartRows. Without one, W's own entries are the start.
	Start     tensor.DType
	StartRows []StartRow // by Row, as NewStartRows returns them; nil: all rows
	// Gains scale what belongs to one output: a stored row or, OfColumns, an equal run of adjacent stored columns, of which there are as many as gains.
	Gains     []float32
	OfColumns bool
}

// NewDeltas returns the deltas of equal blocks of a stored matrix, whose factors lie one after the other: a is blocks·rank x in, and b blocks·out x
// rank. It fails as NewDelta does.
func NewDeltas(
	a []byte, aType tensor.DType, b []byte, bType tensor.DType, blocks, rank, in, out int, scale float64, fanInFanOut bool,
) ([]*Delta, error) {
	if blocks < 1 || len(a)%blocks != 0 || len(b)%blocks != 0 {
		return nil, fmt.Errorf("factors of %d and %d bytes are not those of %d equal blocks", len(a), len(b), blocks)
	}
	deltas := make([]*Delta, blocks)
	a1, b1 := len(a)/blocks, len(b)/blocks
	for i := range deltas {
		var err error
		if deltas[i], err = NewDelta(a[i*a1:][:a1], aType, b[i*b1:][:b1], bType, rank, in, out, scale, fanInFanOut); err != nil {
			return nil, err
		}
	}
	return deltas, nil
}

// Check fails where the parts of a change do not fit each other.
func (c *Change) Check() error {
	switch {
	case c.Rows < 1 || c.Cols < 1:
		return fmt.Errorf("a matrix of %d x %d has no entries", c.Rows, c.Cols)
	case len(c.Deltas) > 0 && c.Dense != tensor.Invalid:
		return fmt.Errorf("a change has factors, or a dense delta, not both")
	case len(c.Deltas) > 0 && c.Rows%len(c.Deltas) != 0:
		return fmt.Errorf("%d rows are not %d equal blocks", c.Rows, len(c.Deltas))
	case c.Dense != tensor.Invalid && !c.Dense.IsWeight():
		return fmt.Errorf("dense: dtype %v is not one that can be computed with", c.Dense)
	case c.Scale-c.Scale != 0:
		return fmt.Errorf("scale %g is not a finite f32", c.Scale)
	case c.Start != tensor.Invalid && !c.Start.IsWeight():
		return fmt.Errorf("start: dtype %v is not one that can be computed with", c.Start)
	case c.Start == tensor.Invalid && c.StartRows != nil:
		return fmt.Errorf("rows of a start that there is none of")
	case c.Gains != nil && !c.OfColumns && len(c.Gains) != c.Rows:
		return fmt.Errorf("%d gains for %d rows", len(c.Gains), c.Rows)
	case c.Gains != nil && c.OfColumns && (len(c.Gains) == 0 || c.Cols%len(c.Gains) != 0):
		return fmt.Errorf("%d columns are not %d equal runs", c.Cols, len(c.Gains))
	}
	for _, d := range c.Deltas {
		if rows, cols := d.Shape(); rows != c.Rows/len(c.Deltas) || cols != c.Cols {
			return fmt.Errorf("a delta of %d x %d for %d x %d", rows, cols, c.Rows/len(c.Deltas), c.Cols)
		}
	}
	return nil
}

// MergeRows merges stored rows [first, first+rows). src is the bytes of those rows of W, and dst gets those of W': they are the same memory, or do
// not overlap. dense is the bytes of those rows of the dense delta. start is the bytes of the start's rows among them, by row: StartBytes of them.
// dense and start are empty where there is none, and do not overlap dst. Blocks of rows can be merged concurrently.
//
// Counts.Changed is of entries that differ from W; Counts.NonFinite is of those that are not finite where the start is.
//
// It fails, before it writes, on another dtype, on parts, rows or lengths that do not fit, and on a gain that is not finite.
func (c *Change) MergeRows(dst, src, start, dense []byte, dtype tensor.DType, first, rows int) (Counts, error) {
	m, err := c.begin(dst, src, start, dense, dtype, first, rows)
	if err != nil {
		return Counts{}, err
	}
	if c.Gains != nil {
		gains, at := c.Gains, 0
		if !c.OfColumns {
			gains, at = gains[first:first+rows], first
		}
		for i, g := range gains {
			if g-g != 0 {
				return Counts{}, fmt.Errorf("the gain of output %d is %g", at+i, g)
			}
		}
	} else if len(c.Deltas) > 0 && c.Start == tensor.Invalid {
		return m.mergeBlocks(first, rows)
	}
	return m.merge(), nil
}

// SquareSums adds the squares of the entries of V = f32(start) + delta, rounded to f32, at stored rows [first, first+rows) to sums, which Sums made.
// The bytes are those of MergeRows. The sums are f64, in an order that gives the same bits on every machine: along a stored row, entry j goes to lane
// j mod 16, and the lanes are added pairwise at distance 8, 4, 2 and 1; along a stored column, row after row, for which the rows must come in order
// where OfColumns. Otherwise blocks of rows can be summed concurrently.
//
// It fails, before it adds, on what MergeRows refuses, and on other than the right number of sums.
func (c *Change) SquareSums(sums []float64, src, start, dense []byte, dtype tensor.DType, first, rows int) error {
	if n := c.sums(); len(sums) != n {
		return fmt.Errorf("%d sums for %d rows or columns", len(sums), n)
	}
	m, err := c.begin(src, src, start, dense, dtype, first, rows)
	if err != nil {
		return err
	}
	if c.OfColumns {
		m.squareColumns(sums)
		return nil
	}
	m.squareRows(sums)
	return nil
}

// Sums returns the zeros that SquareSums adds to: one for each stored row, or column where OfColumns.
func (c *Change) Sums() []float64 { return make([]float64, c.sums()) }

func (c *Change) sums() int {
	if c.OfColumns {
		return c.Cols
	}
	return c.Rows
}
