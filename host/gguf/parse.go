package gguf

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// Bounds that no Limits can lift.
const (
	headBytes   = 4 + 4 + 8 + 8 // magic, version, number of tensors, number of pairs
	maxKeyBytes = 65_535        // the format's own
	maxNesting  = 4             // arrays in arrays
	maxFaults   = 64            // that one file can give
	sniffBytes  = 512
)

// again is the remedy for files that no writer meant.
const again = "write the file again, with a converter of llama.cpp"

// parser reads a head. Faults of the framing end the reading; the others are collected.
type parser struct {
	cursor
	limits  Limits
	faults  fault.List
	version uint32
	list    []Pair
	spans   [][2]int // of each pair's value, in text
	infos   []Tensor // with offsets from the start of the data, as the file gives them
	pairs   map[string]int
	tensors map[string]int

	alignment int
	dataStart int64
}

// add collects a fault of meaning; when there are too many of them the reading ends, which it returns false for.
func (p *parser) add(e *fault.Error) bool {
	p.faults.Add(e.In(p.file))
	return len(p.faults) < maxFaults
}

// read reads everything. The fault it returns is not in faults.
func (p *parser) read() *fault.Error {
	tensors, pairs, failed := p.start()
	if failed != nil {
		return failed
	}
	for range pairs {
		if failed := p.pair(); failed != nil {
			return failed
		}
		if len(p.faults) >= maxFaults {
			return nil
		}
	}
	for range tensors {
		if failed := p.description(); failed != nil {
			return failed
		}
		if len(p.faults) >= maxFaults {
			return nil
		}
	}
	if failed := p.checkSplit(); failed != nil {
		return failed
	}
	p.align()
	if len(p.faults) == 0 {
		p.checkTiling()
	}
	return nil
}

// start reads the fixed part.
func (p *parser) start() (tensors, pairs uint64, failed *fault.Error) {
	if p.limits.FileBytes > 0 && p.size > p.limits.FileBytes {
		return 0, 0, fault.New(fault.GGLimit, "the file has %d bytes; the limit is %d", p.size, p.limits.FileBytes).
			Fix("check that this is the right file")
	}
	p.limit = p.limits.HeaderBytes
	if failed := p.checkMagic(); failed != nil {
		return 0, 0, failed
	}
	head, failed := p.take(headBytes)
	if failed != nil {
		return 0, 0, failed
	}
	p.version = binary.LittleEndian.Uint32(head[4:])
	if failed := checkVersion(p.version); failed != nil {
		return 0, 0, failed
	}
	tensors, pairs = binary.LittleEndian.Uint64(head[8:]), binary.LittleEndian.Uint64(head[16:])
	for _, count := range []struct {
		what     string
		n        uint64
		limit    int
		least    uint64 // bytes that one takes
		position int64
	}{{"tensors", tensors, p.limits.Tensors, 8 + 4 + 4 + 8, 8}, {"keys", pairs, p.limits.Pairs, 8 + 4 + 1, 16}} {
		if count.limit > 0 && count.n > uint64(count.limit) {
			return 0, 0, fault.New(fault.GGLimit, "the file claims %d %s; the limit is %d", count.n, count.what, count.limit).
				AtByte(count.position).Fix("check that this is the right file")
		}
		if count.n > uint64(p.size)/count.least {
			return 0, 0, fault.New(fault.GGTrunc, "the file claims %d %s, which its %d bytes cannot describe", count.n, count.what, p.size).
				AtByte(count.position).Fix("download or save the file again; it is not whole")
		}
	}
	return tensors, pairs, nil
}

// checkMagic tells a GGUF file from everything else.
func (p *parser) checkMagic() *fault.Error {
	head := make([]byte, min(p.size, sniffBytes))
	if failed := readFull(p.r, head, 0); failed != nil {
		return failed
	}
	switch {
	case bytes.HasPrefix(head, []byte(magic)) && len(head) < headBytes:
		return fault.New(fault.GGShort, "the file has %d bytes; the start of the head alone takes %d", p.size, headBytes).AtByte(p.size).
			Fix("download or save the file again; it is not whole")
	case bytes.HasPrefix(head, []byte(magic)):
		return nil
	}
	if kind, ok := safetensors.Sniff(head); ok {
		return fault.New(fault.GGMagic, "this is a %s, not a GGUF file", kind).AtByte(0).Fix("give the GGUF file itself")
	}
	return fault.New(fault.GGMagic, "the file does not begin with GGUF").AtByte(0).Fix("give a GGUF file")
}

