#include "textflag.h"
#include "neon_arm64.h"

// The loops over single elements load them into the lower half of a register, whose upper half becomes zero, and go on as with two.

#define ELEMENTS(r, a, b, c, d) VLD1.P 64(r), [a.D2, b.D2, c.D2, d.D2]

// AXPY adds the factor m times the elements n to the elements to.
#define AXPY(m, n0, n1, n2, n3, to0, to1, to2, to3) \
	FMLA2D(m, 0, n0, to0) \
	FMLA2D(m, 0, n1, to1) \
	FMLA2D(m, 0, n2, to2) \
	FMLA2D(m, 0, n3, to3)

// func axpyNEON(n int, a float64, x, y *float64)
TEXT ·axpyNEON(SB), NOSPLIT, $0-32
	MOVD  n+0(FP), R0
	FMOVD a+8(FP), F0
	MOVD  x+16(FP), R1
	MOVD  y+24(FP), R2
	SUBS  $8, R0
	BLT   few

eight:
	ELEMENTS(R1, V16, V17, V18, V19)
	VLD1   (R2), [V20.D2, V21.D2, V22.D2, V23.D2]
	AXPY(0, 16, 17, 18, 19, 20, 21, 22, 23)
	VST1.P [V20.D2, V21.D2, V22.D2, V23.D2], 64(R2)
	SUBS   $8, R0
	BGE    eight

few:
	ADDS $8, R0
	BEQ  done

one:
	FMOVD.P 8(R1), F16
	FMOVD   (R2), F20
	FMLA2D(0, 0, 16, 20)
	FMOVD.P F20, 8(R2)
	SUBS    $1, R0
	BNE     one

done:
	RET

// func axpy2NEON(n int, a, b float64, v, x, y *float64)
TEXT ·axpy2NEON(SB), NOSPLIT, $0-48
	MOVD  n+0(FP), R0
	FMOVD a+8(FP), F0
	FMOVD b+16(FP), F1
	MOVD  v+24(FP), R1
	MOVD  x+32(FP), R2
	MOVD  y+40(FP), R3
	SUBS  $8, R0
	BLT   few

eight:
	ELEMENTS(R1, V16, V17, V18, V19)
	VLD1   (R2), [V20.D2, V21.D2, V22.D2, V23.D2]
	VLD1   (R3), [V24.D2, V25.D2, V26.D2, V27.D2]
	AXPY(0, 16, 17, 18, 19, 20, 21, 22, 23)
	AXPY(1, 16, 17, 18, 19, 24, 25, 26, 27)
	VST1.P [V20.D2, V21.D2, V22.D2, V23.D2], 64(R2)
	VST1.P [V24.D2, V25.D2, V26.D2, V27.D2], 64(R3)
	SUBS   $8, R0
	BGE    eight

few:
	ADDS $8, R0
	BEQ  done

one:
	FMOVD.P 8(R1), F16
	FMOVD   (R2), F20
	FMOVD   (R3), F24
	FMLA2D(0, 0, 16, 20)
	FMLA2D(1, 0, 16, 24)
	FMOVD.P F20, 8(R2)
	FMOVD.P F24, 8(R3)
	SUBS    $1, R0
	BNE     one

done:
	RET

// func gather2NEON(n int, a, b float64, x, y, sum *float64)
TEXT ·gather2NEON(SB), NOSPLIT, $0-48
	MOVD  n+0(FP), R0
	FMOVD a+8(FP), F0
	FMOVD b+16(FP), F1
	MOVD  x+24(FP), R1
	MOVD  y+32(FP), R2
	MOVD  sum+40(FP), R3
	SUBS  $8, R0
	BLT   few

eight:
	ELEMENTS(R1, V16, V17, V18, V19)
	ELEMENTS(R2, V20, V21, V22, V23)
	VLD1   (R3), [V24.D2, V25.D2, V26.D2, V27.D2]
	AXPY(0, 16, 17, 18, 19, 24, 25, 26, 27)
	AXPY(1, 20, 21, 22, 23, 24, 25, 26, 27)
	VST1.P [V24.D2, V25.D2, V26.D2, V27.D2], 64(R3)
	SUBS   $8, R0
	BGE    eight

few:
	ADDS $8, R0
	BEQ  done

one:
	FMOVD.P 8(R1), F16
	FMOVD.P 8(R2), F20
	FMOVD   (R3), F24
	FMLA2D(0, 0, 16, 24)
	FMLA2D(1, 0, 20, 24)
	FMOVD.P F24, 8(R3)
	SUBS    $1, R0
	BNE     one

done:
	RET

