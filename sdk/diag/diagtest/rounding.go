package diagtest

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// maxFormats is how many formats the host rounds to in one pass.
const maxFormats = 8

// grid is how a format stores values: block of them at a time, each replaced in place by what the format gives back.
type grid struct {
	block int
	round func(block []float64)
}

var grids = map[abi.Format]grid{
	abi.FormatF16:  {1, func(x []float64) { x[0] = round(x[0], abi.DTypeF16) }},
	abi.FormatBF16: {1, func(x []float64) { x[0] = round(x[0], abi.DTypeBF16) }},
	abi.FormatF32:  {1, func(x []float64) { x[0] = round(x[0], abi.DTypeF32) }},
	abi.FormatQ8_0: {32, roundQ8},
	abi.FormatQ4_0: {32, roundQ4},
	abi.FormatNF4:  {64, roundNF4},
}

// largest gives the first value of the largest magnitude; false where a value is not finite, which leaves the block without a scale.
func largest(x []float64) (value float64, ok bool) {
	for _, v := range x {
		if !isFinite(v) {
			return 0, false
		}
		if math.Abs(v) > math.Abs(value) {
			value = v
		}
	}
	return value, true
}

func spoil(x []float64) {
	for i := range x {
		x[i] = math.NaN()
	}
}

// roundQ8 is GGUF's Q8_0: the scale is the largest magnitude over 127, in f16; values go to the nearest integer, halves away from zero.
func roundQ8(x []float64) {
	top, ok := largest(x)
	if !ok {
		spoil(x)
		return
	}
	scale := math.Abs(top) / 127
	stored := float64(tensor.F16ToF32(tensor.F64ToF16(scale)))
	for i, v := range x {
		if scale == 0 {
			x[i] = 0
			continue
		}
		x[i] = stored * math.Round(v/scale)
	}
}

// roundQ4 is GGUF's Q4_0: the scale is the value of the largest magnitude over -8, in f16; values go to 0 to 15 less 8.
func roundQ4(x []float64) {
	top, ok := largest(x)
	if !ok {
		spoil(x)
		return
	}
	scale := top / -8
	stored := float64(tensor.F16ToF32(tensor.F64ToF16(scale)))
	for i, v := range x {
		if scale == 0 {
			x[i] = 0
			continue
		}
		x[i] = stored * (min(15, math.Floor(v/scale+8.5)) - 8)
	}
}

// levels are those of NF4 (Dettmers and others 2023, as bitsandbytes stores them in f32).
var levels = [16]float64{
	-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
	0.7229568362236023, 1,
}

// roundNF4 gives the nearest level times the largest magnitude; halfway between two levels the lower one.
func roundNF4(x []float64) {
	top, ok := largest(x)
	if !ok {
		spoil(x)
		return
	}
	size := math.Abs(top)
	if size == 0 {
		size = 1
	}
	for i, v := range x {
		level := 0
		for level < 15 && v/size > (levels[level]+levels[level+1])/2 {
			level++
		}
		x[i] = levels[level] * size
	}
}

// rounding is abi.Rounding of stored values w and the unscaled delta beside them, whole blocks of both.
func rounding(w, delta []float64, scale float64, g grid) abi.Rounding {
	out := abi.Rounding{Count: int64(len(w))}
	base, merged := make([]float64, g.block), make([]float64, g.block)
	for at := 0; at < len(w); at += g.block {
		copy(base, w[at:at+g.block])
		g.round(base)
		for i := range merged {
			merged[i] = base[i] + scale*delta[at+i]
		}
		g.round(merged)
		for i := range merged {
			x, d := w[at+i], scale*delta[at+i]
			if !isFinite(x) || !isFinite(d) {
				out.NonFinite++
				continue
			}
			change := merged[i] - base[i]
			if d != 0 {
				out.NonZero++
			}
			if change != 0 {
				out.Changed++
			} else if d != 0 {
				out.Lost++
			}
			if !isFinite(merged[i]) {
				out.Overflow++
				continue
			}
			out.Dot += change * d
			out.DeltaSquares += d * d
			out.RoundedSquares += change * change
			out.ErrorSquares += (change - d) * (change - d)
			out.BaseSquares += x * x
			out.BaseError += (x - base[i]) * (x - base[i])
		}
	}
	return out
}
