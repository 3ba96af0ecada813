package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	families = append(families, family{"gemm64", func(ctx *build.Context) {
		for _, t := range []tile64{
			{"AVX2", 6, 2, ctx.YMM, 32},
			{"AVX512", 12, 2, ctx.ZMM, 64},
		} {
			t.add(ctx, false)
			t.add(ctx, true)
			t.cut(ctx)
		}
	}})
}

// tile64 is a register tile of f64 sums: rows by vectors, each of so many bytes.
type tile64 struct {
	name          string
	rows, vectors int
	vector        func() reg.VecVirtual
	bytes         int
}

// add writes gemm64Kernels.add, or addRows where the left factor is by rows. All sums of a tile stay in registers while p runs; in each step
// a row of b is loaded, and one entry of a after the other spread over a register.
func (t tile64) add(ctx *build.Context, byRows bool) {
	name, left := "gemm64Add"+t.name, "a *float64"
	doc := fmt.Sprintf("%s is gemm64Kernels.add for tiles of %d by %d.", name, t.rows, t.vectors*t.bytes/8)
	if byRows {
		name, left = "gemm64AddRows"+t.name, "a *float64, aStride int"
		doc = fmt.Sprintf("%s is gemm64Kernels.addRows for tiles of %d by %d.", name, t.rows, t.vectors*t.bytes/8)
	}
	function(ctx, name, "func(k, panels int, "+left+", b, c *float64, stride int)", doc)
	panels := argument(ctx, "panels")
	a, b, c := argument(ctx, "a"), argument(ctx, "b"), argument(ctx, "c")
	stride := argument(ctx, "stride")
	ctx.SHLQ(operand.U8(3), stride) // entries to bytes
	var apart rowsApart
	if byRows {
		apart = newRowsApart(ctx, argument(ctx, "aStride"))
	}
	ctx.TESTQ(panels, panels)
	ctx.JZ(operand.LabelRef("done"))

	ctx.Label("panel")
	sums := make([][]reg.VecVirtual, t.rows)
	walk(ctx, c, stride, t.rows, func(i int, row reg.GPVirtual) {
		for j := range t.vectors {
			sums[i] = append(sums[i], t.vector())
			ctx.VMOVUPD(operand.Mem{Base: row, Disp: j * t.bytes}, sums[i][j])
		}
	})
	low, high := ctx.GP64(), reg.GPVirtual(nil)
	ctx.MOVQ(a, low)
	if byRows && t.rows > 6 {
		high = ctx.GP64()
		ctx.LEAQ(operand.Mem{Base: a, Index: apart.triple, Scale: 2}, high)
	}
	steps := argument(ctx, "k")
	ctx.TESTQ(steps, steps)
	ctx.JZ(operand.LabelRef("store"))

	ctx.Label("step")
	right := make([]reg.VecVirtual, t.vectors)
	for j := range right {
		right[j] = t.vector()
		ctx.VMOVUPD(operand.Mem{Base: b, Disp: j * t.bytes}, right[j])
	}
	for i := range sums {
		from := operand.Mem{Base: low, Disp: 8 * i}
		if byRows && i < 6 {
			from = apart.at(low, i)
		} else if byRows {
			from = apart.at(high, i-6)
		}
		entry := t.vector()
		ctx.VBROADCASTSD(from, entry)
		for j := range right {
			ctx.VFMADD231PD(right[j], entry, sums[i][j])
		}
	}
	ctx.ADDQ(operand.U32(t.vectors*t.bytes), b)
	if !byRows {
		ctx.ADDQ(operand.U32(8*t.rows), low)
	} else {
		ctx.ADDQ(operand.U32(8), low)
		if high != nil {
			ctx.ADDQ(operand.U32(8), high)
		}
	}
	ctx.DECQ(steps)
	ctx.JNZ(operand.LabelRef("step"))

	ctx.Label("store")
	walk(ctx, c, stride, t.rows, func(i int, row reg.GPVirtual) {
		for j := range t.vectors {
			ctx.VMOVUPD(sums[i][j], operand.Mem{Base: row, Disp: j * t.bytes})
		}
	})
	ctx.ADDQ(operand.U32(t.vectors*t.bytes), c)
	ctx.DECQ(panels)
	ctx.JNZ(operand.LabelRef("panel"))

	ctx.Label("done")
	ctx.VZEROUPPER()
	ctx.RET()
}

// cut writes gemm64Kernels.cut: the rows of a tile are a vector and half a vector.
func (t tile64) cut(ctx *build.Context) {
	name := "gemm64Cut" + t.name
	function(ctx, name, "func(n int, dst *float64, step int, src *float64)",
		fmt.Sprintf("%s is gemm64Kernels.cut for tiles of %d rows.", name, t.rows))
	n, dst, step, src := argument(ctx, "n"), argument(ctx, "dst"), argument(ctx, "step"), argument(ctx, "src")
	ctx.SHLQ(operand.U8(3), step)
	whole, half := t.vector(), reg.Register(ctx.XMM())
	if t.bytes == 64 {
		half = ctx.YMM()
	}
	ctx.Label("strip")
	ctx.VMOVUPD(operand.Mem{Base: src}, whole)
	ctx.VMOVUPD(operand.Mem{Base: src, Disp: t.bytes}, half)
	ctx.VMOVUPD(whole, operand.Mem{Base: dst})
	ctx.VMOVUPD(half, operand.Mem{Base: dst, Disp: t.bytes})
	ctx.ADDQ(operand.U32(8*t.rows), src)
	ctx.ADDQ(step, dst)
	ctx.DECQ(n)
	ctx.JNZ(operand.LabelRef("strip"))
	ctx.VZEROUPPER()
	ctx.RET()
}

// argument loads an argument of 64 bits.
func argument(ctx *build.Context, name string) reg.GPVirtual {
	r := ctx.GP64()
	ctx.Load(ctx.Param(name), r)
	return r
}

// walk visits the first entries of rows, so many bytes apart.
func walk(ctx *build.Context, first, stride reg.GPVirtual, rows int, visit func(i int, row reg.GPVirtual)) {
	row := ctx.GP64()
	ctx.MOVQ(first, row)
	for i := range rows {
		visit(i, row)
		if i < rows-1 {
			ctx.ADDQ(stride, row)
		}
	}
}

// rowsApart addresses six rows from one base: so many bytes apart, three times and five times that.
type rowsApart struct{ single, triple, quintuple reg.GPVirtual }

func newRowsApart(ctx *build.Context, stride reg.GPVirtual) rowsApart {
	r := rowsApart{stride, ctx.GP64(), ctx.GP64()}
	ctx.SHLQ(operand.U8(3), stride)
	ctx.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, r.triple)
	ctx.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 4}, r.quintuple)
	return r
}

func (r rowsApart) at(base reg.GPVirtual, row int) operand.Mem {
	switch row {
	case 0:
		return operand.Mem{Base: base}
	case 3:
		return operand.Mem{Base: base, Index: r.triple, Scale: 1}
	case 5:
		return operand.Mem{Base: base, Index: r.quintuple, Scale: 1}
	}
	return operand.Mem{Base: base, Index: r.single, Scale: uint8(row)}
}
