#include "textflag.h"
#include "neon_arm64.h"

// Tiles continue eight lanes of 4 rows by some vectors: lanes[vector][row][8], w[row][block][8] and x[vector][block][8].

// WEIGHTROWS has R1 to R4 point at the rows, and R11 be their bytes.
#define WEIGHTROWS \
	LSL $5, R0, R11 \
	ADD R11, R1, R2 \
	ADD R11, R2, R3 \
	ADD R11, R3, R4

// PRODUCT adds a block of a row, in V30 and V31, times one of a vector to their lanes.
#define PRODUCT(x0, x1, a, b) \
	VFMLA V30.S4, x0.S4, a.S4 \
	VFMLA V31.S4, x1.S4, b.S4

#define ROW3(w, a, b, c, d, e, f) \
	VLD1.P 32(w), [V30.S4, V31.S4] \
	PRODUCT(V24, V25, a, b) \
	PRODUCT(V26, V27, c, d) \
	PRODUCT(V28, V29, e, f)

// func tile4x3NEON(lanes, w, x *float32, blocks int)
TEXT ·tile4x3NEON(SB), NOSPLIT, $0-32
	MOVD   lanes+0(FP), R12
	MOVD   w+8(FP), R1
	MOVD   x+16(FP), R5
	MOVD   blocks+24(FP), R0
	WEIGHTROWS
	ADD    R11, R5, R6
	ADD    R11, R6, R7
	MOVD   R12, R13
	VLD1.P 64(R13), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R13), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R13), [V8.S4, V9.S4, V10.S4, V11.S4]
	VLD1.P 64(R13), [V12.S4, V13.S4, V14.S4, V15.S4]
	VLD1.P 64(R13), [V16.S4, V17.S4, V18.S4, V19.S4]
	VLD1.P 64(R13), [V20.S4, V21.S4, V22.S4, V23.S4]

loop:
	VLD1.P 32(R5), [V24.S4, V25.S4]
	VLD1.P 32(R6), [V26.S4, V27.S4]
	VLD1.P 32(R7), [V28.S4, V29.S4]
	ROW3(R1, V0, V1, V8, V9, V16, V17)
	ROW3(R2, V2, V3, V10, V11, V18, V19)
	ROW3(R3, V4, V5, V12, V13, V20, V21)
	ROW3(R4, V6, V7, V14, V15, V22, V23)
	SUB    $1, R0
	CBNZ   R0, loop
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R12)
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R12)
	VST1.P [V8.S4, V9.S4, V10.S4, V11.S4], 64(R12)
	VST1.P [V12.S4, V13.S4, V14.S4, V15.S4], 64(R12)
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R12)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R12)
	RET

#define ROW2(w, a, b, c, d) \
	VLD1.P 32(w), [V30.S4, V31.S4] \
	PRODUCT(V24, V25, a, b) \
	PRODUCT(V26, V27, c, d)

// func tile4x2NEON(lanes, w, x *float32, blocks int)
TEXT ·tile4x2NEON(SB), NOSPLIT, $0-32
	MOVD   lanes+0(FP), R12
	MOVD   w+8(FP), R1
	MOVD   x+16(FP), R5
	MOVD   blocks+24(FP), R0
	WEIGHTROWS
	ADD    R11, R5, R6
	MOVD   R12, R13
	VLD1.P 64(R13), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R13), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R13), [V8.S4, V9.S4, V10.S4, V11.S4]
	VLD1.P 64(R13), [V12.S4, V13.S4, V14.S4, V15.S4]

loop:
	VLD1.P 32(R5), [V24.S4, V25.S4]
	VLD1.P 32(R6), [V26.S4, V27.S4]
	ROW2(R1, V0, V1, V8, V9)
	ROW2(R2, V2, V3, V10, V11)
	ROW2(R3, V4, V5, V12, V13)
	ROW2(R4, V6, V7, V14, V15)
	SUB    $1, R0
	CBNZ   R0, loop
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R12)
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R12)
	VST1.P [V8.S4, V9.S4, V10.S4, V11.S4], 64(R12)
	VST1.P [V12.S4, V13.S4, V14.S4, V15.S4], 64(R12)
	RET

#define ROW1(w, a, b) \
	VLD1.P 32(w), [V30.S4, V31.S4] \
	PRODUCT(V24, V25, a, b)

// func tile4x1NEON(lanes, w, x *float32, blocks int)
TEXT ·tile4x1NEON(SB), NOSPLIT, $0-32
	MOVD   lanes+0(FP), R12
	MOVD   w+8(FP), R1
	MOVD   x+16(FP), R5
	MOVD   blocks+24(FP), R0
	WEIGHTROWS
	MOVD   R12, R13
	VLD1.P 64(R13), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R13), [V4.S4, V5.S4, V6.S4, V7.S4]

loop:
	VLD1.P 32(R5), [V24.S4, V25.S4]
	ROW1(R1, V0, V1)
	ROW1(R2, V2, V3)
	ROW1(R3, V4, V5)
	ROW1(R4, V6, V7)
	SUB    $1, R0
	CBNZ   R0, loop
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R12)
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R12)
	RET
