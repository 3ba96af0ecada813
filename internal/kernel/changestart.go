package kernel

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sort"
)

// StartRow says that a stored row of a matrix begins as row At of the start.
type StartRow struct{ Row, At int }

// NewStartRows sorts the rows that a start holds, in its order, of a matrix of so many rows. It fails on a row that the matrix does not have, and on
// one that comes twice.
func NewStartRows(held []int64, rows int) ([]StartRow, error) {
	sorted := make([]StartRow, len(held))
	for at, row := range held {
		if row < 0 || row >= int64(rows) {
			return nil, fmt.Errorf("row %d of a matrix of %d rows", row, rows)
		}
		sorted[at] = StartRow{int(row), at}
	}
	slices.SortFunc(sorted, func(a, b StartRow) int { return cmp.Compare(a.Row, b.Row) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i].Row == sorted[i-1].Row {
			return nil, fmt.Errorf("row %d comes twice", sorted[i].Row)
		}
	}
	return sorted, nil
}

// startRows are those of StartRows that are among stored rows [first, first+rows).
func (c *Change) startRows(first, rows int) []StartRow {
	from := sort.Search(len(c.StartRows), func(i int) bool { return c.StartRows[i].Row >= first })
	n := sort.Search(len(c.StartRows)-from, func(i int) bool { return c.StartRows[from+i].Row >= first+rows })
	return c.StartRows[from:][:n]
}

// StartBytes is how many bytes of the start belong to stored rows [first, first+rows).
func (c *Change) StartBytes(first, rows int) int {
	if c.StartRows != nil {
		rows = len(c.startRows(first, rows))
	}
	return rows * c.Cols * c.Start.Size()
}

// ReadStart reads the bytes of the start that belong to stored rows [first, first+rows) to dst, StartBytes long: the start's rows, by the row of the
// matrix. start is the whole start, as it is stored.
func (c *Change) ReadStart(dst []byte, start io.ReaderAt, first, rows int) error {
	if n := c.StartBytes(first, rows); len(dst) != n {
		return fmt.Errorf("room for %d bytes of the start of rows %d to %d, which has %d", len(dst), first, first+rows-1, n)
	}
	stride := c.Cols * c.Start.Size()
	read := func(n, at int) error {
		part := dst[:n*stride]
		dst = dst[len(part):]
		if got, err := start.ReadAt(part, int64(at)*int64(stride)); got < len(part) {
			return err
		}
		return nil
	}
	if c.StartRows == nil {
		return read(rows, first)
	}
	for held := c.startRows(first, rows); len(held) > 0; {
		n := 1
		for n < len(held) && held[n].At == held[0].At+n {
			n++
		}
		if err := read(n, held[0].At); err != nil {
			return err
		}
		held = held[n:]
	}
	return nil
}
