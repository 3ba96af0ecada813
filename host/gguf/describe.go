package gguf

import (
	"math"
	"regexp"
	"slices"
	"strconv"

	"github.com/tenon-ml/tenon/host/fault"
)

// splitCountKey is the number of files that a model lies in.
const splitCountKey = "split.count"

// maxAlignment is far beyond any page, in bytes.
const maxAlignment = 1 << 20

// description reads what the file says about one tensor.
func (p *parser) description() *fault.Error {
	start := p.place()
	n, failed := p.u64()
	if failed != nil {
		return failed
	}
	if n == 0 || n > MaxNameBytes {
		return fault.New(fault.GGName, "a tensor name of %d bytes; llama.cpp holds 1 to %d", n, MaxNameBytes).AtByte(start).Fix(again)
	}
	raw, failed := p.take(n)
	if failed != nil {
		return failed
	}
	if !printable(raw) {
		return fault.New(fault.GGName, "the tensor name %s is not plain UTF-8", strconv.Quote(string(raw))).AtByte(start).Fix(again)
	}
	t := Tensor{Name: string(raw)}
	dims, failed := p.u32()
	if failed != nil {
		return failed.Of(t.Name)
	}
	if dims > MaxDims {
		return fault.New(fault.GGShape, "%d axes; ggml has at most %d", dims, MaxDims).Of(t.Name).AtByte(p.place() - 4).Fix(again)
	}
	sizes := make([]uint64, dims)
	for i := range sizes {
		if sizes[i], failed = p.u64(); failed != nil {
			return failed.Of(t.Name)
		}
	}
	number, failed := p.u32()
	if failed != nil {
		return failed.Of(t.Name)
	}
	t.Type = Type(number)
	offset, failed := p.u64()
	if failed != nil {
		return failed.Of(t.Name)
	}
	if _, twice := p.tensors[t.Name]; twice {
		p.add(fault.New(fault.GGDup, "the tensor comes twice").Of(t.Name).AtByte(start).Fix(again))
		return nil
	}
	p.tensors[t.Name] = len(p.infos)
	if failed := t.measure(sizes); failed != nil {
		p.add(failed.Of(t.Name).AtByte(start))
	}
	if offset > math.MaxInt64 {
		p.add(fault.New(fault.GGOffset, "the offset %d is none", offset).Of(t.Name).AtByte(p.place() - 8).Fix(again))
		offset = 0
	}
	t.Offset = int64(offset)
	p.infos = append(p.infos, t)
	return nil
}

// measure sets the shape, from ggml's order of the axes, and the length.
func (t *Tensor) measure(sizes []uint64) *fault.Error {
	elements := uint64(1)
	for _, n := range sizes {
		if n == 0 {
			return fault.New(fault.GGShape, "the shape %v, in ggml's order, has no elements", sizes).Fix(again)
		}
		if n > math.MaxInt64/8/elements {
			return fault.New(fault.GGShape, "the shape %v, in ggml's order, overflows", sizes).Fix(again)
		}
		elements *= n
	}
	for _, n := range slices.Backward(sizes) {
		t.Shape = append(t.Shape, int(n))
	}
	block, bytes := t.Type.Block()
	if block == 0 {
		return fault.New(fault.GGType, "%v is not one that this version knows of ggml's", t.Type).
			Fix("convert the model with a type of the list in the documentation, such as Q8_0 or BF16")
	}
	if t.RowElements()%block != 0 {
		return fault.New(fault.GGShape, "rows of %d elements are no whole blocks of %v, which have %d", t.RowElements(), t.Type, block).Fix(again)
	}
	blocks := elements / uint64(block)
	if blocks > math.MaxInt64/2/uint64(bytes) {
		return fault.New(fault.GGShape, "the shape %v, in ggml's order, overflows", sizes).Fix(again)
	}
	t.Length = int64(blocks) * int64(bytes)
	return nil
}

// align finds the alignment and the start of the data.
func (p *parser) align() {
	p.alignment = DefaultAlignment
	if i, ok := p.pairs[AlignmentKey]; ok {
		span := p.spans[i]
		n, whole := wholeNumber(p.list[i].Type, p.text[span[0]:span[1]])
		if p.list[i].Type != Uint32 || !whole || n < 8 || n > maxAlignment || n&(n-1) != 0 {
			p.add(fault.New(fault.GGAlignment, "the alignment is a u32, a power of two from 8 to %d", maxAlignment).
				At(pointer(AlignmentKey)).AtByte(int64(span[0])).Fix(again))
			return
		}
		p.alignment = int(n)
	}
	p.dataStart = padded(p.place(), p.alignment)
}

// padded is the least multiple of the alignment that is not below n.
func padded(n int64, alignment int) int64 {
	a := int64(alignment)
	return (n + a - 1) / a * a
}

// checkTiling checks that the tensors follow one another in their order, each padded, up to the end of the file, and makes their offsets
// absolute. It is what ggml asks for; the file may end without the last padding.
func (p *parser) checkTiling() {
	next := int64(0)
	for i := range p.infos {
		t := &p.infos[i]
		if t.Offset != next {
			p.add(fault.New(fault.GGOffset, "the tensor begins at %d of the data; %d is where the one before it ends", t.Offset, next).
				Of(t.Name).Fix(again))
			return
		}
		if t.Length > p.size-p.dataStart-next {
			p.add(fault.New(fault.GGEOF, "the tensor takes %d bytes, but the file has %d left for it", t.Length,
				max(p.size-p.dataStart-next, 0)).Of(t.Name).AtByte(p.dataStart + next).Fix("download or save the file again; it is not whole"))
			return
		}
		t.Offset += p.dataStart
		next = padded(next+t.Length, p.alignment)
	}
	end := p.dataStart + next
	if len(p.infos) == 0 {
		end = p.dataStart
	}
	if p.size > end {
		p.add(fault.New(fault.GGTrail, "%d bytes follow the last tensor", p.size-end).AtByte(end).Fix(again))
	}
}

// splitName is how llama.cpp names the parts of a model.
var splitName = regexp.MustCompile(`-\d{5}-of-(\d{5})\.gguf$`)

// checkSplit refuses a part of a model, by its name or by what it says.
func (p *parser) checkSplit() *fault.Error {
	parts := uint64(0)
	if i, ok := p.pairs[splitCountKey]; ok {
		parts, _ = wholeNumber(p.list[i].Type, p.text[p.spans[i][0]:p.spans[i][1]])
	}
	if m := splitName.FindStringSubmatch(p.file); m != nil {
		if named, err := strconv.ParseUint(m[1], 10, 32); err == nil {
			parts = max(parts, named)
		}
	}
	if parts > 1 {
		return fault.New(fault.GGSplit, "this is one of the %d parts of a split model", parts).Fix("join them: llama-gguf-split --merge FIRST-PART OUT.gguf")
	}
	return nil
}
