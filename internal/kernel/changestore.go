package kernel

import (
	"encoding/binary"
	"math"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// widening is how entries of a dtype are added to numbers. The zero value is of no dtype.
type widening struct {
	size   int
	kernel func(n int, v *float32, src *byte) // adds n/16*16; may be nil
	rest   func(v []float32, src []byte)
}

// widenings returns that of a dtype of weights, or the zero value.
func widenings(dtype tensor.DType) widening {
	if dtype == tensor.F64 {
		return widening{size: 8, rest: addF64}
	}
	as, err := storedAs(dtype)
	if err != nil {
		return widening{}
	}
	return widening{as.size, active.merge.scale.of(dtype).widen, as.add}
}

// add adds the entries that src begins with: v = f32(src) + v.
func (w *widening) add(v []float32, src []byte) {
	done := 0
	if w.kernel != nil && len(v) >= lanes16 {
		w.kernel(len(v), &v[0], &src[0])
		done = len(v) / lanes16 * lanes16
	}
	w.rest(v[done:], src[done*w.size:])
}

// addF64 rounds entries to f32, and adds them.
func addF64(v []float32, src []byte) {
	src = src[:8*len(v)]
	for j, add := range v {
		v[j] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*j:]))) + add
	}
}

// of returns the loops for a dtype.
func (k *scaleKernels) of(dtype tensor.DType) scaleRow {
	switch dtype {
	case tensor.BF16:
		return k.bf16
	case tensor.F16:
		return k.f16
	case tensor.F32:
		return k.f32
	}
	return scaleRow{}
}

// piecewise are the gains of entries that follow one another: their own, or the same for all, 16 times.
type piecewise struct {
	gains []float32
	step  int // bytes, after every 16 entries
}

// from is what is left after n entries, a multiple of 16.
func (p piecewise) from(n int) piecewise { return piecewise{p.gains[n*p.step/(4*lanes16):], p.step} }

// store stores V's entries v, scaled, at byte at. start is the bytes they began as.
func (m *changing) store(v []float32, g piecewise, at int, start []byte, r run) (c Counts) {
	for len(v) > 0 {
		part := min(len(v), lanes16)
		if m.row.scale != nil && part == lanes16 {
			done, changed := m.row.scale(len(v), &m.dst[at], &m.src[at], &v[0], &g.gains[0], g.step)
			c.Changed += int64(changed)
			v, g, at, start = v[done:], g.from(done), at+done*m.size, start[done*r.as.size:]
			part = min(len(v), lanes16)
		}
		for i, x := range v[:part] {
			v[i] = g.gains[i] * x
		}
		end := at + part*m.size
		if r.apart {
			c = c.Add(m.storeApart(m.dst[at:end], m.src[at:end], v[:part], start, r.as))
		} else {
			c = c.Add(m.storage.store(m.dst[at:end], m.src[at:end], v[:part]))
		}
		v, at, start = v[part:], end, start[part*r.as.size:]
		if len(v) > 0 {
			g = g.from(part)
		}
	}
	return c
}

// storeApart is storage.store of what began as other entries than those that are replaced. Where there are kernels, it gets few of them.
func (m *changing) storeApart(dst, src []byte, values []float32, start []byte, as *widening) (c Counts) {
	to := formats[m.dtype]
	for j, v := range values {
		after, before := to.narrow(v), to.load(src[j*m.size:])
		if after&to.infinity == to.infinity {
			origin, finite := as.origin(start[j*as.size:])
			if origin != origin {
				after = to.narrow(origin)
			} else if after&^to.sign != to.infinity {
				after = to.narrow(canonicalNaN)
			}
			if finite {
				c.NonFinite++
			}
		}
		if after != before {
			c.Changed++
		}
		to.save(dst[j*m.size:], after)
	}
	return c
}

// origin is an entry as an f32, quiet where it is NaN, and whether it is finite as it is stored.
func (w *widening) origin(entry []byte) (v float32, finite bool) {
	switch w.size {
	case 8:
		bits := binary.LittleEndian.Uint64(entry)
		stored := math.Float64frombits(bits)
		if stored != stored { // processors differ in what they keep
			return math.Float32frombits(uint32(bits>>63)<<31 | 0x7fc00000 | uint32(bits>>29)&0x3fffff), false
		}
		return float32(stored), stored-stored == 0
	case 4:
		v = math.Float32frombits(binary.LittleEndian.Uint32(entry))
		if v != v {
			v = math.Float32frombits(math.Float32bits(v) | 0x400000)
		}
	default:
		one := []float32{float32(math.Copysign(0, -1))}
		w.rest(one, entry[:2])
		v = one[0]
	}
	return v, v-v == 0
}

// format is how numbers become the bits of a dtype.
type format struct {
	narrow         func(float32) uint32
	load           func([]byte) uint32
	save           func([]byte, uint32)
	infinity, sign uint32
}

var formats = map[tensor.DType]*format{
	tensor.BF16: {func(v float32) uint32 { return uint32(tensor.F32ToBF16(v)) }, load16, save16, 0x7f80, 0x8000},
	tensor.F16:  {func(v float32) uint32 { return uint32(tensor.F32ToF16(v)) }, load16, save16, 0x7c00, 0x8000},
	tensor.F32:  {math.Float32bits, binary.LittleEndian.Uint32, binary.LittleEndian.PutUint32, 0x7f800000, 0x80000000},
}

func load16(b []byte) uint32    { return uint32(binary.LittleEndian.Uint16(b)) }
func save16(b []byte, v uint32) { binary.LittleEndian.PutUint16(b, uint16(v)) }
