package adapter

import (
	"encoding/binary"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// checkFinite refuses a tensor that holds NaN or Inf. The diagnostics look at factors; what replaces values of the base, magnitudes and
// biases never come before them, so they are looked at here.
func (j *joint) checkFinite(i int) {
	t := &j.Tensors[i]
	first, count := nonFinite(j.Weights.Bytes(t.Tensor), t.DType)
	if count == 0 {
		return
	}
	j.refuse(i, fault.New(fault.ADNonFinite, "%s of %d are not finite, the first at index %d", plural(count, "value"), t.Elements(), first).
		Fix("train the adapter again, or take a checkpoint from before the values were lost"))
}

// nonFinite counts the values whose exponent is all ones, which are NaN and Inf, and finds the first.
func nonFinite(data []byte, dtype tensor.DType) (first, count int) {
	found := func(i int) {
		if count == 0 {
			first = i
		}
		count++
	}
	switch dtype {
	case tensor.F32:
		for i := 0; i+4 <= len(data); i += 4 {
			if binary.LittleEndian.Uint32(data[i:])&0x7f800000 == 0x7f800000 {
				found(i / 4)
			}
		}
	case tensor.F16, tensor.BF16:
		exponent := uint16(0x7c00)
		if dtype == tensor.BF16 {
			exponent = 0x7f80
		}
		for i := 0; i+2 <= len(data); i += 2 {
			if binary.LittleEndian.Uint16(data[i:])&exponent == exponent {
				found(i / 2)
			}
		}
	}
	return first, count
}
