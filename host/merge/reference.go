package merge

import (
	"encoding/binary"
	"math"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// exactRows is how many rows of each tensor are recomputed by the definition, which holds the host's own kernels to it. All rows are held
// against what those kernels give.
const exactRows = 2

// chooseRows draws exactRows rows, or fewer of a matrix that has fewer.
func chooseRows(seed uint64, rows int) map[int]bool {
	exact := map[int]bool{}
	for i := range min(exactRows, rows) {
		exact[int((seed>>1+uint64(i)*0x9e3779b97f4a7c15)%uint64(rows))] = true
	}
	return exact
}

func mismatch(item Item, cause string, args ...any) error {
	return fault.New(fault.MergeMismatch, cause, args...).Of(item.Name).
		Fix("the backend computed something else than the merge rule: do not use it; run its conformance test")
}

// leftFactors writes the factors of row i of a delta as it is stored: delta = left · right.
func leftFactors(dst []float32, d *kernel.Delta, i int) {
	if !d.FanInFanOut {
		copy(dst, d.SB[i*d.Rank:(i+1)*d.Rank])
		return
	}
	for k := range dst {
		dst[k] = d.A[k*d.In+i]
	}
}

// mergedRow merges stored row i by the definition, entry by entry in portable code: what the kernels are held against.
func mergedRow(d *kernel.Delta, i int, stored []byte, dtype tensor.DType) []byte {
	cols := len(stored) / dtype.Size()
	left, deltas, merged := make([]float32, d.Rank), make([]float32, cols), make([]float32, cols)
	leftFactors(left, d, i)
	for k, factor := range left {
		for j, sum := range deltas {
			if d.FanInFanOut {
				deltas[j] = kernel.FMA32(factor, d.SB[j*d.Rank+k], sum)
			} else {
				deltas[j] = kernel.FMA32(factor, d.A[k*d.In+j], sum)
			}
		}
	}
	if err := tensor.ToF32(merged, stored, dtype); err != nil {
		return nil // never: the plan has weights of these dtypes only
	}
	row := make([]byte, 0, len(stored))
	for j, w := range merged {
		sum := w + deltas[j]
		if w != w {
			sum = w // a NaN of the base stays that NaN
		} else if sum != sum {
			sum = math.Float32frombits(0x7fc00000) // one that arises has no payload
		}
		switch dtype {
		case tensor.BF16:
			row = binary.LittleEndian.AppendUint16(row, tensor.F32ToBF16(sum))
		case tensor.F16:
			row = binary.LittleEndian.AppendUint16(row, tensor.F32ToF16(sum))
		default:
			bits := math.Float32bits(sum)
			if w != w {
				bits |= 1 << 22
			}
			row = binary.LittleEndian.AppendUint32(row, bits)
		}
	}
	return row
}
