#include "textflag.h"
#include "neon_arm64.h"

#define ZEROLANES \
	ZEROROW(0, 1, 2, 3) \
	ZEROROW(4, 5, 6, 7) \
	ZEROROW(8, 9, 10, 11) \
	ZEROROW(12, 13, 14, 15)

// DOT adds the products of a block of weights with x, in V16 to V19, to the lanes of a row.
#define DOT(WIDEN, w, a, b, c, d) \
	WIDEN(w) \
	VFMLA V16.S4, V20.S4, a.S4 \
	VFMLA V17.S4, V21.S4, b.S4 \
	VFMLA V18.S4, V22.S4, c.S4 \
	VFMLA V19.S4, V23.S4, d.S4

// DOTS goes over R6 blocks of the rows at R1 to R4 and of x at R5, with the rows' lanes in V0 to V15. A function can hold it once.
#define DOTS(WIDEN) \
blocks: \
	VLD1.P 64(R5), [V16.S4, V17.S4, V18.S4, V19.S4] \
	DOT(WIDEN, R1, V0, V1, V2, V3) \
	DOT(WIDEN, R2, V4, V5, V6, V7) \
	DOT(WIDEN, R3, V8, V9, V10, V11) \
	DOT(WIDEN, R4, V12, V13, V14, V15) \
	SUB $1, R6 \
	CBNZ R6, blocks

// ROWS has R2, R3 and R4 lie R7 bytes apart, from R1 on.
#define ROWS \
	ADD R7, R1, R2 \
	ADD R7, R2, R3 \
	ADD R7, R3, R4

// HALVE adds a row's lanes at distance 8 and 4.
#define HALVE(a, b, c, d) \
	FADD4S(c, a, a) \
	FADD4S(d, b, b) \
	FADD4S(b, a, a)

// QUARTERS adds what HALVE leaves of four rows at distance 2 and 1, and leaves the sums in V0. For that, the rows are interleaved.
#define QUARTERS(a, b, c, d) \
	VZIP1 b.S4, a.S4, V16.S4 \
	VZIP2 b.S4, a.S4, V17.S4 \
	VZIP1 d.S4, c.S4, V18.S4 \
	VZIP2 d.S4, c.S4, V19.S4 \
	FADD4S(17, 16, 16) \
	FADD4S(19, 18, 18) \
	VZIP1 V18.D2, V16.D2, V0.D2 \
	VZIP2 V18.D2, V16.D2, V1.D2 \
	FADD4S(1, 0, 0)

// ENDDOTS adds the lanes of the four rows of DOTS, and stores the sums.
#define ENDDOTS \
	HALVE(0, 1, 2, 3) \
	HALVE(4, 5, 6, 7) \
	HALVE(8, 9, 10, 11) \
	HALVE(12, 13, 14, 15) \
	QUARTERS(V0, V4, V8, V12) \
	VST1 [V0.S4], (R0)

// func dotsBF16NEON(dst *float32, w *byte, stride int, x *float32, blocks int)
TEXT ·dotsBF16NEON(SB), NOSPLIT, $0-40
	MOVD dst+0(FP), R0
	MOVD w+8(FP), R1
	MOVD stride+16(FP), R7
	MOVD x+24(FP), R5
	MOVD blocks+32(FP), R6
	ROWS
	ZEROLANES
	ZERO(31)
	DOTS(WIDENBF16)
	ENDDOTS
	RET

// func dotsF16NEON(dst *float32, w *byte, stride int, x *float32, blocks int)
TEXT ·dotsF16NEON(SB), NOSPLIT, $0-40
	MOVD dst+0(FP), R0
	MOVD w+8(FP), R1
	MOVD stride+16(FP), R7
	MOVD x+24(FP), R5
	MOVD blocks+32(FP), R6
	ROWS
	ZEROLANES
	DOTS(WIDENF16)
	ENDDOTS
	RET

// func dotsF32NEON(dst *float32, w *byte, stride int, x *float32, blocks int)
TEXT ·dotsF32NEON(SB), NOSPLIT, $0-40
	MOVD dst+0(FP), R0
	MOVD w+8(FP), R1
	MOVD stride+16(FP), R7
	MOVD x+24(FP), R5
	MOVD blocks+32(FP), R6
	ROWS
	ZEROLANES
	DOTS(WIDENF32)
	ENDDOTS
	RET

// func splitBF16NEON(dst *float32, src *byte, part, blocks int)
TEXT ·splitBF16NEON(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD part+16(FP), R2
	MOVD blocks+24(FP), R3
	ADD  R0, R2
	ZERO(31)

loop:
	WIDENBF16(R1)
	VST1.P [V20.S4, V21.S4], 32(R0)
	VST1.P [V22.S4, V23.S4], 32(R2)
	SUB    $1, R3
	CBNZ   R3, loop
	RET

// func splitF16NEON(dst *float32, src *byte, part, blocks int)
TEXT ·splitF16NEON(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD part+16(FP), R2
	MOVD blocks+24(FP), R3
	ADD  R0, R2

loop:
	WIDENF16(R1)
	VST1.P [V20.S4, V21.S4], 32(R0)
	VST1.P [V22.S4, V23.S4], 32(R2)
	SUB    $1, R3
	CBNZ   R3, loop
	RET

// func splitF32NEON(dst *float32, src *byte, part, blocks int)
TEXT ·splitF32NEON(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD src+8(FP), R1
	MOVD part+16(FP), R2
	MOVD blocks+24(FP), R3
	ADD  R0, R2

loop:
	WIDENF32(R1)
	VST1.P [V20.S4, V21.S4], 32(R0)
	VST1.P [V22.S4, V23.S4], 32(R2)
	SUB    $1, R3
	CBNZ   R3, loop
	RET

// func sumsNEON(dst, lanes *float32, part, fours int)
TEXT ·sumsNEON(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD lanes+8(FP), R1
	MOVD part+16(FP), R2
	MOVD fours+24(FP), R3
	ADD  R1, R2

loop:
	VLD1.P 64(R1), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R2), [V8.S4, V9.S4, V10.S4, V11.S4]
	VLD1.P 64(R2), [V12.S4, V13.S4, V14.S4, V15.S4]
	HALVE(0, 1, 8, 9)
	HALVE(2, 3, 10, 11)
	HALVE(4, 5, 12, 13)
	HALVE(6, 7, 14, 15)
	QUARTERS(V0, V2, V4, V6)
	VST1.P [V0.S4], 16(R0)
	SUB    $1, R3
	CBNZ   R3, loop
	RET
