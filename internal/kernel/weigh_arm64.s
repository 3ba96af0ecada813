#include "textflag.h"
#include "neon_arm64.h"

// WEIGH adds a weight's multiple of four vectors of its row to their sums.
#define WEIGH(a, b, c, d) \
	VLD1.P 64(R7), [V20.S4, V21.S4, V22.S4, V23.S4] \
	FMLA4S(16, 0, 20, a) \
	FMLA4S(16, 0, 21, b) \
	FMLA4S(16, 0, 22, c) \
	FMLA4S(16, 0, 23, d)

// func weighNEON(dst, weights, rows *float32, stride, n, blocks int)
TEXT ·weighNEON(SB), NOSPLIT, $0-48
	MOVD dst+0(FP), R0
	MOVD weights+8(FP), R1
	MOVD rows+16(FP), R2
	MOVD stride+24(FP), R3
	MOVD n+32(FP), R4
	MOVD blocks+40(FP), R5
	SUBS $4, R5
	BLT  few

four:
	MOVD R0, R8
	VLD1.P 64(R8), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R8), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R8), [V8.S4, V9.S4, V10.S4, V11.S4]
	VLD1.P 64(R8), [V12.S4, V13.S4, V14.S4, V15.S4]
	MOVD R1, R8
	MOVD R2, R9
	MOVD R4, R10

fourRows:
	MOVD    R9, R7
	FMOVS.P 4(R8), F16
	WEIGH(0, 1, 2, 3)
	WEIGH(4, 5, 6, 7)
	WEIGH(8, 9, 10, 11)
	WEIGH(12, 13, 14, 15)
	ADD     R3, R9
	SUB     $1, R10
	CBNZ    R10, fourRows
	VST1.P  [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	VST1.P  [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0)
	VST1.P  [V8.S4, V9.S4, V10.S4, V11.S4], 64(R0)
	VST1.P  [V12.S4, V13.S4, V14.S4, V15.S4], 64(R0)
	ADD     $256, R2
	SUBS    $4, R5
	BGE     four

few:
	ADDS $4, R5
	BEQ  done

one:
	VLD1 (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	MOVD R1, R8
	MOVD R2, R9
	MOVD R4, R10

oneRows:
	MOVD    R9, R7
	FMOVS.P 4(R8), F16
	WEIGH(0, 1, 2, 3)
	ADD     R3, R9
	SUB     $1, R10
	CBNZ    R10, oneRows
	VST1.P  [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	ADD     $64, R2
	SUBS    $1, R5
	BNE     one

done:
	RET

// EXP leaves the exponential of x in s, and changes y and t. V16 to V28 are expConstants, V29 the scale and V30 the shift. The minimum and
// the maximum of a NaN and a number are NaN.
#define EXP(x, y, s, t) \
	MOV16B(30, y) \
	FMLAV4S(29, x, y) \
	FMAX4S(16, y, y) \
	FMIN4S(17, y, y) \
	MOV16B(19, x) \
	FMLAV4S(18, y, x) \
	FSUB4S(19, x, t) \
	FMLAV4S(20, t, y) \
	FMLAV4S(21, t, y) \
	MOV16B(24, t) \
	FMLAV4S(23, y, t) \
	MOV16B(25, s) \
	FMLAV4S(t, y, s) \
	MOV16B(26, t) \
	FMLAV4S(s, y, t) \
	MOV16B(27, s) \
	FMLAV4S(t, y, s) \
	MOV16B(28, t) \
	FMLAV4S(s, y, t) \
	MOV16B(22, s) \
	FMLAV4S(t, y, s) \
	MOV16B(22, t) \
	FMLAV4S(s, y, t) \
	SHL4S(23, x, x) \
	ADD4S(22, x, x) \
	FMUL4S(x, t, s)

// func expNEON(x, constants *float32, scale, shift float32, blocks int)
TEXT ·expNEON(SB), NOSPLIT, $0-32
	MOVD    x+0(FP), R0
	MOVD    constants+8(FP), R1
	FMOVS   scale+16(FP), F29
	FMOVS   shift+20(FP), F30
	MOVD    blocks+24(FP), R2
	VDUP    V29.S[0], V29.S4
	VDUP    V30.S[0], V30.S4
	VLD1R.P 4(R1), [V16.S4]
	VLD1R.P 4(R1), [V17.S4]
	VLD1R.P 4(R1), [V18.S4]
	VLD1R.P 4(R1), [V19.S4]
	VLD1R.P 4(R1), [V20.S4]
	VLD1R.P 4(R1), [V21.S4]
	VLD1R.P 4(R1), [V22.S4]
	VLD1R.P 4(R1), [V23.S4]
	VLD1R.P 4(R1), [V24.S4]
	VLD1R.P 4(R1), [V25.S4]
	VLD1R.P 4(R1), [V26.S4]
	VLD1R.P 4(R1), [V27.S4]
	VLD1R.P 4(R1), [V28.S4]

loop:
	VLD1   (R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	EXP(0, 4, 8, 12)
	EXP(1, 5, 9, 13)
	EXP(2, 6, 10, 14)
	EXP(3, 7, 11, 15)
	VST1.P [V8.S4, V9.S4, V10.S4, V11.S4], 64(R0)
	SUB    $1, R2
	CBNZ   R2, loop
	RET
