package kernel

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// storage is how entries of a dtype are read and written. It is the definition of what merging does to an entry, which the kernels are held to.
type storage struct {
	size  int                                            // bytes of an entry
	add   func(v []float32, src []byte)                  // adds the entries src: v = f32(src) + v
	store func(dst, src []byte, values []float32) Counts // rounds values once, which replace src, to dst
}

// storedAs fails for a dtype that cannot be merged.
func storedAs(dtype tensor.DType) (storage, error) {
	switch dtype {
	case tensor.BF16:
		return storage{2, addBF16, roundBF16}, nil
	case tensor.F16:
		return storage{2, addF16, roundF16}, nil
	case tensor.F32:
		return storage{4, addF32, roundF32}, nil
	}
	return storage{}, fmt.Errorf("dtype %v cannot be merged: BF16, F16 and F32 can", dtype)
}

func addBF16(v []float32, src []byte) {
	src = src[:2*len(v)]
	for j, add := range v {
		v[j] = tensor.BF16ToF32(binary.LittleEndian.Uint16(src[2*j:])) + add
	}
}

func addF16(v []float32, src []byte) {
	src = src[:2*len(v)]
	for j, add := range v {
		v[j] = tensor.F16ToF32(binary.LittleEndian.Uint16(src[2*j:])) + add
	}
}

func addF32(v []float32, src []byte) {
	src = src[:4*len(v)]
	for j, add := range v {
		v[j] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*j:])) + add
	}
}

func roundBF16(dst, src []byte, values []float32) (c Counts) {
	dst, src = dst[:2*len(values)], src[:2*len(values)]
	for j, v := range values {
		before := binary.LittleEndian.Uint16(src[2*j:])
		after := tensor.F32ToBF16(v)
		if after&0x7f80 == 0x7f80 { // not finite
			if before&0x7fff > 0x7f80 {
				after = before | 0x40
			} else {
				if after&0x7f != 0 {
					after = 0x7fc0
				}
				if before&0x7f80 != 0x7f80 {
					c.NonFinite++
				}
			}
		}
		if after != before {
			c.Changed++
		}
		binary.LittleEndian.PutUint16(dst[2*j:], after)
	}
	return c
}

func roundF16(dst, src []byte, values []float32) (c Counts) {
	dst, src = dst[:2*len(values)], src[:2*len(values)]
	for j, v := range values {
		before := binary.LittleEndian.Uint16(src[2*j:])
		after := tensor.F32ToF16(v)
		if after&0x7c00 == 0x7c00 {
			if before&0x7fff > 0x7c00 {
				after = before | 0x200
			} else {
				if after&0x3ff != 0 {
					after = 0x7e00
				}
				if before&0x7c00 != 0x7c00 {
					c.NonFinite++
				}
			}
		}
		if after != before {
			c.Changed++
		}
		binary.LittleEndian.PutUint16(dst[2*j:], after)
	}
	return c
}

func roundF32(dst, src []byte, values []float32) (c Counts) {
	dst, src = dst[:4*len(values)], src[:4*len(values)]
	for j, v := range values {
		before := binary.LittleEndian.Uint32(src[4*j:])
		after := math.Float32bits(v)
		if after&0x7f800000 == 0x7f800000 {
			if before&0x7fffffff > 0x7f800000 {
				after = before | 0x400000
			} else {
				if after&0x7fffff != 0 {
					after = math.Float32bits(canonicalNaN)
				}
				if before&0x7f800000 != 0x7f800000 {
					c.NonFinite++
				}
			}
		}
		if after != before {
			c.Changed++
		}
		binary.LittleEndian.PutUint32(dst[4*j:], after)
	}
	return c
}
