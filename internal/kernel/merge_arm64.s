#include "textflag.h"
#include "neon_arm64.h"
#include "merge_arm64.h"

// A panel goes in three passes over its rows: the chains; then W is added to them and the magnitudes of the sums are gathered, so that a
// panel that overflows is left before anything of it is stored; then the sums are rounded, compared with W and stored.

// SUMBF16 adds a row of W to its chains. V31 is zero: interleaved with it, bf16 is f32.
#define SUMBF16(a, b, c, d) \
	VLD1 (R11), [V25.H8, V26.H8] \
	ADD R6, R11 \
	VZIP1 V25.H8, V31.H8, V27.H8 \
	VZIP2 V25.H8, V31.H8, V29.H8 \
	FADD4S(27, a, a) \
	FADD4S(29, b, b) \
	REACH(a, b) \
	VZIP1 V26.H8, V31.H8, V27.H8 \
	VZIP2 V26.H8, V31.H8, V29.H8 \
	FADD4S(27, c, c) \
	FADD4S(29, d, d) \
	REACH(c, d)

#define SUMF16(a, b, c, d) \
	VLD1 (R11), [V25.H8, V26.H8] \
	ADD R6, R11 \
	FCVTL4H(25, 27) \
	FCVTL8H(25, 29) \
	FADD4S(27, a, a) \
	FADD4S(29, b, b) \
	REACH(a, b) \
	FCVTL4H(26, 27) \
	FCVTL8H(26, 29) \
	FADD4S(27, c, c) \
	FADD4S(29, d, d) \
	REACH(c, d)

#define SUMF32(a, b, c, d) \
	FLDPQ (R11), (F26, F27) \
	FLDPQ 32(R11), (F29, F31) \
	ADD R6, R11 \
	FADD4S(26, a, a) \
	FADD4S(27, b, b) \
	FADD4S(29, c, c) \
	FADD4S(31, d, d) \
	REACH(a, b) \
	REACH(c, d)

// START has R11 and R12 go along the rows of a panel of src and dst.
#define START \
	MOVD R5, R11 \
	MOVD R4, R12

// func mergeBF16NEON(k, panels int, a, b *float32, dst, src *byte, stride int) (done, changed int)
TEXT ·mergeBF16NEON(SB), NOSPLIT, $0-72
	MOVD k+0(FP), R0
	MOVD panels+8(FP), R1
	MOVD a+16(FP), R2
	MOVD b+24(FP), R3
	MOVD dst+32(FP), R4
	MOVD src+40(FP), R5
	MOVD stride+48(FP), R6
	MOVD $0, R7                // done
	MOVD $0, R8                // changed
	MOVD $(0x7f7f8000<<1), R14 // the least that rounds to infinity
	MOVD $0x7fff, R15
	VDUP R15, V30.S4
	MOVD $0x10000, R15
	CBZ  R1, stop

panel:
	TILE(ZEROROW)
	CHAIN32
	START
	ZERO(28)
	ZERO(31)
	TILE(SUMBF16)
	FINITE
	START
	VDUP R15, V29.S4
	TILE(STOREBF16)
	COUNT16
	ADD  $96, R8
	ADD  $32, R4
	ADD  $32, R5
	ADD  $1, R7
	CMP  R1, R7
	BLO  panel

stop:
	MOVD R7, done+56(FP)
	MOVD R8, changed+64(FP)
	RET

// func mergeF16NEON(k, panels int, a, b *float32, dst, src *byte, stride int) (done, changed int)
TEXT ·mergeF16NEON(SB), NOSPLIT, $0-72
	MOVD k+0(FP), R0
	MOVD panels+8(FP), R1
	MOVD a+16(FP), R2
	MOVD b+24(FP), R3
	MOVD dst+32(FP), R4
	MOVD src+40(FP), R5
	MOVD stride+48(FP), R6
	MOVD $0, R7
	MOVD $0, R8
	MOVD $(0x477ff000<<1), R14 // 65520, the least that rounds to infinity
	CBZ  R1, stop

panel:
	TILE(ZEROROW)
	CHAIN32
	START
	ZERO(28)
	TILE(SUMF16)
	FINITE
	START
	TILE(STOREF16)
	COUNT16
	ADD  $96, R8
	ADD  $32, R4
	ADD  $32, R5
	ADD  $1, R7
	CMP  R1, R7
	BLO  panel

stop:
	MOVD R7, done+56(FP)
	MOVD R8, changed+64(FP)
	RET

// func mergeF32NEON(k, panels int, a, b *float32, dst, src *byte, stride int) (done, changed int)
TEXT ·mergeF32NEON(SB), NOSPLIT, $0-72
	MOVD k+0(FP), R0
	MOVD panels+8(FP), R1
	MOVD a+16(FP), R2
	MOVD b+24(FP), R3
	MOVD dst+32(FP), R4
	MOVD src+40(FP), R5
	MOVD stride+48(FP), R6
	MOVD $0, R7
	MOVD $0, R8
	MOVD $(0x7f800000<<1), R14 // infinity
	CBZ  R1, stop

panel:
	TILE(ZEROROW)
	CHAIN32
	START
	ZERO(28)
	TILE(SUMF32)
	FINITE
	START
	TILE(STOREF32)
	COUNT32
	ADD  $96, R8
	ADD  $64, R4
	ADD  $64, R5
	ADD  $1, R7
	CMP  R1, R7
	BLO  panel

stop:
	MOVD R7, done+56(FP)
	MOVD R8, changed+64(FP)
	RET