// ROTATE leaves V0 times x less V1 times y in u, and V1 times x plus V0 times y in v. The products with y are rounded.
#define ROTATE(x, y, u, v) \
	FMUL2D(1, 0, y, u) \
	FMUL2D(0, 0, y, v) \
	FNEG2D(u, u) \
	FMLA2D(1, 0, x, v) \
	FMLA2D(0, 0, x, u)

// func rotateNEON(n int, cosine, sine float64, x, y *float64)
TEXT ·rotateNEON(SB), NOSPLIT, $0-40
	MOVD  n+0(FP), R0
	FMOVD cosine+8(FP), F0
	FMOVD sine+16(FP), F1
	MOVD  x+24(FP), R1
	MOVD  y+32(FP), R2
	SUBS  $8, R0
	BLT   few

eight:
	VLD1   (R1), [V16.D2, V17.D2, V18.D2, V19.D2]
	VLD1   (R2), [V20.D2, V21.D2, V22.D2, V23.D2]
	ROTATE(16, 20, 24, 28)
	ROTATE(17, 21, 25, 29)
	ROTATE(18, 22, 26, 30)
	ROTATE(19, 23, 27, 31)
	VST1.P [V24.D2, V25.D2, V26.D2, V27.D2], 64(R1)
	VST1.P [V28.D2, V29.D2, V30.D2, V31.D2], 64(R2)
	SUBS   $8, R0
	BGE    eight

few:
	ADDS $8, R0
	BEQ  done

one:
	FMOVD   (R1), F16
	FMOVD   (R2), F20
	ROTATE(16, 20, 24, 28)
	FMOVD.P F24, 8(R1)
	FMOVD.P F28, 8(R2)
	SUBS    $1, R0
	BNE     one

done:
	RET

// func scaleNEON(n int, a float64, x *float64)
TEXT ·scaleNEON(SB), NOSPLIT, $0-24
	MOVD  n+0(FP), R0
	FMOVD a+8(FP), F0
	MOVD  x+16(FP), R1
	SUBS  $8, R0
	BLT   few

eight:
	VLD1   (R1), [V16.D2, V17.D2, V18.D2, V19.D2]
	FMUL2D(0, 0, 16, 16)
	FMUL2D(0, 0, 17, 17)
	FMUL2D(0, 0, 18, 18)
	FMUL2D(0, 0, 19, 19)
	VST1.P [V16.D2, V17.D2, V18.D2, V19.D2], 64(R1)
	SUBS   $8, R0
	BGE    eight

few:
	ADDS $8, R0
	BEQ  done

one:
	FMOVD   (R1), F16
	FMULD   F0, F16
	FMOVD.P F16, 8(R1)
	SUBS    $1, R0
	BNE     one

done:
	RET

// COLUMN stores a column that is in four registers.
#define COLUMN(a, b, c, d) \
	VST1 [a.D2, b.D2, c.D2, d.D2], (R1) \
	ADD R2, R1

// func transpose8NEON(n int, dst *float64, dstStride int, src *float64, srcStride int)
// Two columns of the eight rows at a time.
TEXT ·transpose8NEON(SB), NOSPLIT, $0-40
	MOVD n+0(FP), R0
	MOVD dst+8(FP), R1
	MOVD dstStride+16(FP), R2
	MOVD src+24(FP), R3
	MOVD srcStride+32(FP), R4
	LSL  $3, R2
	LSL  $3, R4
	ADD  R4, R3, R5
	ADD  R4, R5, R6
	ADD  R4, R6, R7
	ADD  R4, R7, R8
	ADD  R4, R8, R9
	ADD  R4, R9, R10
	ADD  R4, R10, R11

loop:
	FMOVQ.P 16(R3), F16
	FMOVQ.P 16(R5), F17
	FMOVQ.P 16(R6), F18
	FMOVQ.P 16(R7), F19
	FMOVQ.P 16(R8), F20
	FMOVQ.P 16(R9), F21
	FMOVQ.P 16(R10), F22
	FMOVQ.P 16(R11), F23
	VZIP1   V17.D2, V16.D2, V0.D2
	VZIP1   V19.D2, V18.D2, V1.D2
	VZIP1   V21.D2, V20.D2, V2.D2
	VZIP1   V23.D2, V22.D2, V3.D2
	VZIP2   V17.D2, V16.D2, V4.D2
	VZIP2   V19.D2, V18.D2, V5.D2
	VZIP2   V21.D2, V20.D2, V6.D2
	VZIP2   V23.D2, V22.D2, V7.D2
	COLUMN(V0, V1, V2, V3)
	COLUMN(V4, V5, V6, V7)
	SUBS    $2, R0
	BNE     loop
	RET
