package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
)

// BF16ToF32 widens exactly.
func BF16ToF32(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// F32ToBF16 rounds to nearest, ties to even. NaN stays NaN (quiet, payload's upper bits kept); what exceeds the range becomes Inf.
func F32ToBF16(f float32) uint16 {
	bits := math.Float32bits(f)
	if bits&0x7fffffff > 0x7f800000 {
		return uint16(bits>>16) | 0x40
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// F16ToF32 widens exactly.
func F16ToF32(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0x1f:
		if frac != 0 {
			frac |= 0x200 // quiet
		}
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case 0:
		value := float32(frac) * 0x1p-24 // exact: frac has at most 10 bits
		return math.Float32frombits(math.Float32bits(value) | sign)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

// F32ToF16 rounds to nearest, ties to even, subnormals included. NaN stays NaN; what exceeds the range becomes Inf.
func F32ToF16(f float32) uint16 {
	bits := math.Float32bits(f)
	sign, abs := uint16(bits>>16&0x8000), bits&0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00 | uint16(abs>>13&0x1ff)
	case abs >= 0x477ff000: // at least 65520, the midpoint above the largest finite value
		return sign | 0x7c00
	case abs < 0x38800000: // below 2^-14: adding 0.5 aligns the subnormal's last bit with the f32's last bit, and rounds once
		return sign | uint16(math.Float32bits(math.Float32frombits(abs)+0.5)-0x3f000000)
	}
	return sign | uint16((abs-0x38000000+0xfff+abs>>13&1)>>13)
}

// F64ToF32Odd rounds to f32 by rounding to odd: a later rounding to a type of at most 22 significant bits then equals one rounding of the f64.
func F64ToF32Odd(f float64) float32 {
	narrow := float32(f)
	if float64(narrow) == f || math.IsNaN(f) || math.IsInf(f, 0) {
		return narrow
	}
	bits := math.Float32bits(narrow)
	if math.IsInf(float64(narrow), 0) {
		return math.Float32frombits(bits - 1) // the largest finite value is odd
	}
	if bits&1 == 1 {
		return narrow
	}
	if math.Abs(float64(narrow)) > math.Abs(f) {
		return math.Float32frombits(bits - 1)
	}
	return math.Float32frombits(bits + 1)
}

// F64ToBF16 rounds once.
func F64ToBF16(f float64) uint16 { return F32ToBF16(F64ToF32Odd(f)) }

// F64ToF16 rounds once.
func F64ToF16(f float64) uint16 { return F32ToF16(F64ToF32Odd(f)) }

// ToF32 widens src, elements of type d, into dst. BF16, F16 and F32 are exact; F64 rounds once. It fails when src is not
// exactly len(dst) elements, or d is not a weight type.
func ToF32(dst []float32, src []byte, d DType) error {
	if err := checkLengths(len(dst), src, d); err != nil {
		return err
	}
	switch d {
	case BF16:
		for i := range dst {
			dst[i] = BF16ToF32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case F16:
		for i := range dst {
			dst[i] = F16ToF32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case F64:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
		}
	}
	return nil
}

// ToF64 widens src, elements of type d, into dst, exactly. It fails as ToF32 does.
func ToF64(dst []float64, src []byte, d DType) error {
	if err := checkLengths(len(dst), src, d); err != nil {
		return err
	}
	switch d {
	case BF16:
		for i := range dst {
			dst[i] = float64(BF16ToF32(binary.LittleEndian.Uint16(src[2*i:])))
		}
	case F16:
		for i := range dst {
			dst[i] = float64(F16ToF32(binary.LittleEndian.Uint16(src[2*i:])))
		}
	case F32:
		for i := range dst {
			dst[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:])))
		}
	case F64:
		for i := range dst {
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))
		}
	}
	return nil
}

func checkLengths(elements int, bytes []byte, d DType) error {
	if !d.IsWeight() {
		return fmt.Errorf("dtype %v is not one that can be computed with", d)
	}
	if len(bytes) != elements*d.Size() {
		return fmt.Errorf("%d bytes are not %d elements of %v", len(bytes), elements, d)
	}
	return nil
}
