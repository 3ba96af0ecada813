package compress

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/kernel"
)

// decompose makes the new factors of one module.
func decompose(a *adapter.Adapter, pair adapter.Pair, c Choice) (Target, error) {
	left, err := matrix(a.Weights, pair.B)
	if err != nil {
		return Target{}, err
	}
	right, err := matrix(a.Weights, pair.A)
	if err != nil {
		return Target{}, err
	}
	u, s, v, rank, err := kernel.DeltaSVD(left, right, pair.Scale)
	if err != nil {
		return Target{}, fault.New(fault.ADNonFinite, "the change of module %s cannot be decomposed", pair.Module).
			In(a.Weights.Name()).Of(pair.B.Name).Wrap(err).Fix("tenon check names what is not finite; save the adapter again")
	}
	t := Target{Module: pair.Module, Rank: pair.Rank, Numerical: rank, pair: pair}
	t.Kept, t.Energy, t.EnergyKept = c.cut(s)
	newB, newA := kernel.NewMatrix(left.Rows, t.Kept), kernel.NewMatrix(t.Kept, right.Cols)
	for k := range min(t.Kept, rank) {
		t.sum += s[k]
		root := math.Sqrt(s[k])
		for i := range newB.Rows {
			newB.Row(i)[k] = root * u.Row(i)[k]
		}
		for j := range newA.Cols {
			newA.Row(k)[j] = root * v.Row(j)[k]
		}
	}
	if t.b, err = encode(a.Weights, pair.B, newB.Data); err != nil {
		return Target{}, err
	}
	t.a, err = encode(a.Weights, pair.A, newA.Data)
	return t, err
}

// cut chooses how many of the singular values s, descending, are kept, and tells the sum of the squares of all and of those. Squares that
// would overflow or vanish are taken relative to the largest value.
func (c Choice) cut(s []float64) (kept int, all, held float64) {
	if len(s) == 0 {
		return 1, 0, 0
	}
	share := make([]float64, len(s)) // of the first k+1 values, relative to s[0]^2
	var sum float64
	for k, value := range s {
		ratio := value / s[0]
		sum += float64(ratio * ratio)
		share[k] = sum
	}
	kept = min(c.Rank, len(s))
	if c.Energy > 0 {
		for kept = 1; kept < len(s) && share[kept-1] < c.Energy*sum; {
			kept++
		}
	}
	return kept, sum * s[0] * s[0], share[kept-1] * s[0] * s[0]
}

// matrix reads a factor.
func matrix(f *safetensors.File, t safetensors.Tensor) (*kernel.Matrix, error) {
	m := kernel.NewMatrix(t.Shape[0], t.Shape[1])
	if err := tensor.ToF64(m.Data, f.Bytes(t), t.DType); err != nil {
		return nil, fault.New(fault.ADDType, "the factor cannot be read").In(f.Name()).Of(t.Name).Wrap(err).
			Fix("save the adapter in F32, F16 or BF16")
	}
	return m, nil
}

// encode rounds each value once to the type of the old factor.
func encode(f *safetensors.File, old safetensors.Tensor, values []float64) ([]byte, error) {
	out := make([]byte, 0, len(values)*old.DType.Size())
	for _, value := range values {
		var infinite bool
		switch old.DType {
		case tensor.F32:
			single := float32(value)
			infinite = math.IsInf(float64(single), 0)
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(single))
		case tensor.F16:
			half := tensor.F64ToF16(value)
			infinite = half&0x7fff == 0x7c00
			out = binary.LittleEndian.AppendUint16(out, half)
		case tensor.BF16:
			half := tensor.F64ToBF16(value)
			infinite = half&0x7fff == 0x7f80
			out = binary.LittleEndian.AppendUint16(out, half)
		default:
			return nil, fmt.Errorf("%s: %v is no type of a factor", old.Name, old.DType)
		}
		if infinite {
			return nil, fault.New(fault.ADDType, "the new factor has an entry of %.4g, which %v cannot hold", value, old.DType).
				In(f.Name()).Of(old.Name).Fix("save the adapter in F32 and compress that")
		}
	}
	return out, nil
}
