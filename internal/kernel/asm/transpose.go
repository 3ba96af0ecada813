package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// transpose8 writes a loop over 8 rows, four columns at a time: two squares of 4 x 4 each, whose columns make one whole line of dst.
func transpose8(ctx *build.Context) {
	function(ctx, "vectorTranspose8AVX2", "func(n int, dst *float64, dstStride int, src *float64, srcStride int)",
		"vectorTranspose8AVX2 is vectorKernels.transpose8, for n that is a multiple of 4 and at least 4.")
	n, dst, dstStride := argument(ctx, "n"), argument(ctx, "dst"), argument(ctx, "dstStride")
	src, apart := argument(ctx, "src"), newRowsApart(ctx, argument(ctx, "srcStride"))
	ctx.SHLQ(operand.U8(3), dstStride)
	lower := ctx.GP64()
	ctx.LEAQ(operand.Mem{Base: src, Index: apart.single, Scale: 4}, lower)
	ctx.Label("loop")
	var columns [2][4]reg.VecVirtual
	for half, base := range []reg.GPVirtual{src, lower} {
		var rows, pairs [4]reg.VecVirtual
		for i := range rows {
			rows[i], pairs[i], columns[half][i] = ctx.YMM(), ctx.YMM(), ctx.YMM()
			ctx.VMOVUPD(apart.at(base, i), rows[i])
		}
		for i := 0; i < 4; i += 2 {
			ctx.VUNPCKLPD(rows[i+1], rows[i], pairs[i])
			ctx.VUNPCKHPD(rows[i+1], rows[i], pairs[i+1])
		}
		for i := range 2 {
			ctx.VPERM2F128(operand.U8(0x20), pairs[i+2], pairs[i], columns[half][i])
			ctx.VPERM2F128(operand.U8(0x31), pairs[i+2], pairs[i], columns[half][i+2])
		}
	}
	for i := range 4 {
		ctx.VMOVUPD(columns[0][i], operand.Mem{Base: dst})
		ctx.VMOVUPD(columns[1][i], operand.Mem{Base: dst, Disp: 32})
		ctx.ADDQ(dstStride, dst)
	}
	ctx.ADDQ(operand.U32(32), src)
	ctx.ADDQ(operand.U32(32), lower)
	ctx.SUBQ(operand.U32(4), n)
	ctx.JNZ(operand.LabelRef("loop"))
	ctx.VZEROUPPER()
	ctx.RET()
}
