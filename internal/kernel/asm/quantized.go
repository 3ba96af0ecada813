package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	families = append(families, family{"scanformat", func(ctx *build.Context) {
		s := &scanner{ctx: ctx, suffix: "AVX2", bytes: 32, vector: ctx.YMM}
		s.floating("BF16", 7, -126, 0x1.fep127)
		s.floating("F16", 10, -14, 65504)
		s.single()
		s.eights()
		s.fours()
		s.levels()
		s.rounding()
	}})
}

// constant is a vector of one value.
func (s *scanner) constant(v float64) reg.VecVirtual { return s.repeated64(math.Float64bits(v)) }

// eights writes a loop that rounds blocks of 32 as GGUF's Q8_0.
func (s *scanner) eights() {
	const vectors = 32 / quad
	name := "roundQ8" + s.suffix
	function(s.ctx, name, "func(n int, values *float64)", name+" is one of formatLoops, for n a multiple of 32.")
	n, values := argument(s.ctx, "n"), argument(s.ctx, "values")
	s.quads(n, values, vectors, func() {
		scale := s.largest(values, vectors, s.repeated64(1<<63))
		s.ctx.VDIVPD(s.constant(127), scale, scale)
		s.zeroBlock(scale, values, vectors)
		stored := s.newFloat(10, -14, 65504).round(s, scale)
		half, minus, one := s.constant(0.5), s.constant(-0.5), s.constant(1)
		for i := range vectors {
			quotient, whole, up, down := s.vector(), s.vector(), s.vector(), s.vector()
			s.ctx.VMOVUPD(s.at(values, i), quotient)
			s.ctx.VDIVPD(scale, quotient, quotient)
			s.ctx.VROUNDPD(operand.U8(truncated), quotient, whole)
			s.ctx.VSUBPD(whole, quotient, quotient)
			s.ctx.VCMPPD(operand.U8(atLeast), half, quotient, up)
			s.ctx.VCMPPD(operand.U8(atMost), minus, quotient, down)
			s.ctx.VANDPD(one, up, up)
			s.ctx.VANDPD(one, down, down)
			s.ctx.VADDPD(up, whole, whole)
			s.ctx.VSUBPD(down, whole, whole)
			s.ctx.VMULPD(stored, whole, whole)
			s.ctx.VMOVUPD(whole, s.at(values, i))
		}
		s.ctx.Label("next")
	})
}

// fours writes a loop that rounds blocks of 32 as GGUF's Q4_0.
func (s *scanner) fours() {
	const vectors = 32 / quad
	name := "roundQ4" + s.suffix
	function(s.ctx, name, "func(n int, values *float64)", name+" is one of formatLoops, for n a multiple of 32.")
	n, values := argument(s.ctx, "n"), argument(s.ctx, "values")
	s.quads(n, values, vectors, func() {
		sign := s.repeated64(1 << 63)
		scale := s.largest(values, vectors, sign)
		// The first value of the largest magnitude; none is found where that is NaN.
		first, mask := s.ctx.GP64(), s.ctx.GP64()
		s.ctx.XORQ(first, first)
		for i := vectors - 1; i >= 0; i-- {
			v := s.vector()
			s.ctx.VANDNPD(s.at(values, i), sign, v)
			s.ctx.VCMPPD(operand.U8(equal), scale, v, v)
			s.ctx.VMOVMSKPD(v, mask.As32())
			s.ctx.SHLQ(operand.U8(quad), first)
			s.ctx.ORQ(mask, first)
		}
		s.ctx.TESTQ(first, first)
		s.ctx.JZ(operand.LabelRef("scaled"))
		s.ctx.BSFQ(first, first)
		s.ctx.VBROADCASTSD(operand.Mem{Base: values, Index: first, Scale: 8}, scale)
		s.ctx.Label("scaled")
		s.ctx.VDIVPD(s.constant(-8), scale, scale)
		s.zeroBlock(scale, values, vectors)
		stored := s.newFloat(10, -14, 65504).round(s, scale)
		middle, most, eight := s.constant(8.5), s.constant(15), s.constant(8)
		for i := range vectors {
			v := s.vector()
			s.ctx.VMOVUPD(s.at(values, i), v)
			s.ctx.VDIVPD(scale, v, v)
			s.ctx.VADDPD(middle, v, v)
			s.ctx.VROUNDPD(operand.U8(truncated), v, v)
			s.ctx.VMINPD(most, v, v)
			s.ctx.VSUBPD(eight, v, v)
			s.ctx.VMULPD(stored, v, v)
			s.ctx.VMOVUPD(v, s.at(values, i))
		}
		s.ctx.Label("next")
	})
}

// normalFloat are the levels of NF4, as bitsandbytes has them in f32.
var normalFloat = [16]float64{
	-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
	0.7229568362236023, 1,
}

