package kernel

import (
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// format is how values are stored: block of them at a time along a row, each replaced in place by what the format gives back. A block of
// more than one value has a scale; where one of its values is not finite, none is given back.
type format struct {
	block int
	round func(values []float64) // whole blocks
	exact []tensor.DType         // which it gives back as they are
}

var formats = map[abi.Format]format{
	abi.FormatF16:  {1, roundF16, []tensor.DType{tensor.F16}},
	abi.FormatBF16: {1, roundBF16, []tensor.DType{tensor.BF16}},
	abi.FormatF32:  {1, roundF32, []tensor.DType{tensor.F16, tensor.BF16, tensor.F32}},
	abi.FormatQ8_0: {32, blocks(32, roundQ8), nil},
	abi.FormatQ4_0: {32, blocks(32, roundQ4), nil},
	abi.FormatNF4:  {64, blocks(64, roundNF4), nil},
}

// CheckFormats refuses formats that are unknown, or whose blocks do not fill rows of so many values.
func CheckFormats(all []abi.Format, cols int) error {
	for _, f := range all {
		switch block := formats[f].block; {
		case block == 0:
			return fmt.Errorf("format %d: %w", f, ErrDType)
		case cols%block != 0:
			return fmt.Errorf("rows of %d values are not whole blocks of %d, as format %d stores them: %w", cols, block, f, ErrShape)
		}
	}
	return nil
}

// roundBF16 rounds each value once, ties to even.
func roundBF16(x []float64) {
	for i, v := range x {
		bits := math.Float64bits(v)
		if exponent := bits >> 52 & 0x7ff; exponent-(1023-126) <= 126+126 { // normal, and not the last binade, which could overflow
			x[i] = math.Float64frombits((bits + (1<<44 - 1) + bits>>45&1) &^ (1<<45 - 1))
			continue
		}
		x[i] = float64(tensor.BF16ToF32(tensor.F64ToBF16(v)))
	}
}

// roundF16 rounds each value once, ties to even.
func roundF16(x []float64) {
	for i, v := range x {
		bits := math.Float64bits(v)
		if exponent := bits >> 52 & 0x7ff; exponent-(1023-14) <= 14+14 { // as for BF16
			x[i] = math.Float64frombits((bits + (1<<41 - 1) + bits>>42&1) &^ (1<<42 - 1))
			continue
		}
		x[i] = float64(tensor.F16ToF32(tensor.F64ToF16(v)))
	}
}

func roundF32(x []float64) {
	for i, v := range x {
		x[i] = float64(float32(v))
	}
}

// blocks makes the rounding of one block, by the first of its values of the largest magnitude, that of many.
func blocks(size int, round func(block []float64, top float64)) func(values []float64) {
	return func(values []float64) {
		for ; len(values) >= size; values = values[size:] {
			block := values[:size]
			var top float64
			finite := true
			for _, v := range block {
				finite = finite && v-v == 0
				if math.Abs(v) > math.Abs(top) {
					top = v
				}
			}
			if !finite {
				for i := range block {
					block[i] = math.NaN()
				}
				continue
			}
			round(block, top)
		}
	}
}

// roundQ8 is GGUF's Q8_0, in f64: the scale is the largest magnitude over 127, values are divided by it and go to the nearest integer,
// halves away from zero, and the scale is stored in f16.
func roundQ8(block []float64, top float64) {
	scale := math.Abs(top) / 127
	if scale == 0 {
		clear(block)
		return
	}
	stored := float64(tensor.F16ToF32(tensor.F64ToF16(scale)))
	for i, v := range block {
		quotient := v / scale
		whole := float64(int64(quotient))
		if rest := quotient - whole; rest >= 0.5 {
			whole++
		} else if rest <= -0.5 {
			whole--
		}
		block[i] = float64(stored * whole)
	}
}

// roundQ4 is GGUF's Q4_0, in f64: the scale is the value of the largest magnitude over -8, values over it go to the whole numbers -8 to 7,
// and the scale is stored in f16.
func roundQ4(block []float64, top float64) {
	scale := top / -8
	if scale == 0 {
		clear(block)
		return
	}
	stored := float64(tensor.F16ToF32(tensor.F64ToF16(scale)))
	for i, v := range block {
		block[i] = float64(stored * float64(min(15, int64(v/scale+8.5))-8))
	}
}

// normalFloat are the levels of NF4 (Dettmers and others, QLoRA, 2023, appendix E), as bitsandbytes has them in f32.
var normalFloat = [16]float64{
	-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
	0.7229568362236023, 1,
}

// normalMiddle[i] is halfway between levels i and i+1. What lies there goes to level i.
var normalMiddle = func() (middle [15]float64) {
	for i := range middle {
		middle[i] = (normalFloat[i] + normalFloat[i+1]) / 2
	}
	return middle
}()

// roundNF4 is bitsandbytes' NF4 without double quantization, in f64: the nearest level times the largest magnitude.
func roundNF4(block []float64, top float64) {
	size := math.Abs(top)
	if size == 0 {
		clear(block)
		return
	}
	for i, v := range block {
		share, level := v/size, 0
		for step := 8; step > 0; step /= 2 {
			if share > normalMiddle[level+step-1] {
				level += step
			}
		}
		block[i] = float64(normalFloat[level] * size)
	}
}
