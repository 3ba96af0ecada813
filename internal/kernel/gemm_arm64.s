#include "textflag.h"
#include "neon_arm64.h"

// LOADROW and STOREROW move a row of c, and R11 to the next.
#define LOADROW(a, b, c, d) \
	FMOVQ (R11), F(a) \
	FMOVQ 16(R11), F(b) \
	FMOVQ 32(R11), F(c) \
	FMOVQ 48(R11), F(d) \
	ADD R6, R11

#define STOREROW(a, b, c, d) \
	FMOVQ F(a), (R11) \
	FMOVQ F(b), 16(R11) \
	FMOVQ F(c), 32(R11) \
	FMOVQ F(d), 48(R11) \
	ADD R6, R11

// func gemm32AddNEON(k, panels int, a, b, c *float32, stride int)
TEXT ·gemm32AddNEON(SB), NOSPLIT, $0-48
	MOVD k+0(FP), R0
	MOVD panels+8(FP), R1
	MOVD a+16(FP), R2
	MOVD b+24(FP), R3
	MOVD c+32(FP), R4
	MOVD stride+40(FP), R6
	LSL  $2, R6
	CBZ  R1, done

panel:
	MOVD R4, R11
	TILE(LOADROW)
	CHAIN32
	MOVD R4, R11
	TILE(STOREROW)
	ADD  $64, R4
	SUB  $1, R1
	CBNZ R1, panel

done:
	RET

// func gemm64AddNEON(k, panels int, a, b, c *float64, stride int)
TEXT ·gemm64AddNEON(SB), NOSPLIT, $0-48
	MOVD k+0(FP), R0
	MOVD panels+8(FP), R1
	MOVD a+16(FP), R2
	MOVD b+24(FP), R3
	MOVD c+32(FP), R4
	MOVD stride+40(FP), R6
	LSL  $3, R6
	CBZ  R1, done

panel:
	MOVD R4, R11
	TILE(LOADROW)
	CHAIN64
	MOVD R4, R11
	TILE(STOREROW)
	ADD  $64, R4
	SUB  $1, R1
	CBNZ R1, panel

done:
	RET

// ROW64 is a step of one row, whose entry of a is at the address given.
#define ROW64(entry, m, a, b, c, d) \
	FMOVD entry, F(m) \
	FMLAROW2D(m, 0, a, b, c, d)

// func gemm64AddRowsNEON(k, panels int, a *float64, aStride int, b, c *float64, stride int)
TEXT ·gemm64AddRowsNEON(SB), NOSPLIT, $0-56
	MOVD k+0(FP), R0
	MOVD panels+8(FP), R1
	MOVD a+16(FP), R2
	MOVD aStride+24(FP), R5
	MOVD b+32(FP), R3
	MOVD c+40(FP), R4
	MOVD stride+48(FP), R6
	LSL  $3, R6
	LSL  $3, R5
	LSL  $1, R5, R7
	ADD  R5, R7, R8
	ADD  R7, R7, R14
	ADD  R7, R8, R15
	CBZ  R1, done

panel:
	MOVD R4, R11
	TILE(LOADROW)
	CBZ  R0, store
	MOVD R0, R9
	MOVD R2, R10

step:
	VLD1.P 64(R3), [V24.D2, V25.D2, V26.D2, V27.D2]
	ROW64((R10), 28, 0, 1, 2, 3)
	ROW64((R10)(R5), 29, 4, 5, 6, 7)
	ROW64((R10)(R7), 30, 8, 9, 10, 11)
	ROW64((R10)(R8), 31, 12, 13, 14, 15)
	ROW64((R10)(R14), 28, 16, 17, 18, 19)
	ROW64((R10)(R15), 29, 20, 21, 22, 23)
	ADD  $8, R10
	SUB  $1, R9
	CBNZ R9, step

store:
	MOVD R4, R11
	TILE(STOREROW)
	ADD  $64, R4
	SUB  $1, R1
	CBNZ R1, panel

done:
	RET
