package sandbox

import (
	algebra "github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/kernel"
)

// weight returns the target in argument 0, whose base must be there.
func (c *call) weight() (*Target, error) {
	index, err := c.target(0)
	if err != nil {
		return nil, err
	}
	t := &c.input.Targets[index]
	if !t.Base.Present() {
		return nil, fail(abi.NotFound, "target %d has no weight of the base", index)
	}
	return t, nil
}

func baseSVD(c *call) (int32, error) {
	c.view(2, 12)
	t, err := c.weight()
	if err != nil {
		return 0, err
	}
	if !t.BaseSVD.S.Present() {
		return 0, fail(abi.Unsupported, "no singular vectors of the base were granted: the manifest asks with base_svd_rank, the policy grants with base_svd")
	}
	k, most := int(c.i32(1)), t.BaseSVD.S.Elements()
	if k < 1 || k > most {
		return 0, fail(abi.Range, "%d singular triples, 1 to %d are there", k, most)
	}
	if err := c.room(t.Out+t.In+1, k, 2*objectBytes); err != nil {
		return 0, err
	}
	parts := make([]object, 3)
	for i, part := range []struct {
		source Source
		rows   int
	}{{t.BaseSVD.U, t.Out}, {t.BaseSVD.S, 1}, {t.BaseSVD.V, t.In}} {
		if parts[i], err = c.firstColumns(part.source, part.rows, most, k); err != nil {
			return 0, err
		}
	}
	return c.addTo(2, parts...)
}

// firstColumns reads the first k columns of a rows x cols matrix.
func (c *call) firstColumns(source Source, rows, cols, k int) (*computed, error) {
	s := &stored{Source: source, rows: rows, cols: cols}
	m := &computed{rows: rows, cols: k, data: make([]float64, rows*k)}
	if k == cols {
		return m, c.readF64(s, m.data, 0)
	}
	height := max(1, chunk/cols)
	block := make([]float64, height*cols)
	for first := 0; first < rows; first += height {
		n := min(height, rows-first)
		if err := c.readF64(s, block[:n*cols], int64(first)*int64(cols)); err != nil {
			return nil, err
		}
		for i := range n {
			copy(m.data[(first+i)*k:(first+i+1)*k], block[i*cols:])
		}
	}
	return m, nil
}

// dtypes are the element types round_loss can round to, by the guest's number.
var dtypes = map[abi.DType]tensor.DType{
	abi.DTypeF16: tensor.F16, abi.DTypeBF16: tensor.BF16, abi.DTypeF32: tensor.F32, abi.DTypeF64: tensor.F64,
}

func roundLoss(c *call) (int32, error) {
	view := c.view(2, abi.RoundLossSize)
	t, err := c.weight()
	if err != nil {
		return 0, err
	}
	target := t.Base.DType
	if asked := abi.DType(c.i32(1)); asked != 0 {
		known := false
		if target, known = dtypes[asked]; !known {
			return 0, fail(abi.Unsupported, "dtype %d", asked)
		}
	}
	if err := c.room(t.Rank, t.In+t.Out, 0); err != nil {
		return 0, err
	}
	delta, err := c.delta(t)
	if err != nil {
		return 0, err
	}
	w := &stored{Source: t.Base, rows: t.Out, cols: t.In, transposed: t.FanInFanOut}
	result, err := kernel.RoundLoss(w.rowsInFile(), target, delta)
	if err != nil {
		return 0, failed(err)
	}
	result.FirstOverflow = w.seen(result.FirstOverflow)
	result.Append(view[:0])
	return 0, nil
}

// delta reads a target's factors for the merge's own arithmetic.
func (c *call) delta(t *Target) (*algebra.Delta, error) {
	var factors [2][]byte
	for i, s := range []Source{t.A, t.B} {
		factors[i] = make([]byte, 0, s.Length)
		if err := c.span(s, 0, s.Elements(), func(raw []byte, _ int) error {
			factors[i] = append(factors[i], raw...)
			return nil
		}); err != nil {
			return nil, err
		}
	}
	delta, err := algebra.NewDelta(factors[0], t.A.DType, factors[1], t.B.DType, t.Rank, t.In, t.Out, t.Scale, t.FanInFanOut)
	if err != nil {
		return nil, fail(abi.Numeric, "%v", err)
	}
	return delta, nil
}
