package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// widen writes a loop that stores values as f64.
func (s *scanner) widen(d dtype) {
	name := "scanWiden" + d.name + s.suffix
	function(s.ctx, name, "func(n int, src *byte, dst *float64)", name+" is scanLoops.widen.")
	n, src, dst := argument(s.ctx, "n"), argument(s.ctx, "src"), argument(s.ctx, "dst")
	s.each(n, func(part int) {
		v := s.narrow(d, s.part(d, src, part))
		for i := range 2 {
			s.ctx.VMOVUPD(s.doubled(v, i), operand.Mem{Base: dst, Disp: (2*part + i) * s.bytes})
		}
	}, func() {
		s.advance(group*d.size, src)
		s.advance(group*8, dst)
	})
	s.end()
}

// census writes a loop that takes sums in lanes, and extrema in f32 lanes, of which the least magnitude tells of zeros and subnormals, and the
// sum of values that are not finite.
func (s *scanner) census(d dtype) {
	name := "census" + d.name + s.suffix
	function(s.ctx, name, "func(n int, row *byte, lanes *float64, extrema *float32)", name+" is scanLoops.census.")
	n, row, lanes, ends := argument(s.ctx, "n"), argument(s.ctx, "row"), argument(s.ctx, "lanes"), argument(s.ctx, "extrema")
	sum, squares := s.load(lanes, 0, group), s.load(lanes, 8*group, group)
	var extrema [3]reg.VecVirtual // least, greatest, least magnitude
	for i := range extrema {
		extrema[i] = s.vector()
		s.ctx.VMOVUPS(operand.Mem{Base: ends, Disp: i * 4 * group}, extrema[i])
	}
	magnitude := s.repeated(1<<31 - 1)
	s.each(n, func(part int) {
		v := s.narrow(d, s.part(d, row, part))
		size := s.vector()
		s.ctx.VANDPS(magnitude, v, size)
		s.ctx.VMINPS(v, extrema[0], extrema[0])
		s.ctx.VMAXPS(v, extrema[1], extrema[1])
		s.ctx.VMINPS(size, extrema[2], extrema[2])
		for i := range 2 {
			wide, at := s.doubled(v, i), 2*part+i
			s.ctx.VADDPD(wide, sum[at], sum[at])
			s.ctx.VFMADD231PD(wide, wide, squares[at])
		}
	}, func() { s.advance(group*d.size, row) })
	s.store(sum, lanes, 0)
	s.store(squares, lanes, 8*group)
	for i, v := range extrema {
		s.ctx.VMOVUPS(v, operand.Mem{Base: ends, Disp: i * 4 * group})
	}
	s.end()
}

// signed writes a loop that adds values with the signs of x.
func (s *scanner) signed(d dtype) {
	name := "signed" + d.name + s.suffix
	function(s.ctx, name, "func(n int, row *byte, x *int8, lanes *float64)", name+" is scanLoops.signed.")
	n, row, x, lanes := argument(s.ctx, "n"), argument(s.ctx, "row"), argument(s.ctx, "x"), argument(s.ctx, "lanes")
	sum, sign := s.load(lanes, 0, group), s.repeated(1<<31)
	s.each(n, func(part int) {
		v, signs := s.narrow(d, s.part(d, row, part)), s.vector()
		s.ctx.VPMOVSXBD(operand.Mem{Base: x, Disp: part * s.bytes / 4}, signs)
		s.ctx.VANDPS(sign, signs, signs)
		s.ctx.VXORPS(signs, v, v)
		for i := range 2 {
			wide, at := s.doubled(v, i), 2*part+i
			s.ctx.VADDPD(wide, sum[at], sum[at])
		}
	}, func() {
		s.advance(group*d.size, row)
		s.advance(group, x)
	})
	s.store(sum, lanes, 0)
	s.end()
}
