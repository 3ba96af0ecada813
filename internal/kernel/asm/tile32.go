package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tile32 is a register tile of f32 chains: rows by two vectors. Its vector registers are fixed, since it needs all that there are: the sums from
// register 0 on, row by row, then two for the columns' factors, then those that hold the rows' factors in turn. What follows the chains may use
// all but the sums.
type tile32 struct {
	ctx    *build.Context
	suffix string // of function names
	bytes  int    // of a vector
	rows   int
	all    []reg.VecPhysical
}

// narrow is the vector of half the width in the same register.
func narrow(r reg.VecPhysical) reg.VecPhysical {
	if r.Size() == 64 {
		return r.AsY().(reg.VecPhysical)
	}
	return r.AsX().(reg.VecPhysical)
}

func tiles32(ctx *build.Context) []*tile32 {
	y := []reg.VecPhysical{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
	}
	z := []reg.VecPhysical{
		reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
		reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
	}
	return []*tile32{{ctx, "AVX2", 32, 6, y}, {ctx, "AVX512", 64, 12, z}}
}

// wide says that this is the AVX-512 tile, which has mask registers.
func (t *tile32) wide() bool { return t.bytes == 64 }

func (t *tile32) cols() int { return 2 * t.bytes / 4 }

func (t *tile32) sum(row, half int) reg.VecPhysical { return t.all[2*row+half] }

// free is the i-th vector register that holds no sum.
func (t *tile32) free(i int) reg.VecPhysical { return t.all[2*t.rows+i] }

// clear sets all sums to +0.
func (t *tile32) clear() {
	for i := range 2 * t.rows {
		x := t.all[i].AsX()
		t.ctx.VXORPS(x, x, x) // the bits above are cleared too
	}
}

// unroll is how many steps of the chains a turn of their loop takes.
const unroll = 4

// chain advances every sum by left fused steps, none where left is 0 or less. It moves a and b past the factors it reads, and uses left up. Its
// labels begin with prefix.
func (t *tile32) chain(prefix string, left, a, b reg.Register) {
	ctx := t.ctx
	ctx.SUBQ(operand.Imm(unroll), left)
	ctx.JL(operand.LabelRef(prefix + "rest"))
	ctx.Label(prefix + "steps")
	for step := range unroll {
		t.step(a, b, step)
	}
	t.pass(unroll, a, b)
	ctx.SUBQ(operand.Imm(unroll), left)
	ctx.JGE(operand.LabelRef(prefix + "steps"))
	ctx.Label(prefix + "rest")
	ctx.ADDQ(operand.Imm(unroll), left)
	ctx.JLE(operand.LabelRef(prefix + "chained"))
	ctx.Label(prefix + "single")
	t.step(a, b, 0)
	t.pass(1, a, b)
	ctx.DECQ(left)
	ctx.JNZ(operand.LabelRef(prefix + "single"))
	ctx.Label(prefix + "chained")
}

// pass moves a and b past the factors of some steps.
func (t *tile32) pass(steps int, a, b reg.Register) {
	t.ctx.ADDQ(operand.U32(4*t.rows*steps), a)
	t.ctx.ADDQ(operand.U32(2*t.bytes*steps), b)
}

// step advances every sum by the step-th step from a and b on.
func (t *tile32) step(a, b reg.Register, step int) {
	column := [2]reg.VecPhysical{t.free(0), t.free(1)}
	for half, r := range column {
		t.ctx.VMOVUPS(operand.Mem{Base: b, Disp: (2*step + half) * t.bytes}, r)
	}
	for row := range t.rows {
		factor := t.free(2 + row%(len(t.all)-2*t.rows-2))
		t.ctx.VBROADCASTSS(operand.Mem{Base: a, Disp: 4 * (step*t.rows + row)}, factor)
		for half, r := range column {
			t.ctx.VFMADD231PS(r, factor, t.sum(row, half))
		}
	}
}

// rowOf is the address of a row of a tile, where at is that of the row with the last index before it that divides by three.
func rowOf(at, stride reg.Register, row int) operand.Mem {
	m := operand.Mem{Base: at}
	if row%3 > 0 {
		m.Index, m.Scale = stride, uint8(row%3)
	}
	return m
}

// eachRow calls do with the address of each row of a tile: rows from base on, stride bytes apart; stride3 is three times stride.
func (t *tile32) eachRow(base, stride, stride3 reg.Register, do func(row int, at operand.Mem)) {
	at := t.ctx.GP64()
	t.ctx.MOVQ(base, at)
	for row := range t.rows {
		if row > 0 && row%3 == 0 {
			t.ctx.ADDQ(stride3, at)
		}
		do(row, rowOf(at, stride, row))
	}
}
