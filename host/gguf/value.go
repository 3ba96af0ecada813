package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// ValueType is the type of a key's value, by GGUF's number.
type ValueType uint32

// The types of values.
const (
	Uint8 ValueType = iota
	Int8
	Uint16
	Int16
	Uint32
	Int32
	Float32
	Bool
	String
	Array
	Uint64
	Int64
	Float64
	valueTypes // how many there are
)

var valueNames = [valueTypes]string{
	"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64",
}

// valueSizes are bytes; String and Array have no size of their own.
var valueSizes = [valueTypes]int{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}

// String is the type's short name, or its number where it is not known.
func (v ValueType) String() string {
	if v < valueTypes {
		return valueNames[v]
	}
	return fmt.Sprintf("value type %d", uint32(v))
}

// Pair is a key with its value, kept as the file has it, so that a file can be written with the very bytes of another.
type Pair struct {
	Key  string
	Type ValueType
	Raw  []byte // the value after its type: checked, so that reading it cannot fail
}

// TextPair is a pair with a string.
func TextPair(key, value string) Pair { return Pair{key, String, appendText(nil, value)} }

// UintPair is a pair with a u32.
func UintPair(key string, value uint32) Pair {
	return Pair{key, Uint32, binary.LittleEndian.AppendUint32(nil, value)}
}

// FloatPair is a pair with an f32.
func FloatPair(key string, value float32) Pair {
	return Pair{key, Float32, binary.LittleEndian.AppendUint32(nil, math.Float32bits(value))}
}

// TextsPair is a pair with an array of strings.
func TextsPair(key string, values []string) Pair {
	raw := binary.LittleEndian.AppendUint32(nil, uint32(String))
	raw = binary.LittleEndian.AppendUint64(raw, uint64(len(values)))
	for _, v := range values {
		raw = appendText(raw, v)
	}
	return Pair{key, Array, raw}
}

// appendText appends a string as GGUF has it: its length in 8 bytes, then its bytes.
func appendText(to []byte, text string) []byte {
	return append(binary.LittleEndian.AppendUint64(to, uint64(len(text))), text...)
}

// Text is the value of a string key.
func (h *Header) Text(key string) (string, bool) {
	p, ok := h.Pair(key)
	if !ok || p.Type != String {
		return "", false
	}
	return string(p.Raw[8:]), true
}

// Uint is the value of a key of any whole-number type, where it is not negative.
func (h *Header) Uint(key string) (uint64, bool) {
	p, ok := h.Pair(key)
	if !ok {
		return 0, false
	}
	return wholeNumber(p.Type, p.Raw)
}

// wholeNumber reads the first value of raw; negative numbers and other types have none.
func wholeNumber(t ValueType, raw []byte) (uint64, bool) {
	signed := int64(0)
	switch t {
	case Uint8:
		return uint64(raw[0]), true
	case Uint16:
		return uint64(binary.LittleEndian.Uint16(raw)), true
	case Uint32:
		return uint64(binary.LittleEndian.Uint32(raw)), true
	case Uint64:
		return binary.LittleEndian.Uint64(raw), true
	case Int8:
		signed = int64(int8(raw[0]))
	case Int16:
		signed = int64(int16(binary.LittleEndian.Uint16(raw)))
	case Int32:
		signed = int64(int32(binary.LittleEndian.Uint32(raw)))
	case Int64:
		signed = int64(binary.LittleEndian.Uint64(raw))
	default:
		return 0, false
	}
	return uint64(max(signed, 0)), signed >= 0
}

// Float is the value of an f32 or f64 key.
func (h *Header) Float(key string) (float64, bool) {
	p, ok := h.Pair(key)
	switch {
	case ok && p.Type == Float32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(p.Raw))), true
	case ok && p.Type == Float64:
		return math.Float64frombits(binary.LittleEndian.Uint64(p.Raw)), true
	}
	return 0, false
}

// Count is the number of elements of an array key.
func (h *Header) Count(key string) (int, bool) {
	p, ok := h.Pair(key)
	if !ok || p.Type != Array {
		return 0, false
	}
	return int(binary.LittleEndian.Uint64(p.Raw[4:])), true
}

// Strings is the value of a key with an array of strings.
func (h *Header) Strings(key string) ([]string, bool) {
	elements, raw, ok := h.array(key)
	if !ok || elements != String {
		return nil, false
	}
	var texts []string
	for len(raw) > 0 {
		n := binary.LittleEndian.Uint64(raw)
		texts = append(texts, string(raw[8:8+n]))
		raw = raw[8+n:]
	}
	return texts, true
}

// array is the type of an array's elements, and their bytes.
func (h *Header) array(key string) (elements ValueType, raw []byte, ok bool) {
	p, ok := h.Pair(key)
	if !ok || p.Type != Array {
		return 0, nil, false
	}
	return ValueType(binary.LittleEndian.Uint32(p.Raw)), p.Raw[12:], true
}
