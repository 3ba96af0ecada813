package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	families = append(families, family{"scan", func(ctx *build.Context) {
		c := newRoundingBits(ctx)
		for _, s := range []*scanner{{ctx, "AVX2", 32, ctx.YMM, c}, {ctx, "AVX512", 64, ctx.ZMM, c}} {
			for _, d := range []dtype{bf16, f16, f32} {
				s.widen(d)
				s.census(d)
				s.signed(d)
				s.loss(d)
			}
		}
	}})
}

// dtype is how values are stored.
type dtype struct {
	name string
	size int
}

var (
	bf16 = dtype{"BF16", 2}
	f16  = dtype{"F16", 2}
	f32  = dtype{"F32", 4}
)

// group is how many values a turn of a scan's loop takes, and how many lanes its sums have.
const group = 16

// scanner writes loops over groups of values, with vectors of so many bytes.
type scanner struct {
	ctx    *build.Context
	suffix string
	bytes  int
	vector func() reg.VecVirtual
	bits   roundingBits
}

// roundingBits are what bf16 is rounded with, in read-only memory: the last bit of its entries, all below half of that, and all bits it keeps. AVX2
// reads the first half of each.
type roundingBits struct{ last, nearlyHalf, kept operand.Mem }

func newRoundingBits(ctx *build.Context) roundingBits {
	repeat := func(name string, bits uint32) operand.Mem {
		m := ctx.StaticGlobal(name)
		ctx.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := range 16 {
			ctx.AddDatum(4*i, operand.U32(bits))
		}
		return m
	}
	return roundingBits{repeat("scanLastBit", 1), repeat("scanNearlyHalf", 0x7fff), repeat("scanKeptBits", 0xffff0000)}
}

func (s *scanner) wide() bool { return s.bytes == 64 }

// half is a vector's lower half, in the same register.
func (s *scanner) half(v reg.VecVirtual) reg.VecVirtual {
	if s.wide() {
		return v.AsY().(reg.VecVirtual)
	}
	return v.AsX().(reg.VecVirtual)
}

// repeated is a vector of one 32-bit pattern.
func (s *scanner) repeated(bits uint32) reg.VecVirtual {
	pattern, v := s.ctx.GP32(), s.vector()
	s.ctx.MOVL(operand.U32(bits), pattern)
	s.ctx.VMOVD(pattern, v.AsX())
	s.ctx.VPBROADCASTD(v.AsX(), v)
	return v
}

// repeated64 is a vector of one 64-bit pattern.
func (s *scanner) repeated64(bits uint64) reg.VecVirtual {
	pattern, v := s.ctx.GP64(), s.vector()
	s.ctx.MOVQ(operand.U64(bits), pattern)
	s.ctx.VMOVQ(pattern, v.AsX())
	s.ctx.VPBROADCASTQ(v.AsX(), v)
	return v
}

// zero is a vector of +0.
func (s *scanner) zero() reg.VecVirtual {
	v := s.vector()
	s.ctx.VXORPS(v.AsX(), v.AsX(), v.AsX()) // the bits above are cleared too
	return v
}

// narrow loads as many values as an f32 vector holds, and widens them to f32. A signalling NaN becomes quiet where the conversion does that.
func (s *scanner) narrow(d dtype, from operand.Mem) reg.VecVirtual {
	v := s.vector()
	switch d {
	case bf16:
		s.ctx.VPMOVZXWD(from, v)
		s.ctx.VPSLLD(operand.U8(16), v, v)
	case f16:
		s.ctx.VCVTPH2PS(from, v)
	default:
		s.ctx.VMOVUPS(from, v)
	}
	return v
}

// doubled widens the lower or, with half 1, the upper half of an f32 vector to f64.
func (s *scanner) doubled(v reg.VecVirtual, half int) reg.VecVirtual {
	wide := s.vector()
	switch {
	case half == 0:
		s.ctx.VCVTPS2PD(s.half(v), wide)
		return wide
	case s.wide():
		s.ctx.VEXTRACTF64X4(operand.U8(1), v, s.half(wide))
	default:
		s.ctx.VEXTRACTF128(operand.U8(1), v, s.half(wide))
	}
	s.ctx.VCVTPS2PD(s.half(wide), wide)
	return wide
}

// each writes a loop over n values, a multiple of group: turn is called for each f32 vector of a group.
func (s *scanner) each(n reg.Register, turn func(part int), advance func()) {
	s.ctx.SHRQ(operand.U8(4), n)
	s.ctx.JZ(operand.LabelRef("done"))
	s.ctx.Label("group")
	for part := range group * 4 / s.bytes {
		turn(part)
	}
	advance()
	s.ctx.DECQ(n)
	s.ctx.JNZ(operand.LabelRef("group"))
	s.ctx.Label("done")
}

// part is the place of the part-th f32 vector of a group that is stored as d.
func (s *scanner) part(d dtype, base reg.Register, part int) operand.Mem {
	return operand.Mem{Base: base, Disp: part * s.bytes / 4 * d.size}
}

// advance moves pointers on by so many bytes.
func (s *scanner) advance(by int, pointers ...reg.Register) {
	for _, p := range pointers {
		s.ctx.ADDQ(operand.I32(by), p)
	}
}

// load and store move the f64 lanes of one sum from and to memory.
func (s *scanner) load(base reg.Register, disp, lanes int) []reg.VecVirtual {
	all := make([]reg.VecVirtual, lanes*8/s.bytes)
	for i := range all {
		all[i] = s.vector()
		s.ctx.VMOVUPD(operand.Mem{Base: base, Disp: disp + i*s.bytes}, all[i])
	}
	return all
}

func (s *scanner) store(lanes []reg.VecVirtual, base reg.Register, disp int) {
	for i, v := range lanes {
		s.ctx.VMOVUPD(v, operand.Mem{Base: base, Disp: disp + i*s.bytes})
	}
}

// end ends a function.
func (s *scanner) end() {
	s.ctx.VZEROUPPER()
	s.ctx.RET()
}
