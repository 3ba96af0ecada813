package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	families = append(families, family{"merge", func(ctx *build.Context) {
		c := newConstants(ctx)
		for _, t := range tiles32(ctx) {
			for _, s := range []storage{c.bf16, c.f16, c.f32} {
				m := &mergeStrip{tile32: t, storage: s, constants: c}
				m.build()
			}
		}
	}})
}

// constants are vectors of one repeated value in read-only memory. AVX2 reads their first halves.
type constants struct {
	odd            operand.Mem // the upper half of each 32-bit lane
	ones           operand.Mem // 1 in each 16-bit lane
	bf16, f16, f32 storage
}

// storage is how a dtype's entries lie in memory.
type storage struct {
	name     string
	size     int         // bytes of an entry
	infinity operand.Mem // twice the bits of infinity in each entry: no finite number is as large once its sign is shifted out
}

func newConstants(ctx *build.Context) constants {
	repeat := func(name string, value uint64) operand.Mem {
		m := ctx.StaticGlobal(name)
		ctx.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := range 8 {
			ctx.AddDatum(8*i, operand.U64(value))
		}
		return m
	}
	return constants{
		odd:  repeat("mergeOdd", 0xffff0000_ffff0000),
		ones: repeat("mergeOnes", 0x0001_0001_0001_0001),
		bf16: storage{"BF16", 2, repeat("mergeBF16Infinity", 0xff00_ff00_ff00_ff00)},
		f16:  storage{"F16", 2, repeat("mergeF16Infinity", 0xf800_f800_f800_f800)},
		f32:  storage{"F32", 4, repeat("mergeF32Infinity", 0xff000000_ff000000)},
	}
}

// mergeStrip generates one kernel. The processors it was measured on start about four vector instructions a cycle, loads and idioms included, of
// which the chains take all but a few: so each instruction after them costs time, and little is gained by mixing the two.
type mergeStrip struct {
	*tile32
	storage
	constants
	equal operand.Mem // on the stack: minus the entries that were equal to what was stored, in lanes of an entry's size
}

func (m *mergeStrip) build() {
	ctx, name := m.ctx, "merge"+m.name+m.suffix
	function(ctx, name, "func(k, panels int, a, b *float32, dst, src *byte, stride int) (done, changed int)", name+" is a mergeStrip of "+m.name+".")
	k := ctx.Load(ctx.Param("k"), ctx.GP64())
	left := ctx.Load(ctx.Param("panels"), ctx.GP64())
	a := ctx.Load(ctx.Param("a"), ctx.GP64())
	b := ctx.Load(ctx.Param("b"), ctx.GP64())
	dst := ctx.Load(ctx.Param("dst"), ctx.GP64())
	src := ctx.Load(ctx.Param("src"), ctx.GP64())
	stride := ctx.Load(ctx.Param("stride"), ctx.GP64())
	stride3, factors, steps := ctx.GP64(), ctx.GP64(), ctx.GP64()
	same, largest := m.free(2), m.free(3)
	ctx.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	m.equal = ctx.AllocLocal(m.bytes)
	m.clear()
	ctx.VMOVUPS(m.sum(0, 0), m.equal)
	if m.wide() && m.name == "BF16" {
		mask := ctx.GP32()
		ctx.MOVL(operand.U32(0xaaaaaaaa), mask)
		ctx.KMOVD(mask, reg.K2) // of oddWords
	}
	ctx.TESTQ(left, left)
	ctx.JZ(operand.LabelRef("done"))

	ctx.Label("panel")
	m.clear()
	ctx.MOVQ(a, factors)
	ctx.MOVQ(k, steps)
	m.chain("", steps, factors, b)
	m.eachRow(src, stride, stride3, func(row int, at operand.Mem) {
		m.mergeRow(row, at)
	})
	m.leaveWhereNotFinite(largest, "done")
	m.add(m.equal, same, same)
	ctx.VMOVUPS(same, m.equal)
	vectors := m.cols() * m.size / m.bytes
	m.eachRow(dst, stride, stride3, func(row int, at operand.Mem) {
		for half := range vectors {
			ctx.VMOVUPS(m.sum(row, half), at.Offset(half*m.bytes))
		}
	})
	ctx.ADDQ(operand.U32(vectors*m.bytes), src)
	ctx.ADDQ(operand.U32(vectors*m.bytes), dst)
	ctx.DECQ(left)
	ctx.JNZ(operand.LabelRef("panel"))

	ctx.Label("done")
	done := ctx.Load(ctx.Param("panels"), ctx.GP64())
	ctx.SUBQ(left, done)
	ctx.Store(done, ctx.Return("done"))
	ctx.IMUL3Q(operand.U32(m.rows*m.cols()), done, done)
	ctx.VMOVUPS(m.equal, same)
	ctx.ADDQ(m.reduce(same, largest), done)
	ctx.Store(done, ctx.Return("changed"))
	ctx.VZEROUPPER()
	ctx.RET()
}

