package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// notEqual is the predicate of comparisons that NaN satisfies with everything.
const notEqual = 4

// lossLanes is how many lanes a sum of a loss has: as many as two AVX2 registers hold, so that all four sums stay in registers.
const lossLanes = 8

// loss writes a loop that adds f32 deltas to values, rounds the sums as they are stored, and takes sums over what is left of the deltas.
func (s *scanner) loss(d dtype) {
	name := "loss" + d.name + s.suffix
	function(s.ctx, name, "func(n int, row *byte, delta *float32, lanes *float64) (changed, nonZero, lost int)", name+" is scanLoops.loss.")
	n, row, delta, lanes := argument(s.ctx, "n"), argument(s.ctx, "row"), argument(s.ctx, "delta"), argument(s.ctx, "lanes")
	var sums [4][]reg.VecVirtual // of change times delta, and the squares of delta, change and their difference
	for i := range sums {
		sums[i] = s.load(lanes, i*8*lossLanes, lossLanes)
	}
	var counts [3]reg.GPVirtual // of what changes, what has a delta, and what has one and does not change
	for i := range counts {
		counts[i] = s.ctx.GP64()
		s.ctx.XORQ(counts[i], counts[i])
	}
	s.each(n, func(part int) {
		w, added := s.narrow(d, s.part(d, row, part)), s.vector()
		s.ctx.VMOVUPS(s.part(f32, delta, part), added)
		after := s.rounded(d, w, added)
		moved, filled := s.differ(after, w), s.differ(added, s.zero())
		lost := s.ctx.GP64()
		s.ctx.MOVQ(moved, lost)
		s.ctx.NOTQ(lost)
		s.ctx.ANDQ(filled, lost)
		for i, mask := range []reg.GPVirtual{moved, filled, lost} {
			s.ctx.POPCNTQ(mask, mask)
			s.ctx.ADDQ(mask, counts[i])
		}
		for i := range 2 {
			before, change, wide := s.doubled(w, i), s.doubled(after, i), s.vector()
			s.ctx.VCVTPS2PD(s.part(f32, delta, part).Offset(i*s.bytes/2), wide) // not from the register, whose upper half would have to be moved
			lane := i % len(sums[0])
			s.ctx.VSUBPD(before, change, change)
			s.ctx.VFMADD231PD(wide, change, sums[0][lane])
			s.ctx.VFMADD231PD(wide, wide, sums[1][lane])
			s.ctx.VFMADD231PD(change, change, sums[2][lane])
			s.ctx.VSUBPD(wide, change, change)
			s.ctx.VFMADD231PD(change, change, sums[3][lane])
		}
	}, func() {
		s.advance(group*d.size, row)
		s.advance(group*4, delta)
	})
	for i := range sums {
		s.store(sums[i], lanes, i*8*lossLanes)
	}
	for i, result := range []string{"changed", "nonZero", "lost"} {
		s.ctx.Store(counts[i], s.ctx.Return(result))
	}
	s.end()
}

// rounded is the sum of two f32 vectors, rounded as d stores it.
func (s *scanner) rounded(d dtype, w, added reg.VecVirtual) reg.VecVirtual {
	sum := s.vector()
	s.ctx.VADDPS(added, w, sum)
	switch d {
	case bf16: // the bits plus half a unit of the last place, less one bit where the place is even
		odd := s.vector()
		s.ctx.VPSRLD(operand.U8(16), sum, odd)
		s.and(s.bits.last, odd, odd)
		s.ctx.VPADDD(s.bits.nearlyHalf, sum, sum)
		s.ctx.VPADDD(odd, sum, sum)
		s.and(s.bits.kept, sum, sum)
	case f16:
		s.ctx.VCVTPS2PH(operand.U8(0), sum, s.half(sum))
		s.ctx.VCVTPH2PS(s.half(sum), sum)
	}
	return sum
}

// differ is a mask, one bit for each entry, of where two f32 vectors differ.
func (s *scanner) differ(x, y reg.VecVirtual) reg.GPVirtual {
	mask := s.ctx.GP64()
	if s.wide() {
		k := s.ctx.K()
		s.ctx.VCMPPS(operand.U8(notEqual), y, x, k)
		s.ctx.KMOVW(k, mask.As32())
		return mask
	}
	v := s.vector()
	s.ctx.VCMPPS(operand.U8(notEqual), y, x, v)
	s.ctx.VMOVMSKPS(v, mask.As32())
	return mask
}

// and sets both to the bits that x and y have.
func (s *scanner) and(x operand.Op, y, both reg.VecVirtual) {
	if s.wide() {
		s.ctx.VPANDD(x, y, both)
	} else {
		s.ctx.VPAND(x, y, both)
	}
}
