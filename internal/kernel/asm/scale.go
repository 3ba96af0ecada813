package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	families = append(families, family{"scale", func(ctx *build.Context) {
		s := newScale(ctx)
		for _, dtype := range []string{"BF16", "F16", "F32"} {
			s.widen(dtype)
			s.scale(dtype)
		}
		s.squares("squareLanesAVX2", "squareLanesAVX2 is scaleKernels.squareLanes.", false)
		s.squares("squareEachAVX2", "squareEachAVX2 is scaleKernels.squareEach.", true)
	}})
}

// turn is how many entries a turn of each loop takes. The loops wait for memory, so that vectors of AVX2 do for every processor.
const turn = 16

type scale struct {
	*build.Context
	one, bias  operand.Mem            // 1 and 0x7fff in each 32-bit lane
	infinities map[string]operand.Mem // twice the bits of infinity in each entry
}

func newScale(ctx *build.Context) *scale {
	repeat := func(name string, value uint64) operand.Mem {
		m := ctx.StaticGlobal(name)
		ctx.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := range 4 {
			ctx.AddDatum(8*i, operand.U64(value))
		}
		return m
	}
	return &scale{ctx, repeat("scaleOne", 0x00000001_00000001), repeat("scaleBias", 0x00007fff_00007fff), map[string]operand.Mem{
		"BF16": repeat("scaleBF16Infinity", 0xff00_ff00_ff00_ff00),
		"F16":  repeat("scaleF16Infinity", 0xf800_f800_f800_f800),
		"F32":  repeat("scaleF32Infinity", 0xff000000_ff000000),
	}}
}

func sizeOf(dtype string) int {
	if dtype == "F32" {
		return 4
	}
	return 2
}

// loop generates a loop of turns over the n entries that are the first parameter.
func (s *scale) loop(body func()) reg.Register {
	left := s.Load(s.Param("n"), s.GP64())
	s.SUBQ(operand.Imm(turn), left)
	s.JL(operand.LabelRef("done"))
	s.Label("turn")
	body()
	s.SUBQ(operand.Imm(turn), left)
	s.JGE(operand.LabelRef("turn"))
	s.Label("done")
	return left
}

// widen generates scaleKernels.widen for a dtype.
func (s *scale) widen(dtype string) {
	name := "widen" + dtype + "AVX2"
	function(s.Context, name, "func(n int, v *float32, src *byte)", name+" is scaleKernels.widen of "+dtype+".")
	v, src := s.Load(s.Param("v"), s.GP64()), s.Load(s.Param("src"), s.GP64())
	s.loop(func() {
		for half, w := range []reg.VecPhysical{reg.Y0, reg.Y1} {
			from, sum := operand.Mem{Base: src, Disp: half * turn / 2 * sizeOf(dtype)}, operand.Mem{Base: v, Disp: half * turn / 2 * 4}
			switch dtype {
			case "BF16":
				s.VPMOVZXWD(from, w)
				s.VPSLLD(operand.Imm(16), w, w)
			case "F16":
				s.VCVTPH2PS(from, w)
			case "F32":
				s.VMOVUPS(from, w)
			}
			s.VADDPS(sum, w, w)
			s.VMOVUPS(w, sum)
		}
		s.ADDQ(operand.Imm(turn*4), v)
		s.ADDQ(operand.U32(turn*sizeOf(dtype)), src)
	})
	s.VZEROUPPER()
	s.RET()
}

// squares generates scaleKernels.squareLanes, or squareEach.
func (s *scale) squares(name, doc string, each bool) {
	function(s.Context, name, "func(n int, sums *float64, v *float32)", doc)
	sums, v := s.Load(s.Param("sums"), s.GP64()), s.Load(s.Param("v"), s.GP64())
	lanes := []reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3}
	load := func() {
		for i, lane := range lanes {
			s.VMOVUPD(operand.Mem{Base: sums, Disp: 32 * i}, lane)
		}
	}
	store := func() {
		for i, lane := range lanes {
			s.VMOVUPD(lane, operand.Mem{Base: sums, Disp: 32 * i})
		}
	}
	if !each {
		load()
	}
	s.loop(func() {
		if each {
			load()
		}
		for i, lane := range lanes {
			s.VCVTPS2PD(operand.Mem{Base: v, Disp: 16 * i}, reg.Y4)
			s.VFMADD231PD(reg.Y4, reg.Y4, lane)
		}
		s.ADDQ(operand.Imm(turn*4), v)
		if each {
			store()
			s.ADDQ(operand.U32(turn*8), sums)
		}
	})
	if !each {
		store()
	}
	s.VZEROUPPER()
	s.RET()
}

