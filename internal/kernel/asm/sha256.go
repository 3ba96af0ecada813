package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func init() {
	families = append(families, family{"sha256", func(ctx *build.Context) {
		hasSHA(ctx)
		sha256Pair(ctx)
	}})
}

// hasSHA writes the question for the SHA extensions, which golang.org/x/sys/cpu does not answer.
func hasSHA(ctx *build.Context) {
	function(ctx, "extendedFeatures", "func() (ebx uint32)", "extendedFeatures is register EBX of CPUID leaf 7, which every processor with AVX2 has.")
	ctx.MOVL(operand.U32(7), reg.EAX)
	ctx.XORL(reg.ECX, reg.ECX)
	ctx.CPUID()
	ctx.Store(reg.EBX, ctx.Return("ebx"))
	ctx.RET()
}

// stream is the registers of one of the two digests: the state as the instructions want it, ABEF and CDGH, and sixteen words of the message.
type stream struct {
	abef, cdgh reg.VecPhysical
	message    [4]reg.VecPhysical
	state, p   reg.GPVirtual
}

// sha256Pair writes a loop that takes two digests over one block of 64 bytes each in turn. Within a digest every instruction waits for the one
// before; two of them side by side keep the processor busy.
func sha256Pair(ctx *build.Context) {
	function(ctx, "sha256Pair", "func(table, a, b *uint32, p, q *byte, blocks int)",
		"sha256Pair adds blocks of 64 bytes at p to the digest with state a, and as many at q to that with state b. A state is F, E, B, A, H, G, D, C.")
	table, blocks := argument(ctx, "table"), argument(ctx, "blocks")
	streams := []stream{
		{reg.X1, reg.X2, [4]reg.VecPhysical{reg.X3, reg.X4, reg.X5, reg.X6}, argument(ctx, "a"), argument(ctx, "p")},
		{reg.X7, reg.X8, [4]reg.VecPhysical{reg.X9, reg.X10, reg.X11, reg.X12}, argument(ctx, "b"), argument(ctx, "q")},
	}
	sum, scratch, swap := reg.X0, reg.X13, reg.X15
	at := func(base reg.GPVirtual, offset int) operand.Mem { return operand.Mem{Base: base, Disp: offset} }
	ctx.MOVOU(at(table, 256), swap) // behind the 64 constants
	for _, s := range streams {
		ctx.MOVOU(at(s.state, 0), s.abef)
		ctx.MOVOU(at(s.state, 16), s.cdgh)
	}
	ctx.Label("block")
	for group := range 16 { // of four rounds
		for _, s := range streams {
			current, before, after := s.message[group%4], s.message[(group+3)%4], s.message[(group+1)%4]
			if group < 4 {
				ctx.MOVOU(at(s.p, 16*group), current)
				ctx.PSHUFB(swap, current)
			}
			ctx.MOVOU(at(table, 16*group), sum)
			ctx.PADDD(current, sum)
			ctx.SHA256RNDS2(sum, s.abef, s.cdgh)
			ctx.PSHUFD(operand.U8(0x0e), sum, sum)
			if group >= 3 && group < 15 {
				ctx.MOVO(current, scratch)
				ctx.PALIGNR(operand.U8(4), before, scratch)
				ctx.PADDD(scratch, after)
				ctx.SHA256MSG2(current, after)
			}
			ctx.SHA256RNDS2(sum, s.cdgh, s.abef)
			if group >= 1 && group < 13 {
				ctx.SHA256MSG1(current, before)
			}
		}
	}
	for _, s := range streams {
		for i, r := range []reg.VecPhysical{s.abef, s.cdgh} {
			ctx.MOVOU(at(s.state, 16*i), scratch)
			ctx.PADDD(scratch, r)
			ctx.MOVOU(r, at(s.state, 16*i))
		}
		ctx.ADDQ(operand.U8(64), s.p)
	}
	ctx.DECQ(blocks)
	ctx.JNZ(operand.LabelRef("block"))
	ctx.RET()
}