// levels writes a loop that rounds blocks of 64 as NF4.
func (s *scanner) levels() {
	const vectors = 64 / quad
	table := s.ctx.StaticGlobal("normalFloats")
	s.ctx.DataAttributes(attr.RODATA | attr.NOPTR)
	for i, level := range normalFloat {
		s.ctx.AddDatum(8*i, operand.F64(level))
	}
	for i, level := range normalFloat[1:] { // what lies halfway goes down
		s.ctx.AddDatum(8*(len(normalFloat)+i), operand.F64((normalFloat[i]+level)/2))
	}
	name := "roundNF4" + s.suffix
	function(s.ctx, name, "func(n int, values *float64)", name+" is one of formatLoops, for n a multiple of 64.")
	n, values := argument(s.ctx, "n"), argument(s.ctx, "values")
	s.quads(n, values, vectors, func() {
		size := s.largest(values, vectors, s.repeated64(1<<63))
		s.zeroBlock(size, values, vectors)
		for group := 0; group < vectors; group += 4 { // four vectors go through the levels side by side
			var share, found [4]reg.VecVirtual
			for i := range share {
				share[i], found[i] = s.vector(), s.vector()
				s.ctx.VMOVUPD(s.at(values, group+i), share[i])
				s.ctx.VDIVPD(size, share[i], share[i])
				s.ctx.VBROADCASTSD(table.Offset(0), found[i])
			}
			for level := 1; level < len(normalFloat); level++ {
				middle, next := s.vector(), s.vector()
				s.ctx.VBROADCASTSD(table.Offset(8*(len(normalFloat)+level-1)), middle)
				s.ctx.VBROADCASTSD(table.Offset(8*level), next)
				for i := range share {
					above := s.vector()
					s.ctx.VCMPPD(operand.U8(greater), middle, share[i], above)
					s.ctx.VBLENDVPD(above, next, found[i], found[i])
				}
			}
			for i := range share {
				s.ctx.VMULPD(size, found[i], found[i])
				s.ctx.VMOVUPD(found[i], s.at(values, group+i))
			}
		}
		s.ctx.Label("next")
	})
}

// rounding writes a loop that takes the sums of TakeRounding in four lanes each.
func (s *scanner) rounding() {
	name := "rounding" + s.suffix
	function(s.ctx, name, "func(n int, weights, delta, base, merged, lanes *float64) (changed, nonZero, lost int)",
		name+" is formatLoops.sums, for n a multiple of 4.")
	n, lanes := argument(s.ctx, "n"), argument(s.ctx, "lanes")
	var from [4]reg.GPVirtual
	for i, argued := range []string{"weights", "delta", "base", "merged"} {
		from[i] = argument(s.ctx, argued)
	}
	var sums [6]reg.VecVirtual
	for i := range sums {
		sums[i] = s.vector()
		s.ctx.VMOVUPD(operand.Mem{Base: lanes, Disp: i * s.bytes}, sums[i])
	}
	var counts [3]reg.GPVirtual
	for i := range counts {
		counts[i] = s.ctx.GP64()
		s.ctx.XORQ(counts[i], counts[i])
	}
	none := s.zero()
	s.ctx.SHRQ(operand.U8(2), n)
	s.ctx.JZ(operand.LabelRef("done"))
	s.ctx.Label("turn")
	w, delta, change := s.vector(), s.vector(), s.vector()
	s.ctx.VMOVUPD(operand.Mem{Base: from[0]}, w)
	s.ctx.VMOVUPD(operand.Mem{Base: from[1]}, delta)
	s.ctx.VMOVUPD(operand.Mem{Base: from[3]}, change)
	s.ctx.VSUBPD(operand.Mem{Base: from[2]}, change, change)
	moved, filled, lost := s.ctx.GP64(), s.ctx.GP64(), s.ctx.GP64()
	for i, v := range []reg.VecVirtual{change, delta} {
		differs := s.vector()
		s.ctx.VCMPPD(operand.U8(notEqual), none, v, differs)
		s.ctx.VMOVMSKPD(differs, []reg.GPVirtual{moved, filled}[i].As32())
	}
	s.ctx.MOVQ(moved, lost)
	s.ctx.NOTQ(lost)
	s.ctx.ANDQ(filled, lost)
	for i, mask := range []reg.GPVirtual{moved, filled, lost} {
		s.ctx.POPCNTQ(mask, mask)
		s.ctx.ADDQ(mask, counts[i])
	}
	s.ctx.VFMADD231PD(delta, change, sums[0])
	s.ctx.VFMADD231PD(delta, delta, sums[1])
	s.ctx.VFMADD231PD(change, change, sums[2])
	s.ctx.VSUBPD(delta, change, change)
	s.ctx.VFMADD231PD(change, change, sums[3])
	s.ctx.VFMADD231PD(w, w, sums[4])
	s.ctx.VSUBPD(operand.Mem{Base: from[2]}, w, w)
	s.ctx.VFMADD231PD(w, w, sums[5])
	s.advance(s.bytes, from[0], from[1], from[2], from[3])
	s.ctx.DECQ(n)
	s.ctx.JNZ(operand.LabelRef("turn"))
	s.ctx.Label("done")
	for i := range sums {
		s.ctx.VMOVUPD(sums[i], operand.Mem{Base: lanes, Disp: i * s.bytes})
	}
	for i, result := range []string{"changed", "nonZero", "lost"} {
		s.ctx.Store(counts[i], s.ctx.Return(result))
	}
	s.end()
}