// mergeRow turns a row's sums into its results, in the first of its registers, or in both for F32. at is where the row of W is.
func (m *mergeStrip) mergeRow(row int, at operand.Mem) {
	ctx, before, t := m.ctx, m.free(0), m.free(1)
	first, second := m.sum(row, 0), m.sum(row, 1)
	switch m.name {
	case "BF16": // the sums of even columns are first: so a vector of W is widened, and one of results put together, without moving words
		even, odd := first, second
		ctx.VMOVUPS(at, before)
		ctx.VPSLLD(operand.Imm(16), before, t)
		ctx.VADDPS(t, even, even)
		m.and(m.odd, before, t)
		ctx.VADDPS(t, odd, odd)
		// What the lower words are carries into the upper ones from 0x8000 on, a half, or from 0x8001 where the upper one is even.
		ctx.VPSRLD(operand.Imm(16), even, t)
		m.oddWords(odd, t) // the upper words
		ctx.VPSLLD(operand.Imm(16), odd, odd)
		m.oddWords(odd, even) // the lower words
		m.andNot(m.ones, t, odd)
		ctx.VPSUBUSW(odd, even, even)
		ctx.VPSRLW(operand.Imm(15), even, even)
		ctx.VPADDW(t, even, even)
		m.compare(even, before, row == 0)
	case "F16":
		ctx.VCVTPH2PS(at, t)
		ctx.VADDPS(t, first, first)
		ctx.VCVTPH2PS(at.Offset(m.bytes/2), t)
		ctx.VADDPS(t, second, second)
		ctx.VCVTPS2PH(operand.Imm(0), first, narrow(first)) // 0: to nearest even, whatever the mode is
		ctx.VCVTPS2PH(operand.Imm(0), second, narrow(second))
		m.upperHalf(narrow(second), first)
		m.compare(first, at, row == 0)
	case "F32":
		ctx.VADDPS(at, first, first)
		ctx.VADDPS(at.Offset(m.bytes), second, second)
		m.compare(first, at, row == 0)
		m.compare(second, at.Offset(m.bytes), false)
	}
}

// compare counts the entries of a vector of results that equal what was stored before, and keeps the largest magnitude: NaN is larger than
// infinity. It starts anew with the first vector.
func (m *mergeStrip) compare(result reg.VecPhysical, before operand.Op, first bool) {
	ctx, t, same, largest := m.ctx, m.free(1), m.free(2), m.free(3)
	magnitude, equal := t, t
	if first {
		magnitude, equal = largest, same
	}
	m.add(result, result, magnitude) // shifts the sign out
	if !first {
		m.max(t, largest)
	}
	switch {
	case m.wide() && m.size == 2:
		ctx.VPCMPEQW(before, result, reg.K1)
		ctx.VPMOVM2W(reg.K1, equal)
	case m.wide():
		ctx.VPCMPEQD(before, result, reg.K1)
		ctx.VPMOVM2D(reg.K1, equal)
	case m.size == 2:
		ctx.VPCMPEQW(before, result, equal)
	default:
		ctx.VPCMPEQD(before, result, equal)
	}
	if !first {
		m.add(t, same, same)
	}
}

