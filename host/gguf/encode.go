package gguf

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// EncodeRow writes values as type t, each rounded once: F32 as they are, F16 and BF16 to nearest with ties to even, Q8_0 as QuantizeQ8_0 does. It
// fails when t is not Writable, or dst is not exactly the blocks of len(src) elements; F16 and BF16 turn what exceeds their range into
// infinities, which the caller looks for.
func EncodeRow(dst []byte, src []float32, t Type) error {
	if !t.Writable() {
		return fmt.Errorf("values of type %v are not written", t)
	}
	if n, ok := t.RowBytes(len(src)); !ok || n != len(dst) {
		return fmt.Errorf("%d elements of %v are not %d bytes", len(src), t, len(dst))
	}
	switch t {
	case Q8_0:
		return QuantizeQ8_0(dst, src)
	case F32:
		for i, v := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
	case F16:
		for i, v := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], tensor.F32ToF16(v))
		}
	case BF16:
		for i, v := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], tensor.F32ToBF16(v))
		}
	}
	return nil
}

// QuantizeQ8_0 writes blocks of 32 values as an f16 scale and 32 signed bytes, with the bytes of ggml's reference: the scale is the largest
// magnitude over 127 in f32, the values times its reciprocal go to the nearest whole number, halves away from zero, and only then the scale is
// rounded to f16. It fails when dst is not exactly the blocks of src, or a value is not finite or exceeds the largest that the scale can hold.
func QuantizeQ8_0(dst []byte, src []float32) error {
	if n, ok := Q8_0.RowBytes(len(src)); !ok || n != len(dst) {
		return fmt.Errorf("%d elements of Q8_0 are not %d bytes", len(src), len(dst))
	}
	for at := 0; len(src) > 0; at, dst, src = at+32, dst[34:], src[32:] {
		in, out := (*[32]float32)(src), (*[34]byte)(dst)
		bits := uint32(0) // of the largest magnitude: those of NaNs and infinities are larger than any
		for _, v := range in {
			bits = max(bits, math.Float32bits(v)&^(1<<31))
		}
		largest := math.Float32frombits(bits)
		if largest-largest != 0 {
			return fmt.Errorf("the block at element %d holds %v, which Q8_0 cannot hold", at, largest)
		}
		d := largest / 127
		scale := tensor.F32ToF16(d)
		if scale&0x7c00 == 0x7c00 {
			return fmt.Errorf("the block at element %d has a value of magnitude %v, which exceeds Q8_0", at, largest)
		}
		reciprocal := float32(0)
		if d != 0 {
			reciprocal = 1 / d
		}
		binary.LittleEndian.PutUint16(out[:], scale)
		for i, v := range in {
			exact := float64(float32(v * reciprocal))
			out[2+i] = byte(int(exact + math.Copysign(0.5, exact))) // the sum is exact in f64
		}
	}
	return nil
}
