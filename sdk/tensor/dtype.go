// Package tensor holds what host, sandbox and backends must agree on about stored tensors: element types, where the bytes
// lie, and conversions that round once.
package tensor

import "fmt"

// DType is an element type as a checkpoint stores it, little-endian.
type DType uint8

// The element types of the safetensors format. Weights are F64, F32, F16 or BF16; the others are carried, never computed with.
const (
	Invalid DType = iota
	Bool
	U8
	I8
	I16
	U16
	I32
	U32
	I64
	U64
	F16
	BF16
	F32
	F64
	C64
	F8E4M3
	F8E5M2
	F8E8M0
	F8E4M3FNUZ
	F8E5M2FNUZ
	F4
	F6E2M3
	F6E3M2
)

var dtypes = [...]struct {
	name string
	bits int
}{
	Invalid: {"INVALID", 0}, Bool: {"BOOL", 8}, U8: {"U8", 8}, I8: {"I8", 8}, I16: {"I16", 16}, U16: {"U16", 16},
	I32: {"I32", 32}, U32: {"U32", 32}, I64: {"I64", 64}, U64: {"U64", 64}, F16: {"F16", 16}, BF16: {"BF16", 16},
	F32: {"F32", 32}, F64: {"F64", 64}, C64: {"C64", 64}, F8E4M3: {"F8_E4M3", 8}, F8E5M2: {"F8_E5M2", 8},
	F8E8M0: {"F8_E8M0", 8}, F8E4M3FNUZ: {"F8_E4M3FNUZ", 8}, F8E5M2FNUZ: {"F8_E5M2FNUZ", 8}, F4: {"F4", 4},
	F6E2M3: {"F6_E2M3", 6}, F6E3M2: {"F6_E3M2", 6},
}

// ParseDType returns the dtype a safetensors header names, exactly as written there.
func ParseDType(name string) (DType, bool) {
	for d, t := range dtypes {
		if t.name == name && DType(d) != Invalid {
			return DType(d), true
		}
	}
	return Invalid, false
}

// String is the safetensors name.
func (d DType) String() string {
	if int(d) >= len(dtypes) {
		return fmt.Sprintf("DType(%d)", uint8(d))
	}
	return dtypes[d].name
}

// Bits is the size of one element in bits, 0 for Invalid.
func (d DType) Bits() int {
	if int(d) >= len(dtypes) {
		return 0
	}
	return dtypes[d].bits
}

// Size is the size of one element in bytes, for the types that fill whole bytes; 0 otherwise.
func (d DType) Size() int {
	if d.Bits()%8 != 0 {
		return 0
	}
	return d.Bits() / 8
}

// IsWeight reports whether Tenon computes with this type: F64, F32, F16 or BF16.
func (d DType) IsWeight() bool { return d == F16 || d == BF16 || d == F32 || d == F64 }

// MarshalText is String.
func (d DType) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDType.
func (d *DType) UnmarshalText(text []byte) error {
	parsed, ok := ParseDType(string(text))
	if !ok {
		return fmt.Errorf("unknown dtype %q", text)
	}
	*d = parsed
	return nil
}

// Ref says where a tensor's bytes lie, in a file whose header has been checked by the process that made the Ref.
type Ref struct {
	Name   string `json:"name"`
	DType  DType  `json:"dtype"`
	Shape  []int  `json:"shape"`
	File   int    `json:"file"`   // index into the table of files that travels beside the refs
	Offset int64  `json:"offset"` // of the first byte, from the start of the file
	Length int64  `json:"length"` // in bytes: the product of Shape times the element size
}

// Elements is the product of Shape; 1 for a scalar.
func (r Ref) Elements() int {
	n := 1
	for _, d := range r.Shape {
		n *= d
	}
	return n
}
