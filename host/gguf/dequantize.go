package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Dequantize computes the values of whole blocks of type t, in f32, as ggml's own code does, to the last bit: every product and every difference
// is rounded once. It fails when src is not exactly the blocks of len(dst) elements, or t is not Readable.
func Dequantize(dst []float32, src []byte, t Type) error {
	if !t.Readable() {
		return unreadable(t)
	}
	if n, ok := t.RowBytes(len(dst)); !ok || n != len(src) {
		return fmt.Errorf("%d bytes are not %d elements of %v", len(src), len(dst), t)
	}
	block, bytes := t.Block()
	switch t {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
		return nil
	case F16:
		return tensor.ToF32(dst, src, tensor.F16)
	case BF16:
		return tensor.ToF32(dst, src, tensor.BF16)
	}
	for ; len(dst) > 0; dst, src = dst[block:], src[bytes:] {
		switch t {
		case Q8_0:
			blockQ8((*[32]float32)(dst), (*[34]byte)(src))
		case Q4_0:
			blockQ4((*[32]float32)(dst), (*[18]byte)(src))
		case Q4_K:
			blockQ4K((*[super]float32)(dst), (*[144]byte)(src))
		case Q5_K:
			blockQ5K((*[super]float32)(dst), (*[176]byte)(src))
		case Q6_K:
			blockQ6K((*[super]float32)(dst), (*[210]byte)(src))
		}
	}
	return nil
}

// unreadable refuses a type that can be described, and copied, but not computed with.
func unreadable(t Type) *fault.Error {
	return fault.New(fault.GGType, "values of type %v are not read", t).
		Fix("use a file whose tensors are of F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q5_K or Q6_K")
}

// half reads an f16.
func half(b []byte) float32 { return tensor.F16ToF32(binary.LittleEndian.Uint16(b)) }

// blockQ8 decodes an f16 scale and 32 signed bytes.
func blockQ8(dst *[32]float32, src *[34]byte) {
	d := half(src[:])
	for i := range dst {
		dst[i] = float32(int8(src[2+i])) * d
	}
}

// blockQ4 decodes an f16 scale and 32 numbers of 4 bits, less 8: the low halves of the bytes first.
func blockQ4(dst *[32]float32, src *[18]byte) {
	d := half(src[:])
	for i, q := range src[2:] {
		dst[i] = float32(int(q&15)-8) * d
		dst[i+16] = float32(int(q>>4)-8) * d
	}
}

// scaleMin unpacks the i-th of 8 scales and minima of 6 bits each from 12 bytes: the first four lie in the low bits of bytes 0 to 3 and 4 to
// 7, the others in the halves of bytes 8 to 11, with their upper two bits in the high bits of the first eight.
func scaleMin(i int, packed []byte) (scale, least float32) {
	if i < 4 {
		return float32(packed[i] & 63), float32(packed[i+4] & 63)
	}
	return float32(packed[i+4]&15 | packed[i-4]>>6<<4), float32(packed[i+4]>>4 | packed[i]>>6<<4)
}

// blockQ4K decodes 8 groups of 32: d·scale·q − dmin·minimum, with q of 4 bits. Two groups share 32 bytes, one in each half of them.
func blockQ4K(dst *[super]float32, src *[144]byte) {
	d, dmin, packed, quants := half(src[0:]), half(src[2:]), src[4:16], src[16:]
	for group := range 8 {
		scale, least := scaleMin(group, packed)
		scale, least = d*scale, dmin*least
		shift := group % 2 * 4
		for i, q := range quants[group/2*32:][:32] {
			dst[group*32+i] = float32(scale*float32(q>>shift&15)) - least
		}
	}
}

// blockQ5K is blockQ4K with a fifth bit: of group g, bit g of 32 bytes of their own.
func blockQ5K(dst *[super]float32, src *[176]byte) {
	d, dmin, packed, fifth, quants := half(src[0:]), half(src[2:]), src[4:16], src[16:48], src[48:]
	for group := range 8 {
		scale, least := scaleMin(group, packed)
		scale, least = d*scale, dmin*least
		shift := group % 2 * 4
		for i, q := range quants[group/2*32:][:32] {
			dst[group*32+i] = float32(scale*float32(q>>shift&15|fifth[i]>>group&1<<4)) - least
		}
	}
}

// blockQ6K decodes 16 groups of 16: d·scale·q, with signed scales and q of 6 bits, less 32. Each half of the block has its lower 4 bits in 64
// bytes, the first 64 elements in their low halves, and its upper 2 bits in 32 bytes, of elements i, i+32, i+64 and i+96 together.
func blockQ6K(dst *[super]float32, src *[210]byte) {
	d := half(src[208:])
	for group := range 16 {
		scale := float32(d * float32(int8(src[192+group])))
		part, place := group/8, group%8*16 // of the half, and of the group's first element in it
		low := (*[16]byte)(src[part*64+place%64:])
		high := (*[16]byte)(src[128+part*32+place%32:])
		lowShift, highShift := place/64*4, place/32*2
		out := (*[16]float32)(dst[group*16:])
		for i := range out {
			out[i] = scale * float32(int(low[i]>>lowShift&15|high[i]>>highShift&3<<4)-32)
		}
	}
}
