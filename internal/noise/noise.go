// Package noise makes normally distributed weights for benchmarks: fast, in any dtype, and the same every time.
package noise

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// levels is how many numbers there are: the quantiles of the normal distribution at (i + 1/2) / levels. The largest is 4.3 deviations.
const levels = 1 << 16

// Normal draws numbers of one deviation, stored as one dtype. It is read only, and safe for concurrent use.
type Normal struct {
	size   int
	stored []byte // levels numbers, little-endian
}

// NewNormal returns normally distributed numbers of the given deviation, around 0, rounded once into dtype, which is BF16, F16 or F32.
func NewNormal(dtype tensor.DType, deviation float64) *Normal {
	n := &Normal{size: dtype.Size()}
	for i := range levels {
		v := deviation * math.Sqrt2 * math.Erfinv((2*float64(i)+1)/levels-1)
		switch dtype {
		case tensor.BF16:
			n.stored = binary.LittleEndian.AppendUint16(n.stored, tensor.F64ToBF16(v))
		case tensor.F16:
			n.stored = binary.LittleEndian.AppendUint16(n.stored, tensor.F64ToF16(v))
		case tensor.F32:
			n.stored = binary.LittleEndian.AppendUint32(n.stored, math.Float32bits(float32(v)))
		default:
			panic("noise: " + dtype.String() + " is none of BF16, F16 and F32")
		}
	}
	return n
}

// Source returns the numbers that a seed and a stream give, to be taken in pieces with Fill.
func Source(seed, stream uint64) *rand.PCG { return rand.NewPCG(seed, stream) }

// Fill writes the next numbers of a source over dst, which holds whole groups of four numbers; only the last piece of a stream may end
// within one. The same source gives the same numbers whatever the pieces.
func (n *Normal) Fill(dst []byte, source *rand.PCG) {
	if n.size == 2 {
		for len(dst) >= 8 {
			bits := source.Uint64()
			a, b, c, d := n.at2(bits), n.at2(bits>>16), n.at2(bits>>32), n.at2(bits>>48)
			binary.LittleEndian.PutUint64(dst, a|b<<16|c<<32|d<<48)
			dst = dst[8:]
		}
	} else {
		for len(dst) >= 16 {
			bits := source.Uint64()
			a, b, c, d := n.at4(bits), n.at4(bits>>16), n.at4(bits>>32), n.at4(bits>>48)
			binary.LittleEndian.PutUint64(dst, a|b<<32)
			binary.LittleEndian.PutUint64(dst[8:], c|d<<32)
			dst = dst[16:]
		}
	}
	if len(dst) == 0 {
		return
	}
	for bits := source.Uint64(); len(dst) >= n.size; bits >>= 16 {
		at := int(uint16(bits)) * n.size
		copy(dst, n.stored[at:at+n.size])
		dst = dst[n.size:]
	}
}

func (n *Normal) at2(bits uint64) uint64 {
	return uint64(binary.LittleEndian.Uint16(n.stored[2*int(uint16(bits)):]))
}

func (n *Normal) at4(bits uint64) uint64 {
	return uint64(binary.LittleEndian.Uint32(n.stored[4*int(uint16(bits)):]))
}
