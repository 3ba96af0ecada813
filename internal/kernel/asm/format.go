package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Predicates of comparisons that are false for NaN.
const (
	equal     = 0
	atMost    = 18
	atLeast   = 29
	greater   = 30
	truncated = 3 // of VROUNDPD
	quad      = 4 // values of a vector
)

// floating writes a loop that rounds values to a floating-point format with so many bits after the leading one, 2^least its smallest normal
// magnitude and most its largest. Adding one and a half times the power of two whose last bit has the weight of the format's, and taking it off
// again, rounds to nearest, ties to even.
func (s *scanner) floating(name string, bits, least int, most float64) {
	name = "round" + name + s.suffix
	function(s.ctx, name, "func(n int, values *float64)", name+" is one of formatLoops, for n a multiple of 4.")
	n, values := argument(s.ctx, "n"), argument(s.ctx, "values")
	f := s.newFloat(bits, least, most)
	s.quads(n, values, 1, func() {
		v := s.vector()
		s.ctx.VMOVUPD(operand.Mem{Base: values}, v)
		s.ctx.VMOVUPD(f.round(s, v), operand.Mem{Base: values})
	})
}

// float are the constants of a floating-point format.
type float struct{ exponent, least, most, shift, largest, infinity, sign reg.VecVirtual }

func (s *scanner) newFloat(bits, least int, most float64) float {
	constant := func(v float64) reg.VecVirtual { return s.repeated64(math.Float64bits(v)) }
	return float{
		exponent: constant(math.Inf(1)), least: constant(math.Ldexp(1, least)), most: constant(0x1p500), // what is larger overflows anyway
		shift: constant(math.Ldexp(1.5, 52-bits)), largest: constant(most), infinity: constant(math.Inf(1)), sign: s.repeated64(1 << 63),
	}
}

func (f float) round(s *scanner, v reg.VecVirtual) reg.VecVirtual {
	power, rounded, size, infinite := s.vector(), s.vector(), s.vector(), s.vector()
	s.ctx.VANDPD(f.exponent, v, power)
	s.ctx.VMAXPD(f.least, power, power)
	s.ctx.VMINPD(f.most, power, power)
	s.ctx.VMULPD(f.shift, power, power)
	s.ctx.VADDPD(power, v, rounded)
	s.ctx.VSUBPD(power, rounded, rounded)
	s.ctx.VANDNPD(rounded, f.sign, size)
	s.ctx.VCMPPD(operand.U8(greater), f.largest, size, size)
	s.ctx.VANDPD(f.sign, v, infinite)
	s.ctx.VORPD(infinite, rounded, rounded) // of zeros
	s.ctx.VORPD(f.infinity, infinite, infinite)
	s.ctx.VBLENDVPD(size, infinite, rounded, rounded)
	return rounded
}

// single writes a loop that rounds values to f32.
func (s *scanner) single() {
	name := "roundF32" + s.suffix
	function(s.ctx, name, "func(n int, values *float64)", name+" is one of formatLoops, for n a multiple of 4.")
	n, values := argument(s.ctx, "n"), argument(s.ctx, "values")
	s.quads(n, values, 1, func() {
		v := s.vector()
		s.ctx.VCVTPD2PSY(operand.Mem{Base: values}, v.AsX())
		s.ctx.VCVTPS2PD(v.AsX(), v)
		s.ctx.VMOVUPD(v, operand.Mem{Base: values})
	})
}

// quads writes a loop over n values, by so many vectors.
func (s *scanner) quads(n, values reg.Register, vectors int, turn func()) {
	s.ctx.SHRQ(operand.U8(uint8(math.Log2(float64(quad*vectors)))), n)
	s.ctx.JZ(operand.LabelRef("done"))
	s.ctx.Label("turn")
	turn()
	s.advance(vectors*s.bytes, values)
	s.ctx.DECQ(n)
	s.ctx.JNZ(operand.LabelRef("turn"))
	s.ctx.Label("done")
	s.end()
}

// at is the place of the i-th vector of a block of values.
func (s *scanner) at(values reg.Register, i int) operand.Mem {
	return operand.Mem{Base: values, Disp: i * s.bytes}
}

// largest is the largest magnitude of a block in every entry, and NaN where a value is not finite.
func (s *scanner) largest(values reg.Register, vectors int, sign reg.VecVirtual) reg.VecVirtual {
	top, none := s.zero(), s.zero() // none stays zero, or becomes NaN, which a maximum may lose
	for i := range vectors {
		v := s.vector()
		s.ctx.VMOVUPD(s.at(values, i), v)
		rest := s.vector()
		s.ctx.VSUBPD(v, v, rest)
		s.ctx.VADDPD(rest, none, none)
		s.ctx.VANDNPD(v, sign, v)
		s.ctx.VMAXPD(v, top, top)
	}
	other := s.vector()
	s.ctx.VPERM2F128(operand.U8(1), none, none, other)
	s.ctx.VADDPD(other, none, none)
	s.ctx.VPERMILPD(operand.U8(5), none, other)
	s.ctx.VADDPD(other, none, none)
	s.ctx.VPERM2F128(operand.U8(1), top, top, other)
	s.ctx.VMAXPD(other, top, top)
	s.ctx.VPERMILPD(operand.U8(5), top, other)
	s.ctx.VMAXPD(other, top, top)
	s.ctx.VADDPD(none, top, top)
	return top
}

// zeroBlock writes zeros and goes on with the next block where v is zero.
func (s *scanner) zeroBlock(v reg.VecVirtual, values reg.Register, vectors int) {
	zero := s.zero()
	s.ctx.VUCOMISD(zero.AsX(), v.AsX())
	s.ctx.JNE(operand.LabelRef("filled"))
	s.ctx.JP(operand.LabelRef("filled")) // NaN
	for i := range vectors {
		s.ctx.VMOVUPD(zero, s.at(values, i))
	}
	s.ctx.JMP(operand.LabelRef("next"))
	s.ctx.Label("filled")
}
