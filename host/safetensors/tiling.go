package safetensors

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/tenon-ml/tenon/host/fault"
)

// maxFaults bounds the list for one file: beyond it, more of the same tells nobody anything.
const maxFaults = 100

// add puts a fault of meaning on the list.
func (p *parser) add(e *fault.Error) {
	if len(p.faults) < maxFaults {
		p.faults.Add(e)
	}
}

// checkTiling sorts the tensors and checks that they cover the data from its first to its last byte, each byte once. A gap could hide
// another file (a zip, a page), an overlap could make a small file stand for a huge model.
func (p *parser) checkTiling() {
	slices.SortFunc(p.tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Length, b.Length), cmp.Compare(a.Name, b.Name))
	})
	if p.untiled {
		return
	}
	end, last := int64(0), "" // last is empty only while end is 0, where nothing can overlap
	for _, t := range p.tensors {
		switch {
		case t.Offset > end:
			p.add(p.gap(fault.STHole, end, "%d bytes before this tensor, at %d, belong to no tensor", t.Offset-end, end).Of(t.Name))
		case t.Offset < end:
			p.add(p.gap(fault.STOverlap, t.Offset, "the tensor begins at %d, inside %s, which ends at %d", t.Offset, short(last), end).Of(t.Name))
		}
		if t.Offset+t.Length >= end {
			end, last = t.Offset+t.Length, t.Name
		}
	}
	if end < p.data {
		p.add(p.gap(fault.STTrail, end, "%d bytes follow the last tensor", p.data-end))
	}
}

// short is a tensor's name for a message about another: a long one would be repeated in each.
func short(name string) string {
	const most = 200
	if len(name) <= most {
		return "tensor " + strconv.Quote(name)
	}
	return "a tensor whose name has " + strconv.Itoa(len(name)) + " bytes"
}

// gap makes a fault at an offset into the data.
func (p *parser) gap(code fault.Code, at int64, cause string, args ...any) *fault.Error {
	return fault.New(code, cause, args...).In(p.file).AtByte(lengthBytes + int64(len(p.text)) + at).
		Fix("save the file again with a safetensors library")
}
