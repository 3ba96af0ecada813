package cpu

import (
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// held are the parts of a patch that are read as a whole: they are small beside the weight. The others are read as blocks of rows.
func (p *patch) held() []*stored {
	var parts []*stored
	for _, part := range []*stored{&p.a, &p.b, &p.magnitude} {
		if part.name != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

// heldParts gives every patch a place for its held parts in one block, and the list of what to read there. Parts at the same place, as tied modules
// have them, are read twice: they are small.
func (b *Backend) heldParts(patches []*patch) (*block, []part, error) {
	var room layout
	var offsets []int64
	for _, p := range patches {
		for _, part := range p.held() {
			offsets = append(offsets, room.add(part.length))
		}
	}
	memory, err := b.allocate(room.size, "reading the adapter")
	if err != nil {
		return nil, nil, err
	}
	parts := make([]part, 0, len(offsets))
	for _, p := range patches {
		for _, s := range p.held() {
			s.bytes = memory.bytes[offsets[len(parts)]:][:s.length:s.length]
			parts = append(parts, part{file: s.file, offset: s.offset, dst: s.bytes})
		}
	}
	return memory, parts, nil
}

// view is the rows and columns that the weight is merged as. Where each entry is on its own they are rows of one: others may be larger than memory.
func (p *patch) view() (rows, cols int) {
	if p.a.name == "" && p.startRows == nil && p.magnitude.name == "" {
		return p.rows * p.cols, 1
	}
	return p.rows, p.cols
}

// change is what the patch makes of its weight, before the gains are known. The held parts must have been read.
func (p *patch) change() (*kernel.Change, error) {
	rows, cols := p.view()
	c := &kernel.Change{
		Rows: rows, Cols: cols, Dense: p.dense.dtype, Scale: float32(p.scale), Start: p.start.dtype, StartRows: p.startRows,
		OfColumns: p.ofInputs || p.fanInFanOut,
	}
	if p.a.name != "" {
		var err error
		c.Deltas, err = kernel.NewDeltas(p.a.bytes, p.a.dtype, p.b.bytes, p.b.dtype, p.blocks, p.rank, p.in, p.out, p.scale, p.fanInFanOut)
		if err != nil {
			return nil, invalid("tensor %q: %v", p.name, err)
		}
	}
	if err := c.Check(); err != nil {
		return nil, invalid("tensor %q: %v", p.name, err)
	}
	return c, nil
}

// setGains takes gains from sums of squares.
func (p *patch) setGains(c *kernel.Change, sums []float64) error {
	magnitudes := make([]float32, p.magnitude.entries())
	if err := tensor.ToF32(magnitudes, p.magnitude.bytes, p.magnitude.dtype); err != nil {
		return invalid("tensor %q: magnitude: %v", p.name, err)
	}
	c.Gains = make([]float32, len(magnitudes))
	if err := kernel.Gains(c.Gains, magnitudes, sums); err != nil {
		return invalid("tensor %q: %v", p.name, err)
	}
	return nil
}
