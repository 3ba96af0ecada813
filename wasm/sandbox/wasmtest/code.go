package wasmtest

import (
	"encoding/binary"
	"math"
)

// Opcodes without immediates, for use in Code.
const (
	Unreachable byte = 0x00
	Nop         byte = 0x01
	Else        byte = 0x05
	End         byte = 0x0b
	Return      byte = 0x0f
	Drop        byte = 0x1a
	I32Eqz      byte = 0x45
	I32LtS      byte = 0x48
	I32Add      byte = 0x6a
	I32Sub      byte = 0x6b
	I32DivS     byte = 0x6d
	F64Add      byte = 0xa0
	F64Mul      byte = 0xa2
	F64Sqrt     byte = 0x9f
	F64FromI32  byte = 0xb7
)

// Code joins instructions: bytes, byte slices.
func Code(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case byte:
			out = append(out, p)
		case []byte:
			out = append(out, p...)
		default:
			panic("wasmtest: code is made of byte and []byte")
		}
	}
	return out
}

// Const pushes an i32.
func Const(n int32) []byte { return join([]byte{0x41}, Signed(int64(n))) }

// Const64 pushes an i64.
func Const64(n int64) []byte { return join([]byte{0x42}, Signed(n)) }

// Float pushes an f64.
func Float(f float64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{0x44}, math.Float64bits(f))
}

// Call calls function n.
func Call(n uint32) []byte { return join([]byte{0x10}, U32(n)) }

// Get, Set and Tee work on local n.
func Get(n uint32) []byte { return join([]byte{0x20}, U32(n)) }

// Set is explained at Get.
func Set(n uint32) []byte { return join([]byte{0x21}, U32(n)) }

// Tee is explained at Get.
func Tee(n uint32) []byte { return join([]byte{0x22}, U32(n)) }

// Block, Loop and If open a block without result; End closes it.
func Block() []byte { return []byte{0x02, 0x40} }

// Loop is explained at Block.
func Loop() []byte { return []byte{0x03, 0x40} }

// If is explained at Block.
func If() []byte { return []byte{0x04, 0x40} }

// Br and BrIf leave or repeat the block n levels out.
func Br(n uint32) []byte { return join([]byte{0x0c}, U32(n)) }

// BrIf is explained at Br.
func BrIf(n uint32) []byte { return join([]byte{0x0d}, U32(n)) }

// BrTable branches to one of labels, or to otherwise.
func BrTable(labels []uint32, otherwise uint32) []byte {
	out := join([]byte{0x0e}, U32(uint32(len(labels))))
	for _, l := range labels {
		out = append(out, U32(l)...)
	}
	return append(out, U32(otherwise)...)
}

// Load32 and LoadFloat load from the address on the stack plus offset.
func Load32(offset uint32) []byte { return join([]byte{0x28, 2}, U32(offset)) }

// LoadFloat is explained at Load32.
func LoadFloat(offset uint32) []byte { return join([]byte{0x2b, 3}, U32(offset)) }

// MemoryGrow grows by the pages on the stack.
func MemoryGrow() []byte { return []byte{0x40, 0} }

// MemoryFill fills with address, value and size on the stack.
func MemoryFill() []byte { return []byte{0xfc, 11, 0} }

// Repeat repeats code n times.
func Repeat(n int, code ...any) []byte {
	one := Code(code...)
	out := make([]byte, 0, n*len(one))
	for range n {
		out = append(out, one...)
	}
	return out
}

// Locals declares n locals of type t.
func Locals(n uint32, t byte) []byte { return join([]byte{1}, U32(n), []byte{t}) }
