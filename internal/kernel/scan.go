package kernel

import (
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// scanKernels read stored values: they widen, count and sum.
type scanKernels struct {
	bf16, f16, f32 scanLoops
	formats        formatLoops
}

// scanLoops are the loops over rows of one dtype. Each takes n values, a multiple of scanLanes, and adds to the lanes it is given. Where one is
// nil, portable code does it all.
type scanLoops struct {
	widen  func(n int, src *byte, dst *float64)
	census func(n int, row *byte, lanes *float64, extrema *float32)
	signed func(n int, row *byte, x *int8, lanes *float64)
	loss   func(n int, row *byte, delta *float32, lanes *float64) (changed, nonZero, lost int)
}

var scanGeneric = scanKernels{}

// scanLanes is how many partial sums a scan has: element j goes to lane j mod 16, and the lanes are added pairwise at distance 8, 4, 2, 1.
const scanLanes = 16

// loops returns the loops for a dtype.
func (s *scanKernels) loops(dtype tensor.DType) *scanLoops {
	switch dtype {
	case tensor.BF16:
		return &s.bf16
	case tensor.F16:
		return &s.f16
	case tensor.F32:
		return &s.f32
	}
	return &scanLoops{}
}

// checkRow holds the bytes of a row against the number of its values.
func checkRow(row []byte, dtype tensor.DType, values int) {
	if !dtype.IsWeight() || len(row) != values*dtype.Size() {
		panic(fmt.Sprintf("kernel: %d bytes of %v are not %d values", len(row), dtype, values))
	}
}

// Widen writes stored values as f64, exactly. src has len(dst) values of a weight dtype.
func Widen(dst []float64, src []byte, dtype tensor.DType) {
	checkRow(src, dtype, len(dst))
	whole := 0
	if loop := active.scan.loops(dtype).widen; loop != nil && len(dst) >= scanLanes {
		whole = len(dst) / scanLanes * scanLanes
		loop(whole, &src[0], &dst[0])
	}
	widen(dst[whole:], src[whole*dtype.Size():], dtype)
}

// widen is Widen in portable code.
func widen(dst []float64, src []byte, dtype tensor.DType) {
	if err := tensor.ToF64(dst, src, dtype); err != nil {
		panic(err) // never: the lengths were checked
	}
}

// SignedSum returns the sum of ±w over the stored values w of a row, with the signs of x, whose entries are +1 and -1: an f64 sum in 16
// lanes. Element j is added to lane j mod 16, j ascending, every lane starts from +0, and then lanes l and l+8 are added, l and l+4, l and
// l+2, and the last two. row has len(x) values of a weight dtype.
func SignedSum(row []byte, dtype tensor.DType, x []int8) float64 {
	checkRow(row, dtype, len(x))
	var lanes [scanLanes]float64
	at := 0
	if loop := active.scan.loops(dtype).signed; loop != nil && len(x) >= scanLanes {
		at = len(x) / scanLanes * scanLanes
		loop(at, &row[0], &x[0], &lanes[0])
	}
	eachGroup(row, dtype, at, len(x), func(at int, values []float64) {
		for l, v := range values {
			lanes[l] += math.Copysign(1, float64(x[at+l])) * v // ±v, exact; only the sign counts, as in assembly
		}
	})
	return addLanes(lanes[:])
}

// eachGroup widens the values of a row from the one at on, as many as there are lanes at a time.
func eachGroup(row []byte, dtype tensor.DType, at, n int, visit func(at int, values []float64)) {
	var values [scanLanes]float64
	for ; at < n; at += scanLanes {
		group := values[:min(scanLanes, n-at)]
		widen(group, row[at*dtype.Size():][:len(group)*dtype.Size()], dtype)
		visit(at, group)
	}
}

// addLanes adds lanes pairwise, a power of two of them, and uses them up.
func addLanes(lanes []float64) float64 {
	for distance := len(lanes) / 2; distance > 0; distance /= 2 {
		for l := range distance {
			lanes[l] += lanes[l+distance]
		}
	}
	return lanes[0]
}