// leaveWhereNotFinite jumps if an entry's magnitude, doubled, is that of infinity or above.
func (m *mergeStrip) leaveWhereNotFinite(magnitudes reg.VecPhysical, label string) {
	ctx, t := m.ctx, m.free(1)
	const notLess = 5
	switch {
	case m.wide() && m.size == 2:
		ctx.VPCMPUW(operand.Imm(notLess), m.infinity, magnitudes, reg.K1)
	case m.wide():
		ctx.VPCMPUD(operand.Imm(notLess), m.infinity, magnitudes, reg.K1)
	case m.size == 2:
		ctx.VPMAXUW(m.infinity, magnitudes, t)
		ctx.VPCMPEQW(t, magnitudes, t)
	default:
		ctx.VPMAXUD(m.infinity, magnitudes, t)
		ctx.VPCMPEQD(t, magnitudes, t)
	}
	if m.wide() {
		ctx.KORTESTD(reg.K1, reg.K1)
	} else {
		ctx.VPTEST(t, t)
	}
	ctx.JNZ(operand.LabelRef(label))
}

// add adds lanes of an entry's size.
func (m *mergeStrip) add(x operand.Op, y, sum reg.VecPhysical) {
	if m.size == 2 {
		m.ctx.VPADDW(x, y, sum)
	} else {
		m.ctx.VPADDD(x, y, sum)
	}
}

// max raises the entries of most to those of x, without sign.
func (m *mergeStrip) max(x operand.Op, most reg.VecPhysical) {
	if m.size == 2 {
		m.ctx.VPMAXUW(x, most, most)
	} else {
		m.ctx.VPMAXUD(x, most, most)
	}
}

// reduce adds up the lanes of v.
func (m *mergeStrip) reduce(v, t reg.VecPhysical) reg.Register {
	ctx := m.ctx
	if m.size == 2 {
		ctx.VPMADDWD(m.ones, v, v)
	}
	if m.wide() {
		ctx.VEXTRACTI64X4(operand.Imm(1), v, t.AsY())
		ctx.VPADDD(t.AsY(), v.AsY(), v.AsY())
		ctx.VEXTRACTI32X4(operand.Imm(1), v.AsY(), t.AsX()) // VEX instructions cannot name the upper 16 registers
	} else {
		ctx.VEXTRACTI128(operand.Imm(1), v.AsY(), t.AsX())
	}
	x, other := v.AsX(), t.AsX()
	ctx.VPADDD(other, x, x)
	ctx.VPSHUFD(operand.Imm(0x4e), x, other)
	ctx.VPADDD(other, x, x)
	ctx.VPSHUFD(operand.Imm(0xb1), x, other)
	ctx.VPADDD(other, x, x)
	sum := ctx.GP64()
	ctx.VMOVD(x, sum.As32())
	ctx.MOVLQSX(sum.As32(), sum)
	return sum
}

func (t *tile32) and(x operand.Op, y, both reg.VecPhysical) {
	if t.wide() {
		t.ctx.VPANDD(x, y, both)
	} else {
		t.ctx.VPAND(x, y, both)
	}
}

// andNot sets both to those bits of x that y has not.
func (t *tile32) andNot(x operand.Op, y, both reg.VecPhysical) {
	if t.wide() {
		t.ctx.VPANDND(x, y, both)
	} else {
		t.ctx.VPANDN(x, y, both)
	}
}

// oddWords replaces every second 16-bit lane of to.
func (t *tile32) oddWords(from, to reg.VecPhysical) {
	if t.wide() {
		t.ctx.VMOVDQU16(from, reg.K2, to)
	} else {
		t.ctx.VPBLENDW(operand.Imm(0xaa), from, to, to)
	}
}

// upperHalf replaces the upper half of to.
func (t *tile32) upperHalf(from, to reg.VecPhysical) {
	if t.wide() {
		t.ctx.VINSERTI64X4(operand.Imm(1), from, to, to)
	} else {
		t.ctx.VINSERTI128(operand.Imm(1), from, to, to)
	}
}
