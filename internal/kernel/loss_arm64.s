#include "textflag.h"
#include "neon_arm64.h"

// NEXTBF16, NEXTF16 and NEXTF32 load four stored values and widen them to V16.
#define NEXTBF16 \
	FMOVD.P 8(R1), F16 \
	SHLL4H(16, 16)

#define NEXTF16 \
	FMOVD.P 8(R1), F16 \
	FCVTL4H(16, 16)

#define NEXTF32 \
	FMOVQ.P 16(R1), F16

// ROUNDBF16, ROUNDF16 and ROUNDF32 round V18 to what is stored of it, to nearest even. V29 has the lowest bit that bf16 keeps, V30 0x7fff
// and V31 all bits that it keeps. What becomes of a NaN does not matter: the values that it comes from show in the sums.
#define ROUNDBF16 \
	VCMTST V29.S4, V18.S4, V19.S4 \
	VSUB V19.S4, V18.S4, V18.S4 \
	VADD V30.S4, V18.S4, V18.S4 \
	VAND V31.B16, V18.B16, V18.B16

#define ROUNDF16 \
	FCVTN4H(18, 18) \
	FCVTL4H(18, 18)

#define ROUNDF32

// LOSS2 adds what is left of two deltas to two lanes of each sum: in f64, V20 holds the values before, V21 after, and V22 the deltas.
#define LOSS2(dot, deltas, rounded, error) \
	FSUB2D(20, 21, 21) \
	VFMLA V21.D2, V22.D2, dot.D2 \
	VFMLA V22.D2, V22.D2, deltas.D2 \
	VFMLA V21.D2, V21.D2, rounded.D2 \
	FSUB2D(22, 21, 21) \
	VFMLA V21.D2, V21.D2, error.D2

// LOSS4 takes four values, and four deltas to V17. It counts the values that stay in V24, the deltas of zero in V25, and those of zero
// that leave their value in V26.
#define LOSS4(NEXT, ROUND, dot0, dot1, deltas0, deltas1, rounded0, rounded1, error0, error1) \
	NEXT \
	FMOVQ.P 16(R2), F17 \
	FADD4S(17, 16, 18) \
	ROUND \
	FCMEQ4S(16, 18, 27) \
	FCMEQZ4S(17, 28) \
	VSUB V27.S4, V24.S4, V24.S4 \
	VSUB V28.S4, V25.S4, V25.S4 \
	VAND V27.B16, V28.B16, V28.B16 \
	VSUB V28.S4, V26.S4, V26.S4 \
	FCVTL2S(16, 20) \
	FCVTL2S(18, 21) \
	FCVTL2S(17, 22) \
	LOSS2(dot0, deltas0, rounded0, error0) \
	FCVTL4S(16, 20) \
	FCVTL4S(18, 21) \
	FCVTL4S(17, 22) \
	LOSS2(dot1, deltas1, rounded1, error1)

// LOSS goes over R0 values at R1 and deltas at R2, with the lanes of the sums at R3, and leaves what LOSS4 counts in R5, R6 and R7. A
// function can hold it once.
#define LOSS(NEXT, ROUND) \
	MOVD R3, R4 \
	VLD1.P 64(R4), [V0.D2, V1.D2, V2.D2, V3.D2] \
	VLD1.P 64(R4), [V4.D2, V5.D2, V6.D2, V7.D2] \
	VLD1.P 64(R4), [V8.D2, V9.D2, V10.D2, V11.D2] \
	VLD1.P 64(R4), [V12.D2, V13.D2, V14.D2, V15.D2] \
	ZERO(24) \
	ZERO(25) \
	ZERO(26) \
eight: \
	LOSS4(NEXT, ROUND, V0, V1, V4, V5, V8, V9, V12, V13) \
	LOSS4(NEXT, ROUND, V2, V3, V6, V7, V10, V11, V14, V15) \
	SUBS $8, R0 \
	BGT eight \
	VST1.P [V0.D2, V1.D2, V2.D2, V3.D2], 64(R3) \
	VST1.P [V4.D2, V5.D2, V6.D2, V7.D2], 64(R3) \
	VST1.P [V8.D2, V9.D2, V10.D2, V11.D2], 64(R3) \
	VST1.P [V12.D2, V13.D2, V14.D2, V15.D2], 64(R3) \
	VADDV V24.S4, V24 \
	VADDV V25.S4, V25 \
	VADDV V26.S4, V26 \
	VMOV V24.S[0], R5 \
	VMOV V25.S[0], R6 \
	VMOV V26.S[0], R7

// func lossBF16NEON(n int, row *byte, delta *float32, lanes *float64) (changed, nonZero, lost int)
TEXT ·lossBF16NEON(SB), NOSPLIT, $0-56
	MOVD n+0(FP), R0
	MOVD row+8(FP), R1
	MOVD delta+16(FP), R2
	MOVD lanes+24(FP), R3
	MOVD $0x10000, R4
	VDUP R4, V29.S4
	MOVD $0x7fff, R4
	VDUP R4, V30.S4
	MOVD $0xffff0000, R4
	VDUP R4, V31.S4
	LOSS(NEXTBF16, ROUNDBF16)
	MOVD n+0(FP), R0
	SUB  R5, R0, R8
	MOVD R8, changed+32(FP)
	SUB  R6, R0, R8
	MOVD R8, nonZero+40(FP)
	SUB  R7, R5, R8
	MOVD R8, lost+48(FP)
	RET

// func lossF16NEON(n int, row *byte, delta *float32, lanes *float64) (changed, nonZero, lost int)
TEXT ·lossF16NEON(SB), NOSPLIT, $0-56
	MOVD n+0(FP), R0
	MOVD row+8(FP), R1
	MOVD delta+16(FP), R2
	MOVD lanes+24(FP), R3
	LOSS(NEXTF16, ROUNDF16)
	MOVD n+0(FP), R0
	SUB  R5, R0, R8
	MOVD R8, changed+32(FP)
	SUB  R6, R0, R8
	MOVD R8, nonZero+40(FP)
	SUB  R7, R5, R8
	MOVD R8, lost+48(FP)
	RET

// func lossF32NEON(n int, row *byte, delta *float32, lanes *float64) (changed, nonZero, lost int)
TEXT ·lossF32NEON(SB), NOSPLIT, $0-56
	MOVD n+0(FP), R0
	MOVD row+8(FP), R1
	MOVD delta+16(FP), R2
	MOVD lanes+24(FP), R3
	LOSS(NEXTF32, ROUNDF32)
	MOVD n+0(FP), R0
	SUB  R5, R0, R8
	MOVD R8, changed+32(FP)
	SUB  R6, R0, R8
	MOVD R8, nonZero+40(FP)
	SUB  R7, R5, R8
	MOVD R8, lost+48(FP)
	RET
