package gguf

import "fmt"

// Type is how a tensor's values are stored, by ggml's number.
type Type uint32

// The types that are read; BF16, F16, F32 and Q8_0 are also written.
const (
	F32  Type = 0
	F16  Type = 1
	Q4_0 Type = 2
	Q8_0 Type = 8
	Q4_K Type = 12
	Q5_K Type = 13
	Q6_K Type = 14
	BF16 Type = 30
)

// super is the number of elements of a block of the K-quants and of their relatives.
const super = 256

// layout is what is known of a type: blocks of so many elements take so many bytes.
type layout struct {
	name            string
	elements, bytes int
}

// layouts are ggml's types. The numbers that are missing were of types that ggml has removed.
var layouts = map[Type]layout{
	F32: {"F32", 1, 4}, F16: {"F16", 1, 2}, BF16: {"BF16", 1, 2}, 28: {"F64", 1, 8},
	24: {"I8", 1, 1}, 25: {"I16", 1, 2}, 26: {"I32", 1, 4}, 27: {"I64", 1, 8},
	Q4_0: {"Q4_0", 32, 18}, 3: {"Q4_1", 32, 20}, 6: {"Q5_0", 32, 22}, 7: {"Q5_1", 32, 24}, Q8_0: {"Q8_0", 32, 34}, 9: {"Q8_1", 32, 36},
	10: {"Q2_K", super, 84}, 11: {"Q3_K", super, 110}, Q4_K: {"Q4_K", super, 144}, Q5_K: {"Q5_K", super, 176}, Q6_K: {"Q6_K", super, 210},
	15: {"Q8_K", super, 292},
	16: {"IQ2_XXS", super, 66}, 17: {"IQ2_XS", super, 74}, 18: {"IQ3_XXS", super, 98}, 19: {"IQ1_S", super, 50}, 20: {"IQ4_NL", 32, 18},
	21: {"IQ3_S", super, 110}, 22: {"IQ2_S", super, 82}, 23: {"IQ4_XS", super, 136}, 29: {"IQ1_M", super, 56},
	34: {"TQ1_0", super, 54}, 35: {"TQ2_0", super, 66}, 39: {"MXFP4", 32, 17}, 40: {"NVFP4", 64, 36}, 41: {"Q1_0", 128, 18},
}

// String is ggml's name, or the number of a type that is not known.
func (t Type) String() string {
	if l, ok := layouts[t]; ok {
		return l.name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Block is the number of elements of one block and its size in bytes; both are 0 for a type that is not known.
func (t Type) Block() (elements, bytes int) {
	l := layouts[t]
	return l.elements, l.bytes
}

// Readable says whether Dequantize reads the type.
func (t Type) Readable() bool {
	switch t {
	case F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q5_K, Q6_K:
		return true
	}
	return false
}

// Writable says whether EncodeRow writes the type.
func (t Type) Writable() bool {
	switch t {
	case F32, F16, BF16, Q8_0:
		return true
	}
	return false
}

// RowBytes is the size of a row of so many elements, which must be whole blocks of a known type; otherwise ok is false.
func (t Type) RowBytes(elements int) (bytes int, ok bool) {
	block, size := t.Block()
	if block == 0 || elements < 0 || elements%block != 0 || elements/block > (1<<62)/size {
		return 0, false
	}
	return elements / block * size, true
}
