package safetensors

import (
	"math"
	"math/bits"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// parser reads one header. Methods that return a fault could not read on; faults of meaning go to faults and the reading continues.
type parser struct {
	cursor
	limits Limits
	data   int64 // bytes after the header

	seen     map[string]bool // keys of the header so far, unescaped
	tensors  []Tensor        // offsets count from the start of the data
	metadata map[string]string
	faults   fault.List
	untiled  bool // an entry's offsets are wrong by themselves: asking whether they tile would only repeat it
}

// header reads the whole text.
func (p *parser) header() *fault.Error {
	if failed := p.expect('{', "{", fault.STHdrStart); failed != nil {
		return failed
	}
	if !p.empty('}') {
		for more := true; more; {
			if failed := p.member(); failed != nil {
				return failed
			}
			var failed *fault.Error
			if more, failed = p.more('}'); failed != nil {
				return failed
			}
		}
	}
	for ; p.at < len(p.text); p.at++ {
		if p.text[p.at] != ' ' {
			return p.fail(fault.STHdrJSON, p.at, "byte 0x%02x follows the header; only spaces may", p.text[p.at])
		}
	}
	return nil
}

// member reads one key of the header and its value.
func (p *parser) member() *fault.Error {
	name, at, failed := p.key()
	if failed != nil {
		return failed
	}
	if p.seen[name] {
		p.add(p.fail(fault.STDup, at, "the name stands twice in the header").Of(name))
	}
	if name == metadataKey {
		p.seen[name] = true
		return p.readMetadata()
	}
	if p.limits.Tensors > 0 && len(p.tensors) >= p.limits.Tensors {
		return p.fail(fault.STTooMany, at, "the file has more than %d tensors", p.limits.Tensors).Fix("check that this is the right file")
	}
	p.seen[name] = true
	e := entry{Ref: tensor.Ref{Name: name}, at: at}
	if failed := p.readEntry(&e); failed != nil {
		return failed.Of(name)
	}
	p.checkEntry(&e)
	p.tensors = append(p.tensors, Tensor{Ref: e.Ref})
	return nil
}

// readMetadata reads the value of __metadata__: an object of strings.
func (p *parser) readMetadata() *fault.Error {
	if failed := p.expect('{', "an object of strings", fault.STMetadata); failed != nil {
		return failed.At("/" + metadataKey)
	}
	p.metadata = map[string]string{}
	if p.empty('}') {
		return nil
	}
	total := 0
	for more := true; more; {
		name, at, failed := p.key()
		if failed != nil {
			return failed
		}
		value, failed := p.string("a string", fault.STMetadata)
		if failed != nil {
			return failed.At(metadataPlace(name))
		}
		if total += len(name) + len(value); p.limits.MetadataBytes > 0 && total > p.limits.MetadataBytes {
			return p.fail(fault.STMetadata, at, "the metadata has more than %d bytes", p.limits.MetadataBytes).At("/" + metadataKey).
				Fix("save the file with less metadata")
		}
		if _, twice := p.metadata[name]; twice {
			p.add(p.fail(fault.STDup, at, "the key stands twice in the metadata").At(metadataPlace(name)))
		}
		p.metadata[name] = value
		if more, failed = p.more('}'); failed != nil {
			return failed
		}
	}
	return nil
}

// entry is one tensor as its entry writes it. Ref.Offset and end count from the start of the data.
type entry struct {
	tensor.Ref
	dtype string
	end   int64
	at    int // of the name, in the header
}

// readEntry reads the object of one tensor: dtype, shape and data_offsets, each once and nothing else.
func (p *parser) readEntry(e *entry) *fault.Error {
	if failed := p.expect('{', "an object with dtype, shape and data_offsets", fault.STEntry); failed != nil {
		return failed
	}
	found := map[string]bool{}
	for more := !p.empty('}'); more; {
		name, at, failed := p.key()
		if failed != nil {
			return failed
		}
		if found[name] {
			p.add(p.fail(fault.STDup, at, "%q stands twice in the tensor's entry", name).Of(e.Name))
		}
		found[name] = true
		switch name {
		case "dtype":
			e.dtype, failed = p.string("the name of a dtype", fault.STEntry)
		case "shape":
			failed = p.readShape(e)
		case "data_offsets":
			failed = p.readOffsets(e)
		default:
			failed = p.fail(fault.STEntry, at, "the entry has the key %q; dtype, shape and data_offsets are all there are", name)
		}
		if failed != nil {
			return failed
		}
		if more, failed = p.more('}'); failed != nil {
			return failed
		}
	}
	var missing []string
	for _, key := range []string{"dtype", "shape", "data_offsets"} {
		if !found[key] {
			missing = append(missing, key)
		}
	}
	if missing != nil {
		return p.fail(fault.STEntry, e.at, "the entry lacks %s", strings.Join(missing, " and "))
	}
	return nil
}

// readShape reads the axes.
func (p *parser) readShape(e *entry) *fault.Error {
	if failed := p.expect('[', "an array of axis lengths", fault.STEntry); failed != nil {
		return failed
	}
	e.Shape = []int{}
	for more := !p.empty(']'); more; {
		n, failed := p.natural("an axis length")
		switch {
		case failed != nil:
			return failed
		case n > math.MaxInt:
			return p.fail(fault.STOverflow, p.at, "an axis of %d elements cannot be addressed on this machine", n)
		case p.limits.Dims > 0 && len(e.Shape) >= p.limits.Dims:
			return p.fail(fault.STEntry, p.at, "the shape has more than %d axes", p.limits.Dims)
		}
		e.Shape = append(e.Shape, int(n))
		if more, failed = p.more(']'); failed != nil {
			return failed
		}
	}
	return nil
}

// readOffsets reads exactly two offsets.
func (p *parser) readOffsets(e *entry) *fault.Error {
	at := p.at
	if failed := p.expect('[', "an array of two offsets", fault.STEntry); failed != nil {
		return failed
	}
	offsets, count := [2]int64{}, 0
	for more := !p.empty(']'); more; count++ {
		n, failed := p.natural("an offset")
		if failed != nil {
			return failed
		}
		if count < len(offsets) {
			offsets[count] = n
		}
		if more, failed = p.more(']'); failed != nil {
			return failed
		}
	}
	if count != len(offsets) {
		return p.fail(fault.STEntry, at, "data_offsets has %d numbers; it must have two, begin and end", count)
	}
	e.Offset, e.end = offsets[0], offsets[1]
	return nil
}

// checkEntry checks one tensor by itself, and sets its DType and Length.
func (p *parser) checkEntry(e *entry) {
	dtype, ok := tensor.ParseDType(e.dtype)
	if !ok {
		p.add(p.fail(fault.STDType, e.at, "the dtype %q is not one of the format", e.dtype).Of(e.Name))
	}
	e.DType, e.Length = dtype, e.end-e.Offset
	switch {
	case e.Offset > e.end:
		p.untiled = true
		p.add(p.fail(fault.STOffset, e.at, "the tensor begins at %d, after its end at %d", e.Offset, e.end).Of(e.Name))
		return
	case e.end > p.data:
		p.untiled = true
		p.add(p.fail(fault.STOffsetEOF, e.at, "the tensor ends at %d, but the file has %d bytes of data", e.end, p.data).Of(e.Name).
			Fix("download or save the file again"))
		return
	case !ok:
		return
	}
	size, whole, fits := byteSize(e.Shape, dtype)
	switch {
	case !fits:
		p.add(p.fail(fault.STOverflow, e.at, "the shape %v of %v needs more bytes than 63 bits can count", e.Shape, dtype).Of(e.Name))
	case !whole:
		p.add(p.fail(fault.STDType, e.at, "the shape %v of %v does not fill whole bytes", e.Shape, dtype).Of(e.Name))
	case size != e.Length:
		p.add(p.fail(fault.STSize, e.at, "the shape %v of %v needs %d bytes, but the offsets hold %d", e.Shape, dtype, size, e.Length).Of(e.Name))
	}
}

// byteSize is the size of a tensor in bytes. Zeros in the shape are left out of the product until its end, so that [0, 2^62, 8] overflows
// as [2^62, 8, 0] does: other code multiplies parts of a shape.
func byteSize(shape []int, d tensor.DType) (size int64, whole, fits bool) {
	product, zero := uint64(d.Bits()), false
	for _, n := range shape {
		if n == 0 {
			zero = true
			continue
		}
		high, low := bits.Mul64(product, uint64(n))
		if high != 0 {
			return 0, false, false
		}
		product = low
	}
	if product > math.MaxInt64 {
		return 0, false, false
	}
	if zero {
		return 0, true, true
	}
	return int64(product / 8), product%8 == 0, true
}

// metadataPlace is the JSON pointer to a member of the metadata (RFC 6901).
func metadataPlace(key string) string {
	return "/" + metadataKey + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}
