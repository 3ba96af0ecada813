package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Delta is a low-rank update ready to be added: f32(s)·B and A. Its entries are
//
//	delta[i,j] = Σ_k fma(SB[i,k], A[k,j])
//
// in f32, k ascending from 0, starting from +0. A Delta is read only, and safe for concurrent use.
type Delta struct {
	A             []float32 // Rank x In, row-major
	SB            []float32 // Out x Rank, row-major: f32(s)·B, each product rounded to f32
	Rank, In, Out int
	FanInFanOut   bool // the stored weight is In x Out: what is added is the transpose of delta

	finite bool // no chain can overflow, or meet what is not finite
	packs  packs
}

// NewDelta widens the stored factors a (rank x in) and b (out x rank) and scales b. F64 factors are rounded to f32 once. It fails when a
// factor has not the bytes its shape asks for, a dtype is not a weight type, or the scale is not finite in f32. NaNs lose their payloads, which
// no result shows.
func NewDelta(a []byte, aType tensor.DType, b []byte, bType tensor.DType, rank, in, out int, scale float64, fanInFanOut bool) (*Delta, error) {
	if rank < 1 || in < 1 || out < 1 {
		return nil, fmt.Errorf("a delta of rank %d for a weight of %d x %d has no entries", rank, out, in)
	}
	s := float32(scale)
	if math.IsNaN(float64(s)) || math.IsInf(float64(s), 0) {
		return nil, fmt.Errorf("scale %g is not a finite f32", scale)
	}
	for _, factor := range []struct {
		name       string
		bytes      []byte
		dtype      tensor.DType
		rows, cols int
	}{{"A", a, aType, rank, in}, {"B", b, bType, out, rank}} {
		if !factor.dtype.IsWeight() {
			return nil, fmt.Errorf("factor %s: dtype %v is not one that can be computed with", factor.name, factor.dtype)
		}
		// Dividing instead of multiplying: rows times cols could overflow, the length cannot.
		elements := len(factor.bytes) / factor.dtype.Size()
		if elements/factor.cols != factor.rows || len(factor.bytes)%(factor.cols*factor.dtype.Size()) != 0 {
			return nil, fmt.Errorf("factor %s: %d bytes are not %d x %d of %v", factor.name, len(factor.bytes), factor.rows, factor.cols, factor.dtype)
		}
	}
	d := &Delta{A: make([]float32, rank*in), SB: make([]float32, out*rank), Rank: rank, In: in, Out: out, FanInFanOut: fanInFanOut}
	var greatestA, greatestB float64
	load := []func(){
		func() { greatestA = loadFactor(d.A, a, aType, 1) },
		func() { greatestB = loadFactor(d.SB, b, bType, s) },
	}
	workers := 1
	if rank*(in+out) >= sharedFactors {
		workers = 2
	}
	deal(len(load), 1, workers, func(first, n int) {
		for _, f := range load[first : first+n] {
			f()
		}
	})
	d.finite = greatestA*greatestB*float64(rank) < 0x1p127 // false for NaN
	return d, nil
}

// sharedFactors is how many entries of both factors together are worth a goroutine.
const sharedFactors = 1 << 16

// loadFactor widens a factor, whose length was checked, multiplies it by scale, and returns the greatest magnitude.
func loadFactor(dst []float32, src []byte, dtype tensor.DType, scale float32) float64 {
	if dtype == tensor.F32 && littleEndian {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), 4*len(dst)), src)
	} else if err := tensor.ToF32(dst, src, dtype); err != nil {
		panic(err) // never: length and dtype were checked
	}
	if scale != 1 {
		for i, v := range dst {
			dst[i] = float32(scale * v)
		}
	}
	return canonical(dst)
}

// littleEndian says that memory holds an f32 as files do.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// canonical replaces every NaN by the one that has no payload, and returns the greatest magnitude.
func canonical(values []float32) float64 {
	var greatest uint32 // NaN above infinity
	for _, v := range values {
		greatest = max(greatest, math.Float32bits(v)&^(1<<31))
	}
	if greatest > 0x7f800000 {
		for i, v := range values {
			if v != v {
				values[i] = canonicalNaN
			}
		}
	}
	return float64(math.Float32frombits(greatest))
}

// Shape returns rows and columns of the weight as it is stored: Out x In, or In x Out where FanInFanOut.
func (d *Delta) Shape() (rows, cols int) {
	if d.FanInFanOut {
		return d.In, d.Out
	}
	return d.Out, d.In
}

// rowFactor writes the Rank numbers that belong to one stored row: a row of SB, or a column of A where FanInFanOut.
func (d *Delta) rowFactor(dst []float32, row int) {
	if !d.FanInFanOut {
		copy(dst, d.SB[row*d.Rank:(row+1)*d.Rank])
		return
	}
	for k := range dst {
		dst[k] = d.A[k*d.In+row]
	}
}

// columnFactor returns the number of stored column col for rank index k. A product does not depend on the order of its operands, so both
// layouts run through the same loop.
func (d *Delta) columnFactor(k, col int) float32 {
	if d.FanInFanOut {
		return d.SB[col*d.Rank+k]
	}
	return d.A[k*d.In+col]
}
