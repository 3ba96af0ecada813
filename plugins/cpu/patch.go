package cpu

import (
	"math"
	"math/bits"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// blockBytes is how much of a weight is merged, hashed and looked at for cancellation at a time.
const blockBytes = 4 << 20

// patch is one merge after every claim in it was checked. What it does not have has no name.
type patch struct {
	name         string // of the weight
	a, b         stored // factors: their bytes are there once they were read
	scale        float64
	fanInFanOut  bool
	blocks, rank int
	in, out      int // of one block
	dense        extent
	start        extent
	startRows    []kernel.StartRow
	magnitude    stored
	ofInputs     bool // its entries are of inputs
	rows, cols   int  // of the matrix that the weight is read as
	plain        bool // two factors for one matrix, and nothing else
}

// parsePatch checks a patch against the weight it is for. The files are those of what it brings.
func parsePatch(p *backendpb.Patch, weight extent, files []*backendpb.File) (*patch, error) {
	name := weight.name
	switch weight.dtype {
	case tensor.BF16, tensor.F16, tensor.F32:
	default:
		return nil, invalid("tensor %q: %v cannot be merged into, BF16, F16 and F32 can", name, weight.dtype)
	}
	if weight.length == 0 {
		return nil, invalid("tensor %q of shape %v has no entries", name, weight.shape)
	}
	if narrow := float64(float32(p.Scale)); math.IsNaN(narrow) || math.IsInf(narrow, 0) {
		return nil, invalid("tensor %q: scale %g is not a finite f32", name, p.Scale)
	}
	if err := refuseCombination(p); err != nil {
		return nil, err
	}
	out := &patch{name: name, scale: p.Scale, fanInFanOut: p.FanInFanOut, blocks: max(1, int(p.Blocks)), ofInputs: p.MagnitudeOfInputs}
	for _, part := range []struct {
		what string
		row  *backendpb.Tensor
		to   *extent
	}{
		{"factor A", p.A, &out.a.extent}, {"factor B", p.B, &out.b.extent}, {"dense delta", p.Dense, &out.dense}, {"start", p.Start, &out.start},
		{"magnitude", p.Magnitude, &out.magnitude.extent},
	} {
		if part.row == nil {
			continue
		}
		var err error
		if *part.to, err = parseExtent(part.what, part.row, files); err != nil {
			return nil, err
		}
		if !part.to.dtype.IsWeight() {
			return nil, invalid("tensor %q: %s %q is %v, which cannot be computed with", name, part.what, part.to.name, part.to.dtype)
		}
	}
	out.rows, out.cols = weight.matrix()
	out.plain = p.A != nil && out.blocks == 1 && len(weight.shape) == 2 && p.Start == nil && p.Magnitude == nil
	if p.A != nil {
		if err := out.fitFactors(weight); err != nil {
			return nil, err
		}
	}
	return out, out.fitOthers(weight, p.StartRows)
}

// maxBlocks bounds the memory that blocks need beside their factors.
const maxBlocks = 1 << 16

// refuseCombination fails on parts that have no meaning together.
func refuseCombination(p *backendpb.Patch) error {
	factors := p.A != nil || p.B != nil
	switch name := p.Tensor; {
	case (p.A == nil) != (p.B == nil):
		return invalid("tensor %q: one factor came without the other", name)
	case factors && p.Dense != nil:
		return invalid("tensor %q: both factors and a dense delta came", name)
	case !factors && p.Dense == nil && p.Start == nil && p.Magnitude != nil:
		return invalid("tensor %q: magnitudes came, and nothing that changes the directions", name)
	case !factors && p.Dense == nil && p.Start == nil:
		return invalid("tensor %q: neither factors nor a dense delta nor a start came", name)
	case p.Blocks < 0 || p.Blocks > 1 && !factors:
		return invalid("tensor %q: %d blocks without factors", name, p.Blocks)
	case p.Blocks > maxBlocks:
		return invalid("tensor %q: %d blocks, and at most %d are computed", name, p.Blocks, maxBlocks)
	case len(p.StartRows) > 0 && p.Start == nil:
		return invalid("tensor %q: %d rows of a start that did not come", name, len(p.StartRows))
	case p.MagnitudeOfInputs && p.Magnitude == nil:
		return invalid("tensor %q: magnitudes of inputs that did not come", name)
	case p.MagnitudeOfInputs && p.FanInFanOut:
		return invalid("tensor %q: magnitudes of inputs are of a matrix that is stored out x in, and fan_in_fan_out says in x out", name)
	}
	return nil
}

// fitFactors finds the matrix that factors are for.
func (p *patch) fitFactors(weight extent) error {
	a, b := p.a.shape, p.b.shape
	if len(a) != 2 || len(b) != 2 || a[0]%p.blocks != 0 || b[0]%p.blocks != 0 || a[0]/p.blocks != b[1] || b[1] < 1 || a[1] < 1 || b[0] < 1 {
		return invalid("tensor %q of shape %v in %d blocks: factors A %v and B %v do not fit: for each block A is r x in, B is out x r, and r at least 1",
			p.name, weight.shape, p.blocks, a, b)
	}
	p.rank, p.in, p.out = b[1], a[1], b[0]/p.blocks
	height, cols := p.out, p.in
	if p.fanInFanOut {
		height, cols = p.in, p.out
	}
	high, rows := bits.Mul64(uint64(height), uint64(p.blocks))
	over, entries := bits.Mul64(rows, uint64(cols))
	fits := high == 0 && over == 0 && entries == uint64(weight.entries())
	if len(weight.shape) == 2 {
		fits = fits && cols == weight.shape[1]
	}
	if !fits {
		return invalid("tensor %q of shape %v (fan_in_fan_out %v): factors A %v and B %v do not fit: they are of %d blocks of %d x %d",
			p.name, weight.shape, p.fanInFanOut, a, b, p.blocks, height, cols)
	}
	p.rows, p.cols = int(rows), cols
	return nil
}

// fitOthers checks that everything but factors is as large as the matrix asks for.
func (p *patch) fitOthers(weight extent, startRows []int64) error {
	entries := weight.entries()
	if p.dense.name != "" && p.dense.entries() != entries {
		return invalid("tensor %q has %d entries, dense delta %q has %d", p.name, entries, p.dense.name, p.dense.entries())
	}
	if len(startRows) > 0 {
		var err error
		if p.startRows, err = kernel.NewStartRows(startRows, p.rows); err != nil {
			return invalid("tensor %q: start %q: %v", p.name, p.start.name, err)
		}
		entries = len(startRows) * p.cols
	}
	if p.start.name != "" && p.start.entries() != entries {
		return invalid("tensor %q is read as %d x %d: start %q has %d entries, and should have %d",
			p.name, p.rows, p.cols, p.start.name, p.start.entries(), entries)
	}
	n := p.magnitude.entries()
	switch {
	case p.magnitude.name == "":
	case p.ofInputs && (n == 0 || p.cols%n != 0):
		return invalid("tensor %q is read as %d x %d: its columns are not %d equal runs, one for each entry of magnitude %q",
			p.name, p.rows, p.cols, n, p.magnitude.name)
	case !p.ofInputs && (p.fanInFanOut && n != p.cols || !p.fanInFanOut && n != p.rows):
		return invalid("tensor %q is read as %d x %d (fan_in_fan_out %v): magnitude %q has %d entries, and should have one for each output",
			p.name, p.rows, p.cols, p.fanInFanOut, p.magnitude.name, n)
	}
	return nil
}

// refusePartOverlap fails where two parts of patches share some of their bytes, but not all: no format stores that.
func refusePartOverlap(patches []*patch) error {
	places := map[extentPlace]bool{}
	var extents []extent
	for _, p := range patches {
		for _, e := range []extent{p.a.extent, p.b.extent, p.dense, p.start, p.magnitude.extent} {
			if place := (extentPlace{e.file, e.offset, e.length}); e.name != "" && !places[place] {
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
