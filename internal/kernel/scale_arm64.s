#include "textflag.h"
#include "neon_arm64.h"
#include "merge_arm64.h"

#define WIDENED(WIDEN) \
	WIDEN(R1) \
	VLD1 (R2), [V0.S4, V1.S4, V2.S4, V3.S4] \
	FADD4S(20, 0, 0) \
	FADD4S(21, 1, 1) \
	FADD4S(22, 2, 2) \
	FADD4S(23, 3, 3) \
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R2)

// SCALED leaves 16 entries at R3, times their gains at R4, in V0 to V3, and goes to stop unless all are below the limit in R14, as FINITE
// does.
#define SCALED \
	VLD1.P 64(R3), [V0.S4, V1.S4, V2.S4, V3.S4] \
	VLD1 (R4), [V4.S4, V5.S4, V6.S4, V7.S4] \
	ADD R5, R4 \
	FMUL4S(4, 0, 0) \
	FMUL4S(5, 1, 1) \
	FMUL4S(6, 2, 2) \
	FMUL4S(7, 3, 3) \
	ZERO(28) \
	REACH(0, 1) \
	REACH(2, 3) \
	FINITE

// SQUARED adds the squares of 16 entries at R2 to V0 to V7.
#define SQUARED \
	VLD1.P 64(R2), [V20.S4, V21.S4, V22.S4, V23.S4] \
	SQUARES(20, V0, V1) \
	SQUARES(21, V2, V3) \
	SQUARES(22, V4, V5) \
	SQUARES(23, V6, V7)

#define SQUARES(v, a, b) \
	FCVTL2S(v, 24) \
	FCVTL4S(v, 25) \
	VFMLA V24.D2, V24.D2, a.D2 \
	VFMLA V25.D2, V25.D2, b.D2

// func scaleWidenBF16NEON(n int, v *float32, src *byte)
TEXT ·scaleWidenBF16NEON(SB), NOSPLIT, $0-24
	MOVD n+0(FP), R0
	MOVD v+8(FP), R2
	MOVD src+16(FP), R1
	ZERO(31)
	SUBS $16, R0
	BLT  done

turn:
	WIDENED(WIDENBF16)
	SUBS $16, R0
	BGE  turn

done:
	RET

// func scaleBF16NEON(n int, dst, src *byte, v, gains *float32, step int) (done, changed int)
TEXT ·scaleBF16NEON(SB), NOSPLIT, $0-64
	MOVD n+0(FP), R0
	MOVD dst+8(FP), R12
	MOVD src+16(FP), R11
	MOVD v+24(FP), R3
	MOVD gains+32(FP), R4
	MOVD step+40(FP), R5
	MOVD $32, R6
	MOVD $0, R7
	MOVD $0, R8
	MOVD $(0x7f7f8000<<1), R14
	MOVD $0x10000, R15
	VDUP R15, V29.S4
	MOVD $0x7fff, R15
	VDUP R15, V30.S4
	SUBS $16, R0
	BLT  stop

turn:
	SCALED
	STOREBF16(0, 1, 2, 3)
	COUNT16
	ADD  $16, R7
	SUBS $16, R0
	BGE  turn

stop:
	ADD  R7, R8
	MOVD R7, done+48(FP)
	MOVD R8, changed+56(FP)
	RET

// func scaleWidenF16NEON(n int, v *float32, src *byte)
TEXT ·scaleWidenF16NEON(SB), NOSPLIT, $0-24
	MOVD n+0(FP), R0
	MOVD v+8(FP), R2
	MOVD src+16(FP), R1
	SUBS $16, R0
	BLT  done

turn:
	WIDENED(WIDENF16)
	SUBS $16, R0
	BGE  turn

done:
	RET

// func scaleF16NEON(n int, dst, src *byte, v, gains *float32, step int) (done, changed int)
TEXT ·scaleF16NEON(SB), NOSPLIT, $0-64
	MOVD n+0(FP), R0
	MOVD dst+8(FP), R12
	MOVD src+16(FP), R11
	MOVD v+24(FP), R3
	MOVD gains+32(FP), R4
	MOVD step+40(FP), R5
	MOVD $32, R6
	MOVD $0, R7
	MOVD $0, R8
	MOVD $(0x477ff000<<1), R14
	SUBS $16, R0
	BLT  stop

turn:
	SCALED
	STOREF16(0, 1, 2, 3)
	COUNT16
	ADD  $16, R7
	SUBS $16, R0
	BGE  turn

stop:
	ADD  R7, R8
	MOVD R7, done+48(FP)
	MOVD R8, changed+56(FP)
	RET

// func scaleWidenF32NEON(n int, v *float32, src *byte)
TEXT ·scaleWidenF32NEON(SB), NOSPLIT, $0-24
	MOVD n+0(FP), R0
	MOVD v+8(FP), R2
	MOVD src+16(FP), R1
	SUBS $16, R0
	BLT  done

turn:
	WIDENED(WIDENF32)
	SUBS $16, R0
	BGE  turn

done:
	RET

// func scaleF32NEON(n int, dst, src *byte, v, gains *float32, step int) (done, changed int)
TEXT ·scaleF32NEON(SB), NOSPLIT, $0-64
	MOVD n+0(FP), R0
	MOVD dst+8(FP), R12
	MOVD src+16(FP), R11
	MOVD v+24(FP), R3
	MOVD gains+32(FP), R4
	MOVD step+40(FP), R5
	MOVD $64, R6
	MOVD $0, R7
	MOVD $0, R8
	MOVD $(0x7f800000<<1), R14
	SUBS $16, R0
	BLT  stop

turn:
	SCALED
	STOREF32(0, 1, 2, 3)
	COUNT32
	ADD  $16, R7
	SUBS $16, R0
	BGE  turn

stop:
	ADD  R7, R8
	MOVD R7, done+48(FP)
	MOVD R8, changed+56(FP)
	RET

// func squareLanesNEON(n int, sums *float64, v *float32)
TEXT ·squareLanesNEON(SB), NOSPLIT, $0-24
	MOVD   n+0(FP), R0
	MOVD   sums+8(FP), R1
	MOVD   v+16(FP), R2
	MOVD   R1, R3
	VLD1.P 64(R3), [V0.D2, V1.D2, V2.D2, V3.D2]
	VLD1   (R3), [V4.D2, V5.D2, V6.D2, V7.D2]
	SUBS   $16, R0
	BLT    done

turn:
	SQUARED
	SUBS $16, R0
	BGE  turn

done:
	VST1.P [V0.D2, V1.D2, V2.D2, V3.D2], 64(R1)
	VST1   [V4.D2, V5.D2, V6.D2, V7.D2], (R1)
	RET

// func squareEachNEON(n int, sums *float64, v *float32)
TEXT ·squareEachNEON(SB), NOSPLIT, $0-24
	MOVD n+0(FP), R0
	MOVD sums+8(FP), R1
	MOVD v+16(FP), R2
	SUBS $16, R0
	BLT  done

turn:
	MOVD   R1, R3
	VLD1.P 64(R3), [V0.D2, V1.D2, V2.D2, V3.D2]
	VLD1   (R3), [V4.D2, V5.D2, V6.D2, V7.D2]
	SQUARED
	VST1.P [V0.D2, V1.D2, V2.D2, V3.D2], 64(R1)
	VST1.P [V4.D2, V5.D2, V6.D2, V7.D2], 64(R1)
	SUBS   $16, R0
	BGE    turn

done:
	RET
