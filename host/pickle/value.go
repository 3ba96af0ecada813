package pickle

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/fault"
)

// frame reads the protocol's number, and the length of a frame, which means nothing to a reader of the whole.
func (m *machine) frame(op byte) *fault.Error {
	if op == opFrame {
		_, refused := m.bytes(8)
		return refused
	}
	version, refused := m.byte()
	if refused == nil && (version < 2 || version > 5) {
		return m.refuse("pickle protocol %d is not read", version)
	}
	return refused
}

func (m *machine) number(op byte) *fault.Error {
	if op == opLong1 {
		return m.long()
	}
	p, refused := m.bytes(map[byte]uint64{opBinInt1: 1, opBinInt2: 2, opBinInt: 4, opBinFloat: 8}[op])
	if refused != nil {
		return refused
	}
	switch op {
	case opBinInt1:
		m.push(int64(p[0]))
	case opBinInt2:
		m.push(int64(binary.LittleEndian.Uint16(p)))
	case opBinInt:
		m.push(int64(int32(binary.LittleEndian.Uint32(p))))
	case opBinFloat:
		m.push(math.Float64frombits(binary.BigEndian.Uint64(p)))
	}
	return nil
}

// long reads an integer of up to 255 bytes, of which those up to eight are read.
func (m *machine) long() *fault.Error {
	n, refused := m.byte()
	if refused != nil {
		return refused
	}
	p, refused := m.bytes(uint64(n))
	if refused != nil {
		return refused
	}
	if n > 8 {
		return m.refuse("an integer of %d bytes", n)
	}
	value := uint64(0)
	for i, c := range p {
		value |= uint64(c) << (8 * i)
	}
	if n > 0 && n < 8 && p[n-1] >= 0x80 {
		value |= math.MaxUint64 << (8 * n)
	}
	m.push(int64(value))
	return nil
}

func (m *machine) string(op byte) *fault.Error {
	size := map[byte]uint64{opShortBinUnicode: 1, opBinUnicode: 4, opBinUnicode8: 8}[op]
	p, refused := m.bytes(size)
	if refused != nil {
		return refused
	}
	var wide [8]byte
	copy(wide[:], p)
	text, refused := m.bytes(binary.LittleEndian.Uint64(wide[:]))
	if refused != nil {
		return refused
	}
	if !utf8.Valid(text) {
		return m.refuse("a string is not UTF-8")
	}
	m.push(string(text))
	return nil
}

func (m *machine) tuple(op byte) *fault.Error {
	if op == opTuple {
		items, refused := m.popMark()
		if refused == nil {
			m.push(tuple(items))
		}
		return refused
	}
	n := int(op-opTuple1) + 1
	if len(m.stack) < n {
		return m.refuse("the stack is empty")
	}
	items := append(tuple(nil), m.stack[len(m.stack)-n:]...)
	m.stack = m.stack[:len(m.stack)-n]
	m.made += n
	m.push(items)
	return nil
}

// fill puts items into the list or dictionary below them.
func (m *machine) fill(op byte) *fault.Error {
	var items []any
	var refused *fault.Error
	switch op {
	case opAppends, opSetItems:
		items, refused = m.popMark()
	default:
		n := map[byte]int{opAppend: 1, opSetItem: 2}[op]
		if len(m.stack) < n {
			return m.refuse("the stack is empty")
		}
		items = append(items, m.stack[len(m.stack)-n:]...)
		m.stack = m.stack[:len(m.stack)-n]
	}
	if refused != nil {
		return refused
	}
	if len(m.stack) == 0 {
		return m.refuse("the stack is empty")
	}
	m.made += len(items)
	pairs := op == opSetItem || op == opSetItems
	switch into := m.stack[len(m.stack)-1].(type) {
	case *list:
		if pairs {
			return m.refuse("a list is filled as a dictionary")
		}
		into.items = append(into.items, items...)
	case *dict:
		if !pairs || len(items)%2 != 0 {
			return m.refuse("a dictionary is filled as a list")
		}
		for i := 0; i < len(items); i += 2 {
			into.keys, into.values = append(into.keys, items[i]), append(into.values, items[i+1])
		}
	default:
		return m.refuse("items for what takes none")
	}
	return nil
}

// remember puts the top of the stack into the memo, or something of the memo onto the stack.
func (m *machine) remember(op byte) *fault.Error {
	index := uint32(len(m.memo))
	if op != opMemoize {
		n := map[byte]uint64{opBinPut: 1, opBinGet: 1, opLongBinPut: 4, opLongBinGet: 4}[op]
		p, refused := m.bytes(n)
		if refused != nil {
			return refused
		}
		var wide [4]byte
		copy(wide[:], p)
		index = binary.LittleEndian.Uint32(wide[:])
	}
	if op == opBinGet || op == opLongBinGet {
		v, known := m.memo[index]
		if !known {
			return m.refuse("the memo has nothing at %d", index)
		}
		m.push(v)
		return nil
	}
	if len(m.stack) == 0 {
		return m.refuse("the stack is empty")
	}
	if _, is := m.stack[len(m.stack)-1].(mark); is {
		return m.refuse("a mark is put into the memo")
	}
	m.memo[index] = m.stack[len(m.stack)-1]
	return nil
}
