package diagtest

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// round gives the value of dtype nearest to x, ties to even.
func round(x float64, dtype abi.DType) float64 {
	switch dtype {
	case abi.DTypeBF16:
		return float64(tensor.BF16ToF32(tensor.F64ToBF16(x)))
	case abi.DTypeF16:
		return float64(tensor.F16ToF32(tensor.F64ToF16(x)))
	case abi.DTypeF32:
		return float64(float32(x))
	}
	return x
}

// isFinite does not subtract x from itself: where x is a product, a compiler may fuse the two.
func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// roundLoss is abi.RoundLoss, from the dense delta. Entries where W, the delta or what they round to is not finite are in no sum.
func roundLoss(w, b, a Matrix, scale float64, dtype abi.DType) abi.RoundLoss {
	delta := b.Times(a)
	loss := abi.RoundLoss{Count: int64(len(w.Values)), FirstOverflow: -1}
	for i, x := range w.Values {
		d := scale * delta.Values[i]
		merged := round(x+d, dtype)
		if d != 0 {
			loss.NonZero++
		}
		if merged != x && (!math.IsNaN(merged) || !math.IsNaN(x)) {
			loss.Changed++
		} else if d != 0 {
			loss.Lost++
		}
		if !isFinite(x) || !isFinite(d) {
			continue
		}
		if !isFinite(merged) {
			loss.Overflow++
			if loss.FirstOverflow < 0 {
				loss.FirstOverflow = int64(i)
			}
			continue
		}
		rounded := merged - x
		loss.Dot += rounded * d
		loss.DeltaSquares += d * d
		loss.RoundedSquares += rounded * rounded
		loss.ErrorSquares += (rounded - d) * (rounded - d)
	}
	return loss
}

// stats is abi.Stats of m, whose elements are stored as dtype.
func stats(m Matrix, dtype abi.DType) abi.Stats {
	out := abi.Stats{Count: int64(len(m.Values)), FirstNonFinite: -1, Min: math.Inf(1), Max: math.Inf(-1)}
	smallest := map[abi.DType]float64{abi.DTypeF16: 0x1p-14, abi.DTypeBF16: 0x1p-126, abi.DTypeF32: 0x1p-126, abi.DTypeF64: 0x1p-1022}[dtype]
	rowZeros, colZeros := make([]int, m.Rows), make([]int, m.Cols)
	for i, v := range m.Values {
		switch {
		case math.IsNaN(v):
			out.NaN++
		case math.IsInf(v, 0):
			out.Inf++
		case v == 0:
			out.Zero++
			rowZeros[i/m.Cols]++
			colZeros[i%m.Cols]++
		case math.Abs(v) < smallest:
			out.Subnormal++
		}
		if !isFinite(v) {
			if out.FirstNonFinite < 0 {
				out.FirstNonFinite = int64(i)
			}
			continue
		}
		out.Min, out.Max = min(out.Min, v), max(out.Max, v)
		out.Sum += v
		out.SumSquares += v * v
	}
	if out.Min > out.Max {
		out.Min, out.Max = 0, 0
	}
	for _, n := range rowZeros {
		if n == m.Cols {
			out.ZeroRows++
		}
	}
	for _, n := range colZeros {
		if n == m.Rows {
			out.ZeroCols++
		}
	}
	return out
}
