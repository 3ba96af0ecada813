package kernel

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Census is what there is to say of values that are neither zero nor subnormal nor anything but finite.
type Census struct {
	Min, Max        float64
	Sum, SumSquares float64 // in lanes as SignedSum, squares by fused multiply-add
}

// TakeCensus looks at the stored values of a row, at least one, of a weight dtype. It is false where one of them is zero, subnormal in its dtype,
// NaN or infinite; then there is no census.
func TakeCensus(row []byte, dtype tensor.DType) (Census, bool) {
	n := len(row) / dtype.Size()
	checkRow(row, dtype, n)
	t := newCensusTally()
	at := 0
	if loop := active.scan.loops(dtype).census; loop != nil && n >= scanLanes {
		at = n / scanLanes * scanLanes
		t.run(loop, at, row)
	}
	eachGroup(row, dtype, at, n, func(_ int, values []float64) { t.add(values) })
	return t.census(SmallestNormal(dtype))
}

// ValuesCensus is TakeCensus of values in memory, which are subnormal below tiny. Where it is false for another reason than an overflow
// of the sum, the sums are still those of all values.
func ValuesCensus(values []float64, tiny float64) (Census, bool) {
	t := newCensusTally()
	for ; len(values) > scanLanes; values = values[scanLanes:] {
		t.add(values[:scanLanes])
	}
	t.add(values)
	return t.census(tiny)
}

// SmallestNormal is the smallest magnitude above zero that a weight dtype stores with full precision.
func SmallestNormal(d tensor.DType) float64 {
	switch d {
	case tensor.F16:
		return 0x1p-14
	case tensor.F64:
		return 0x1p-1022
	}
	return 0x1p-126
}

// censusTally is a census under way. Extrema do not depend on any order, so portable code and loops keep their own.
type censusTally struct {
	sums              struct{ sum, squares [scanLanes]float64 }
	least, most, size float64 // size is the least magnitude; NaN is in none of them, but in the sums
}

func newCensusTally() censusTally {
	return censusTally{least: math.Inf(1), most: math.Inf(-1), size: math.Inf(1)}
}

func (t *censusTally) add(values []float64) {
	for l, v := range values {
		t.sums.sum[l] += v
		t.sums.squares[l] = math.FMA(v, v, t.sums.squares[l])
		if v < t.least {
			t.least = v
		}
		if v > t.most {
			t.most = v
		}
		if size := math.Abs(v); size < t.size {
			t.size = size
		}
	}
}

// run lets a loop take the first n values of a row.
func (t *censusTally) run(loop func(n int, row *byte, lanes *float64, extrema *float32), n int, row []byte) {
	var extrema [3][scanLanes]float32
	for l := range scanLanes {
		extrema[0][l], extrema[1][l], extrema[2][l] = float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.Inf(1))
	}
	loop(n, &row[0], &t.sums.sum[0], &extrema[0][0])
	for l := range scanLanes {
		t.least = min(t.least, float64(extrema[0][l]))
		t.most = max(t.most, float64(extrema[1][l]))
		t.size = min(t.size, float64(extrema[2][l]))
	}
}

// census is false as TakeCensus is, and where the sum of finite f64 values overflows.
func (t *censusTally) census(tiny float64) (Census, bool) {
	c := Census{Min: t.least, Max: t.most, Sum: addLanes(t.sums.sum[:]), SumSquares: addLanes(t.sums.squares[:])}
	return c, c.Sum-c.Sum == 0 && t.size >= tiny
}
