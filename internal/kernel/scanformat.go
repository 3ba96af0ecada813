package kernel

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// formatLoops replace values in place by what a format gives back of them, for n a multiple of the format's block, or of 4 where a block is one
// value. sums takes the sums of TakeRounding, for n a multiple of 4. Where one is nil, portable code does it all.
type formatLoops struct {
	bf16, f16, f32, q8, q4, nf4 func(n int, values *float64)
	sums                        func(n int, weights, delta, base, merged, lanes *float64) (changed, nonZero, lost int)
}

// The formats below replace each value by what the format gives back. Blocks of more than one value have a scale;
// where one of its values is not finite, none is given back.
const (
	Q8Block  = 32
	Q4Block  = 32
	NF4Block = 64
)

// RoundBF16 rounds each value once, ties to even.
func RoundBF16(values []float64) {
	eachValue(values, active.scan.formats.bf16, func(v float64) float64 { return nearest(v, 0x1p-126, 0x1.8p45, 0x1.fep127) })
}

// RoundF16 rounds each value once, ties to even.
func RoundF16(values []float64) {
	eachValue(values, active.scan.formats.f16, func(v float64) float64 { return nearest(v, 0x1p-14, 0x1.8p42, 65504) })
}

// nearest rounds v to a floating-point format whose smallest normal magnitude is least and largest finite one is most. Adding one and a half
// times the power of two whose last bit has the weight of the format's, and taking it off again, rounds to nearest, ties to even. shift is that
// power over the one of v's own magnitude.
func nearest(v, least, shift, most float64) float64 {
	power := math.Float64frombits(math.Float64bits(v) & 0x7ff0000000000000)
	power = min(max(power, least), 0x1p500) // what is larger overflows anyway
	shifted := float64(power * shift)
	rounded := (v + shifted) - shifted
	if math.Abs(rounded) > most {
		rounded = math.Inf(1)
	}
	return math.Copysign(rounded, v)
}

// RoundF32 rounds each value once, ties to even.
func RoundF32(values []float64) {
	eachValue(values, active.scan.formats.f32, func(v float64) float64 { return float64(float32(v)) })
}

// eachValue rounds by the loop what it can, and the rest one by one.
func eachValue(values []float64, loop func(n int, values *float64), round func(float64) float64) {
	if whole := len(values) &^ 3; loop != nil && whole > 0 {
		loop(whole, &values[0])
		values = values[whole:]
	}
	for i, v := range values {
		values[i] = round(v)
	}
}

// RoundQ8 is GGUF's Q8_0, in f64: the scale is the largest magnitude over 127, values are divided by it and go to the nearest integer,
// halves away from zero, and the scale is stored in f16. values are whole blocks.
func RoundQ8(values []float64) { eachBlock(values, Q8Block, active.scan.formats.q8, roundQ8) }

// RoundQ4 is GGUF's Q4_0, in f64: the scale is the value of the largest magnitude over -8, values over it go to the whole numbers -8 to 7,
// and the scale is stored in f16. values are whole blocks.
func RoundQ4(values []float64) { eachBlock(values, Q4Block, active.scan.formats.q4, roundQ4) }

// RoundNF4 is bitsandbytes' NF4 without double quantization, in f64: the nearest level times the largest magnitude. values are whole blocks.
func RoundNF4(values []float64) { eachBlock(values, NF4Block, active.scan.formats.nf4, roundNF4) }

// eachBlock rounds blocks by the loop, or one after the other with the first of its values of the largest magnitude, that of many.
func eachBlock(values []float64, size int, loop func(n int, values *float64), round func(block []float64, top float64)) {
	if len(values)%size != 0 {
		panic("kernel: values are not whole blocks")
	}
	if loop != nil && len(values) > 0 {
		loop(len(values), &values[0])
		return
	}
	for ; len(values) > 0; values = values[size:] {
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

func roundQ8(block []float64, top float64) {
	scale := math.Abs(top) / 127
	if scale == 0 {
		clear(block)
		return
	}
	stored := float64(tensor.F16ToF32(tensor.F64ToF16(scale)))
	for i, v := range block {
		quotient := v / scale
		whole, up, down := math.Trunc(quotient), 0.0, 0.0
		if rest := quotient - whole; rest >= 0.5 {
			up = 1
		} else if rest <= -0.5 {
			down = 1
		}
		block[i] = stored * (whole + up - down) // which makes -0 zero
	}
}

func roundQ4(block []float64, top float64) {
	scale := top / -8
	if scale == 0 {
		clear(block)
		return
	}
	stored := float64(tensor.F16ToF32(tensor.F64ToF16(scale)))
	for i, v := range block {
		block[i] = stored * (min(15, math.Trunc(v/scale+8.5)) - 8)
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
		block[i] = normalFloat[level] * size
	}
}
