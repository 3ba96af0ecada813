package cpu

import (
	"math"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// blockBytes is how much of a weight is merged, hashed and looked at for cancellation at a time.
const blockBytes = 4 << 20

// patch is one merge after every claim in it was checked.
type patch struct {
	name         string // of the weight
	a, b         extent
	aPart, bPart part
	scale        float64
	fanInFanOut  bool
	rank         int
	in, out      int
	rows, cols   int // of the weight as it is stored
}

// parsePatch checks a patch against the weight it is for. The files are those of its factors.
func parsePatch(p *backendpb.Patch, weight extent, files []*backendpb.File) (*patch, error) {
	name := weight.name
	switch weight.dtype {
	case tensor.BF16, tensor.F16, tensor.F32:
	default:
		return nil, invalid("tensor %q: %v cannot be merged into, BF16, F16 and F32 can", name, weight.dtype)
	}
	if len(weight.shape) != 2 {
		return nil, invalid("tensor %q has shape %v, and only matrices can be merged into", name, weight.shape)
	}
	a, err := parseExtent("factor A", p.A, files)
	if err != nil {
		return nil, err
	}
	b, err := parseExtent("factor B", p.B, files)
	if err != nil {
		return nil, err
	}
	for _, factor := range []extent{a, b} {
		if !factor.dtype.IsWeight() {
			return nil, invalid("tensor %q: factor %q is %v, which cannot be computed with", name, factor.name, factor.dtype)
		}
	}
	out := &patch{name: name, a: a, b: b, scale: p.Scale, fanInFanOut: p.FanInFanOut, rows: weight.shape[0], cols: weight.shape[1]}
	out.out, out.in = out.rows, out.cols
	if p.FanInFanOut {
		out.in, out.out = out.rows, out.cols
	}
	if len(a.shape) != 2 || len(b.shape) != 2 || a.shape[0] != b.shape[1] || a.shape[1] != out.in || b.shape[0] != out.out || a.shape[0] < 1 {
		return nil, invalid("tensor %q of shape %v (fan_in_fan_out %v): factors A %v and B %v do not fit: A is r x %d, B is %d x r",
			name, weight.shape, p.FanInFanOut, a.shape, b.shape, out.in, out.out)
	}
	if out.rows == 0 || out.cols == 0 {
		return nil, invalid("tensor %q of shape %v has no entries", name, weight.shape)
	}
	if narrow := float64(float32(p.Scale)); math.IsNaN(narrow) || math.IsInf(narrow, 0) {
		return nil, invalid("tensor %q: scale %g is not a finite f32", name, p.Scale)
	}
	out.rank = a.shape[0]
	return out, nil
}

// delta widens the factors, which must have been read.
func (p *patch) delta() (*kernel.Delta, error) {
	d, err := kernel.NewDelta(p.aPart.dst, p.a.dtype, p.bPart.dst, p.b.dtype, p.rank, p.in, p.out, p.scale, p.fanInFanOut)
	if err != nil {
		return nil, invalid("%v", err)
	}
	return d, nil
}

// blockRows is how many stored rows of a weight make a block.
func (p *patch) blockRows(dtype tensor.DType) int {
	return max(1, min(p.rows, blockBytes/(p.cols*dtype.Size())))
}

// factorParts gives every patch a place for its factors in one block, and the list of what to read there. Factors at the same place, as tied
// modules have them, are read twice: they are small.
func (b *Backend) factorParts(patches []*patch) (*block, []part, error) {
	var room layout
	var offsets []int64
	for _, p := range patches {
		offsets = append(offsets, room.add(p.a.length), room.add(p.b.length))
	}
	memory, err := b.allocate(room.size, "reading the adapter")
	if err != nil {
		return nil, nil, err
	}
	parts := make([]part, 0, len(offsets))
	for i, p := range patches {
		p.aPart = part{file: p.a.file, offset: p.a.offset, dst: memory.bytes[offsets[2*i]:][:p.a.length]}
		p.bPart = part{file: p.b.file, offset: p.b.offset, dst: memory.bytes[offsets[2*i+1]:][:p.b.length]}
		parts = append(parts, p.aPart, p.bPart)
	}
	return memory, parts, nil
}

// refuseFactorOverlap fails where two factors share some of their bytes, but not all: no format stores that.
func refuseFactorOverlap(patches []*patch) error {
	places := map[extentPlace]bool{}
	var extents []extent
	for _, p := range patches {
		for _, e := range []extent{p.a, p.b} {
			if place := (extentPlace{e.file, e.offset, e.length}); !places[place] {
				places[place] = true
				extents = append(extents, e)
			}
		}
	}
	return refuseOverlap(extents)
}

type extentPlace struct {
	file           int
	offset, length int64
}
