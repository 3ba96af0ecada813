package merge

import (
	"fmt"
	"io"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// change merges rows of one item: what the host holds against what a backend made of them. Factors are in memory, and what is as large as the
// weight itself is read with the rows. It is used by one goroutine at a time.
type change struct {
	kernel.Change
	item   Item
	stride int // bytes of a stored row

	dense, start           io.ReaderAt // from the first entry on; nil where there is none
	denseBytes, startBytes []byte      // of the rows that are merged
	first, rows            int         // which those are

	magnitudes []float32
	defined    definition
}

// change reads what an item needs in memory. The seed chooses the rows, and where outputs are columns the outputs, that are computed by the
// definition too. An item with magnitudes merges rows once it is scaled.
func (p *Plan) change(item Item, seed uint64) (*change, error) {
	rows, cols := item.Matrix()
	c := &change{item: item, stride: cols * item.Base.DType.Size(), Change: kernel.Change{Rows: rows, Cols: cols, Scale: float32(item.Scale)}}
	err := item.fits()
	if err != nil {
		return nil, err
	}
	if item.LowRank() {
		if c.Deltas, err = p.deltas(item); err != nil {
			return nil, err
		}
		c.Scale = 0
	}
	if item.Dense.Shape != nil {
		c.Dense = item.Dense.DType
		c.dense = io.NewSectionReader(p.files[item.Dense.File], item.Dense.Offset, item.Dense.Length)
	}
	if item.Start.Shape != nil {
		c.Start = item.Start.DType
		c.start = io.NewSectionReader(p.files[item.Start.File], item.Start.Offset, item.Start.Length)
		if item.StartRows != nil {
			if c.StartRows, err = kernel.NewStartRows(item.StartRows, rows); err != nil {
				return nil, fmt.Errorf("%s: %w", item.Name, err)
			}
		}
	}
	if item.Magnitude.Shape != nil {
		text, err := p.read(item.Magnitude)
		if err != nil {
			return nil, err
		}
		c.magnitudes = make([]float32, item.Magnitude.Elements())
		if err := tensor.ToF32(c.magnitudes, text, item.Magnitude.DType); err != nil {
			return nil, fmt.Errorf("%s: %w", item.Name, err)
		}
		c.OfColumns = item.FanInFanOut || item.MagnitudeOfInputs
	}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", item.Name, err)
	}
	c.define(seed)
	return c, nil
}

// fits fails where the tensors of an item are not of the size of what they change.
func (item Item) fits() error {
	rows, cols := item.Matrix()
	held := rows
	if item.StartRows != nil {
		held = len(item.StartRows)
	}
	outputs, n := rows, item.Magnitude.Elements()
	switch {
	case item.MagnitudeOfInputs && n > 0 && cols%n == 0:
		outputs = n
	case item.MagnitudeOfInputs || item.FanInFanOut:
		outputs = cols
	}
	for _, part := range []struct {
		name       string
		shape      []int
		have, want int
	}{
		{"the magnitude", item.Magnitude.Shape, n, outputs},
		{"the matrix", item.Base.Shape, rows * cols, item.Base.Elements()},
		{"the dense change", item.Dense.Shape, item.Dense.Elements(), item.Base.Elements()},
		{"the start", item.Start.Shape, item.Start.Elements(), held * cols},
	} {
		if part.shape != nil && part.have != part.want {
			return fault.New(fault.ADShape, "%s has %d entries, and %d belong there", part.name, part.have, part.want).Of(item.Name).
				Fix("give the base this adapter was trained on")
		}
	}
	return nil
}

// deltas reads an item's factors. The result is owned by the caller.
func (p *Plan) deltas(item Item) ([]*kernel.Delta, error) {
	a, err := p.read(item.A)
	if err != nil {
		return nil, err
	}
	b, err := p.read(item.B)
	if err != nil {
		return nil, err
	}
	deltas, err := kernel.NewDeltas(a, item.A.DType, b, item.B.DType, max(1, item.Blocks), item.Rank, item.In, item.Out, item.Scale, item.FanInFanOut)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", item.Name, err)
	}
	return deltas, nil
}

// load reads what belongs to stored rows [first, first+rows) of the dense delta and of the start, unless it has just been read.
func (c *change) load(first, rows int) error {
	if c.first == first && c.rows == rows {
		return nil
	}
	c.first, c.rows = first, 0
	if c.dense != nil {
		stride := c.Cols * c.Dense.Size()
		c.denseBytes = room(c.denseBytes, rows*stride)
		if _, err := c.dense.ReadAt(c.denseBytes, int64(first)*int64(stride)); err != nil {
			return c.unread(err)
		}
	}
	if c.start != nil {
		c.startBytes = room(c.startBytes, c.StartBytes(first, rows))
		if err := c.ReadStart(c.startBytes, c.start, first, rows); err != nil {
			return c.unread(err)
		}
	}
	c.rows = rows
	return nil
}

func (c *change) unread(err error) error {
	return fault.New(fault.IORead, "what the adapter puts there cannot be read").Of(c.item.Name).Wrap(err)
}

// room is a buffer of n bytes, b where that is large enough.
func room(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// merge merges the base's rows from first on in place.
func (c *change) merge(part []byte, first int) (kernel.Counts, error) {
	rows := len(part) / c.stride
	if err := c.load(first, rows); err != nil {
		return kernel.Counts{}, err
	}
	if c.magnitudes != nil && c.Gains == nil {
		return kernel.Counts{}, fmt.Errorf("%s: its outputs were not measured", c.item.Name)
	}
	counts, err := c.MergeRows(part, part, c.startBytes, c.denseBytes, c.item.Base.DType, first, rows)
	if err != nil {
		return counts, fmt.Errorf("%s: %w", c.item.Name, err)
	}
	return counts, nil
}

// scaled reports whether the gains of the outputs are known, or there are none.
func (c *change) scaled() bool { return c.magnitudes == nil || c.Gains != nil }

// scale measures all outputs of the merged weight and so finds their gains. It reads the base once, in blocks of the buffer, by read, which fills its
// argument with the tensor's bytes from at on.
func (c *change) scale(buffer []byte, read func(part []byte, at int64) error) error {
	sums, height := c.Sums(), max(1, len(buffer)/c.stride)
	buffer = room(buffer, height*c.stride)
	for first := 0; first < c.Rows; first += height {
		rows := min(height, c.Rows-first)
		part := buffer[:rows*c.stride]
		if err := read(part, int64(first)*int64(c.stride)); err != nil {
			return err
		}
		if err := c.load(first, rows); err != nil {
			return err
		}
		if err := c.SquareSums(sums, part, c.startBytes, c.denseBytes, c.item.Base.DType, first, rows); err != nil {
			return fmt.Errorf("%s: %w", c.item.Name, err)
		}
		if err := c.defined.measure(c, part, first, rows); err != nil {
			return err
		}
	}
	gains := make([]float32, len(c.magnitudes))
	if err := kernel.Gains(gains, c.magnitudes, sums); err != nil {
		return fault.New(fault.ADOverflowOnMerge, "its outputs cannot be scaled to the adapter's magnitudes").Of(c.item.Name).Wrap(err).
			Fix("the adapter is not of this base, or is damaged")
	}
	c.Gains = gains
	return nil
}
