package sandbox

import (
	"encoding/binary"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/kernel"
)

// maxFormats is how many formats one call of rounding takes.
const maxFormats = 8

// update reads a target's factors for the kernels that add them to W, and returns W as it lies in its file beside them.
func (c *call) update(t *Target) (kernel.Stored, kernel.Update, error) {
	w := &stored{Source: t.Base, rows: t.Out, cols: t.In, transposed: t.FanInFanOut}
	update, err := c.updateRows(t, 0, t.Out)
	return w.rowsInFile(), update, err
}

// updateRows is update for rows [first, first+n) of B.
func (c *call) updateRows(t *Target, first, n int) (kernel.Update, error) {
	if err := c.room(2*t.Rank, t.In+n, 0); err != nil { // the factors, and a copy that is scaled or transposed
		return kernel.Update{}, err
	}
	b, a := kernel.NewMatrix(n, t.Rank), kernel.NewMatrix(t.Rank, t.In)
	if err := c.readF64(&stored{Source: t.B, rows: t.Out, cols: t.Rank}, b.Data, int64(first)*int64(t.Rank)); err != nil {
		return kernel.Update{}, err
	}
	if err := c.readF64(&stored{Source: t.A, rows: t.Rank, cols: t.In}, a.Data, 0); err != nil {
		return kernel.Update{}, err
	}
	return kernel.Update{B: b, A: a, Scale: t.Scale, Transposed: t.FanInFanOut}, nil
}

// updatedRows is update for rows [first, first+n) of W as it lies in its file: first is then where they begin in what is returned. A guest that
// looks at a sample asks for a few rows many times.
func (c *call) updatedRows(t *Target, first, n int) (kernel.Stored, kernel.Update, int, error) {
	if t.FanInFanOut {
		w, update, err := c.update(t)
		return w, update, first, err
	}
	update, err := c.updateRows(t, first, n)
	w := (&stored{Source: t.Base, rows: n, cols: t.In}).rowsInFile()
	w.Offset += int64(first) * int64(t.In) * int64(t.Base.DType.Size())
	return w, update, 0, err
}

func rounding(c *call) (int32, error) {
	n := c.i32(4)
	if n < 1 || n > maxFormats {
		return 0, fail(abi.Range, "%d formats, 1 to %d can be asked for at once", n, maxFormats)
	}
	asked, view := c.view(3, 4*uint64(n)), c.view(5, abi.RoundingSize*uint64(n))
	t, err := c.weight()
	if err != nil {
		return 0, err
	}
	first, rows := c.i64(1), c.i64(2)
	height := int64(t.Out)
	if t.FanInFanOut {
		height = int64(t.In)
	}
	if first < 0 || rows < 1 || first > height || rows > height-first {
		return 0, fail(abi.Range, "%d rows from %d on, the checkpoint stores %d", rows, first, height)
	}
	formats := make([]abi.Format, n)
	for i := range formats {
		formats[i] = abi.Format(binary.LittleEndian.Uint32(asked[4*i:]))
	}
	w, update, from, err := c.updatedRows(t, int(first), int(rows))
	if err != nil {
		return 0, err
	}
	results, err := kernel.Roundings(w, update, formats, from, int(rows))
	if err != nil {
		return 0, failed(err)
	}
	view = view[:0]
	for _, r := range results {
		view = r.Append(view)
	}
	return 0, nil
}

func mergedSVD(c *call) (int32, error) {
	c.view(2, 12)
	t, err := c.weight()
	if err != nil {
		return 0, err
	}
	k := int(c.i32(1))
	if k < 1 || k > min(t.In, t.Out) {
		return 0, fail(abi.Range, "%d singular triples of a matrix of %d x %d", k, t.Out, t.In)
	}
	if err := c.room(t.Out+t.In+1, k, 2*objectBytes+kernel.TopScratch(t.Out, t.In, k)); err != nil {
		return 0, err
	}
	w, update, err := c.update(t)
	if err != nil {
		return 0, err
	}
	u, s, v, err := kernel.MergedSVD(c.ctx, w, update, k)
	if err != nil {
		return 0, failed(err)
	}
	return c.addTo(2, computedOf(u), rowOf(s), computedOf(v))
}