// checkVersion refuses what has another layout, by its name.
func checkVersion(version uint32) *fault.Error {
	switch {
	case version == 2 || version == 3:
		return nil
	case version == 1:
		return fault.New(fault.GGVersion, "this is GGUF version 1, whose counts have another size").AtByte(4).
			Fix("convert the model again: llama.cpp stopped reading version 1 in 2023")
	case version&0xffff == 0 && version != 0:
		return fault.New(fault.GGVersion, "this is a big-endian GGUF file").AtByte(4).Fix("convert it to little-endian, with gguf-convert-endian")
	}
	return fault.New(fault.GGVersion, "this is GGUF version %d; versions 2 and 3 are read", version).AtByte(4).
		Fix("convert the model again, or use a newer Tenon")
}

// pair reads one key with its value.
func (p *parser) pair() *fault.Error {
	start := p.place()
	n, failed := p.u64()
	if failed != nil {
		return failed
	}
	if n == 0 || n > maxKeyBytes {
		return fault.New(fault.GGKey, "a key of %d bytes; keys have 1 to %d", n, maxKeyBytes).AtByte(start).Fix(again)
	}
	raw, failed := p.take(n)
	if failed != nil {
		return failed
	}
	if !printable(raw) {
		return fault.New(fault.GGKey, "the key %s is not plain UTF-8", strconv.Quote(string(raw))).AtByte(start).Fix(again)
	}
	key := string(raw)
	number, failed := p.u32()
	if failed != nil {
		return failed.At(pointer(key))
	}
	from := p.at
	if failed := p.value(ValueType(number), 0); failed != nil {
		return failed.At(pointer(key))
	}
	if _, twice := p.pairs[key]; twice {
		p.add(fault.New(fault.GGDup, "the key comes twice").At(pointer(key)).AtByte(start).Fix(again))
		return nil
	}
	p.pairs[key] = len(p.list)
	p.list = append(p.list, Pair{Key: key, Type: ValueType(number)})
	p.spans = append(p.spans, [2]int{from, p.at})
	return nil
}

// pointer is a key as the place of a fault.
func pointer(key string) string { return "/" + key }

// printable says whether a name is UTF-8 without control characters.
func printable(name []byte) bool {
	return utf8.Valid(name) && !bytes.ContainsFunc(name, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 })
}

// value reads one value and checks all of it. The depth counts the arrays around it.
func (p *parser) value(t ValueType, depth int) *fault.Error {
	start := p.place()
	switch {
	case t >= valueTypes:
		return fault.New(fault.GGValue, "%v is not one of GGUF's", t).AtByte(start - 4).Fix(again)
	case t == String:
		_, failed := p.string()
		return failed
	case t == Array:
		return p.array(depth + 1)
	}
	raw, failed := p.take(uint64(valueSizes[t]))
	if failed == nil && t == Bool && raw[0] > 1 {
		return fault.New(fault.GGValue, "a bool is 0 or 1, not %d", raw[0]).AtByte(start).Fix(again)
	}
	return failed
}

// array reads the elements of an array; the depth counts it.
func (p *parser) array(depth int) *fault.Error {
	start := p.place()
	if depth > maxNesting {
		return fault.New(fault.GGValue, "arrays are nested more than %d deep", maxNesting).AtByte(start).Fix(again)
	}
	number, failed := p.u32()
	if failed != nil {
		return failed
	}
	n, failed := p.u64()
	if failed != nil {
		return failed
	}
	t := ValueType(number)
	if t < valueTypes && valueSizes[t] > 0 && t != Bool { // nothing to check in numbers
		if n > math.MaxInt64/8 {
			n = math.MaxInt64 / 8 // more than any file has
		}
		_, failed := p.take(n * uint64(valueSizes[t]))
		return failed
	}
	if t >= valueTypes {
		return fault.New(fault.GGValue, "%v is not one of GGUF's", t).AtByte(start).Fix(again)
	}
	if n > uint64(p.size) { // each element takes a byte at least
		return fault.New(fault.GGTrunc, "an array of %d elements is longer than the file", n).AtByte(start).
			Fix("download or save the file again; it is not whole")
	}
	for range n {
		if failed := p.value(t, depth); failed != nil {
			return failed
		}
	}
	return nil
}

// header is what was read, when nothing was wrong.
func (p *parser) header() *Header {
	h := &Header{Version: p.version, Pairs: p.list, Tensors: p.infos, Alignment: p.alignment, DataStart: p.dataStart, Bytes: p.size,
		pairs: p.pairs, tensors: p.tensors}
	for i, span := range p.spans {
		h.Pairs[i].Raw = p.text[span[0]:span[1]:span[1]]
	}
	return h
}
