package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
)

func init() {
	families = append(families, family{"gemm32", func(ctx *build.Context) {
		for _, t := range tiles32(ctx) {
			t.gemm()
		}
	}})
}

// gemm generates gemm32Kernels.add.
func (t *tile32) gemm() {
	ctx := t.ctx
	function(ctx, "gemm32Add"+t.suffix, "func(k, panels int, a, b, c *float32, stride int)", "gemm32Add"+t.suffix+" is gemm32Kernels.add.")
	k := ctx.Load(ctx.Param("k"), ctx.GP64())
	panels := ctx.Load(ctx.Param("panels"), ctx.GP64())
	a := ctx.Load(ctx.Param("a"), ctx.GP64())
	b := ctx.Load(ctx.Param("b"), ctx.GP64())
	c := ctx.Load(ctx.Param("c"), ctx.GP64())
	stride := ctx.Load(ctx.Param("stride"), ctx.GP64())
	stride3, factors, left := ctx.GP64(), ctx.GP64(), ctx.GP64()
	ctx.SHLQ(operand.Imm(2), stride)
	ctx.LEAQ(operand.Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	ctx.TESTQ(panels, panels)
	ctx.JZ(operand.LabelRef("done"))

	ctx.Label("panel")
	t.eachRow(c, stride, stride3, func(row int, at operand.Mem) {
		for half := range 2 {
			ctx.VMOVUPS(at.Offset(half*t.bytes), t.sum(row, half))
		}
	})
	ctx.MOVQ(a, factors)
	ctx.MOVQ(k, left)
	t.chain("", left, factors, b)
	t.eachRow(c, stride, stride3, func(row int, at operand.Mem) {
		for half := range 2 {
			ctx.VMOVUPS(t.sum(row, half), at.Offset(half*t.bytes))
		}
	})
	ctx.ADDQ(operand.U32(2*t.bytes), c)
	ctx.DECQ(panels)
	ctx.JNZ(operand.LabelRef("panel"))
	ctx.Label("done")
	ctx.VZEROUPPER()
	ctx.RET()
}