// scale generates scaleKernels.scale for a dtype.
func (s *scale) scale(dtype string) {
	name, size := "scale"+dtype+"AVX2", sizeOf(dtype)
	function(s.Context, name, "func(n int, dst, src *byte, v, gains *float32, step int) (done, changed int)", name+" is scaleKernels.scale of "+dtype+".")
	dst, src := s.Load(s.Param("dst"), s.GP64()), s.Load(s.Param("src"), s.GP64())
	v, gains := s.Load(s.Param("v"), s.GP64()), s.Load(s.Param("gains"), s.GP64())
	step := s.Load(s.Param("step"), s.GP64())
	equal, mask := s.GP64(), s.GP64()
	s.XORQ(equal, equal)
	a, b, t, u := reg.Y0, reg.Y1, reg.Y2, reg.Y3
	left := s.loop(func() {
		for half, r := range []reg.VecPhysical{a, b} {
			s.VMOVUPS(operand.Mem{Base: gains, Disp: 32 * half}, r)
			s.VMULPS(operand.Mem{Base: v, Disp: 32 * half}, r, r)
		}
		results := []reg.VecPhysical{a}
		switch dtype {
		case "BF16":
			for _, r := range []reg.VecPhysical{a, b} {
				s.VPSRLD(operand.Imm(16), r, t)
				s.VPAND(s.one, t, t)
				s.VPADDD(s.bias, r, r)
				s.VPADDD(t, r, r)
				s.VPSRLD(operand.Imm(16), r, r)
			}
			s.VPACKUSDW(b, a, a)
			s.VPERMQ(operand.Imm(0xd8), a, a) // packing works in halves of a vector
		case "F16":
			s.VCVTPS2PH(operand.Imm(0), a, a.AsX()) // 0: to nearest even, whatever the mode is
			s.VCVTPS2PH(operand.Imm(0), b, b.AsX())
			s.VINSERTI128(operand.Imm(1), b.AsX(), a, a)
		case "F32":
			results = append(results, b)
		}
		s.notFinite(dtype, results, t, u)
		s.JNZ(operand.LabelRef("done"))
		for i, r := range results {
			at := operand.Mem{Base: src, Disp: 32 * i}
			if size == 2 {
				s.VPCMPEQW(at, r, t)
			} else {
				s.VPCMPEQD(at, r, t)
			}
			s.VPMOVMSKB(t, mask.As32())
			s.POPCNTL(mask.As32(), mask.As32())
			s.ADDQ(mask, equal)
		}
		for i, r := range results {
			s.VMOVUPS(r, operand.Mem{Base: dst, Disp: 32 * i})
		}
		for _, p := range []reg.Register{dst, src} {
			s.ADDQ(operand.U32(turn*size), p)
		}
		s.ADDQ(operand.Imm(turn*4), v)
		s.ADDQ(step, gains)
	})
	done := s.Load(s.Param("n"), s.GP64())
	s.SUBQ(operand.Imm(turn), done)
	s.SUBQ(left, done)
	s.Store(done, s.Return("done"))
	s.SHRQ(operand.Imm(uint64(size/2)), equal) // bytes to entries
	s.SUBQ(equal, done)
	s.Store(done, s.Return("changed"))
	s.VZEROUPPER()
	s.RET()
}

// notFinite clears the zero flag if a result is infinite or NaN.
func (s *scale) notFinite(dtype string, results []reg.VecPhysical, t, u reg.VecPhysical) {
	infinity := s.infinities[dtype]
	for i, r := range results {
		to := []reg.VecPhysical{t, u}[i]
		if sizeOf(dtype) == 2 { // shifts the sign out
			s.VPADDW(r, r, to)
		} else {
			s.VPADDD(r, r, to)
		}
	}
	if sizeOf(dtype) == 2 {
		s.VPMAXUW(infinity, t, u)
		s.VPCMPEQW(u, t, t)
	} else {
		s.VPMAXUD(u, t, t)
		s.VPMAXUD(infinity, t, u)
		s.VPCMPEQD(u, t, t)
	}
	s.VPTEST(t, t)
}
