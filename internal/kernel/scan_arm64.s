#include "textflag.h"
#include "neon_arm64.h"

// WIDEN64 widens 16 values at R1 to f64 at R2.
#define WIDEN64(WIDEN) \
	WIDEN(R1) \
	FCVTL2S(20, 0) \
	FCVTL4S(20, 1) \
	FCVTL2S(21, 2) \
	FCVTL4S(21, 3) \
	FCVTL2S(22, 4) \
	FCVTL4S(22, 5) \
	FCVTL2S(23, 6) \
	FCVTL4S(23, 7) \
	VST1.P [V0.D2, V1.D2, V2.D2, V3.D2], 64(R2) \
	VST1.P [V4.D2, V5.D2, V6.D2, V7.D2], 64(R2)

// LOADLANES and STORELANES move the lanes of two sums, at R3, to V0 to V15 and back.
#define LOADLANES \
	MOVD R3, R4 \
	VLD1.P 64(R4), [V0.D2, V1.D2, V2.D2, V3.D2] \
	VLD1.P 64(R4), [V4.D2, V5.D2, V6.D2, V7.D2] \
	VLD1.P 64(R4), [V8.D2, V9.D2, V10.D2, V11.D2] \
	VLD1.P 64(R4), [V12.D2, V13.D2, V14.D2, V15.D2]

#define STORELANES \
	VST1.P [V0.D2, V1.D2, V2.D2, V3.D2], 64(R3) \
	VST1.P [V4.D2, V5.D2, V6.D2, V7.D2], 64(R3) \
	VST1.P [V8.D2, V9.D2, V10.D2, V11.D2], 64(R3) \
	VST1.P [V12.D2, V13.D2, V14.D2, V15.D2], 64(R3)

// MOMENTS adds four values and their squares to their lanes.
#define MOMENTS(v, sum0, sum1, squares0, squares1) \
	FCVTL2S(v, 24) \
	FCVTL4S(v, 25) \
	FADD2D(24, sum0, sum0) \
	FADD2D(25, sum1, sum1) \
	VFMLA V24.D2, V24.D2, squares0.D2 \
	VFMLA V25.D2, V25.D2, squares1.D2

// EXTREMUM takes the extremum of 16 values, four by four, with to.
#define EXTREMUM(PICK, to) \
	PICK(20, 21, 24) \
	PICK(22, 23, 25) \
	PICK(24, to, to) \
	PICK(25, to, to)

// CENSUS takes 16 values at R1: their sums and squares in V0 to V15, the least and the greatest in V16 and V17, and the least magnitude in
// V18. As bits, magnitudes order like integers.
#define CENSUS(WIDEN) \
	WIDEN(R1) \
	EXTREMUM(FMINNM4S, 16) \
	EXTREMUM(FMAXNM4S, 17) \
	MOMENTS(20, 0, 1, V8, V9) \
	MOMENTS(21, 2, 3, V10, V11) \
	MOMENTS(22, 4, 5, V12, V13) \
	MOMENTS(23, 6, 7, V14, V15) \
	FABS4S(20, 20) \
	FABS4S(21, 21) \
	FABS4S(22, 22) \
	FABS4S(23, 23) \
	VUMIN V20.S4, V21.S4, V20.S4 \
	VUMIN V22.S4, V23.S4, V22.S4 \
	VUMIN V20.S4, V18.S4, V18.S4 \
	VUMIN V22.S4, V18.S4, V18.S4

// LOADEXTREMA and STOREEXTREMA move V16 to V18 from and to the first four of the sixteen lanes of each extremum.
#define LOADEXTREMA \
	FMOVQ (R5), F16 \
	FMOVQ 64(R5), F17 \
	FMOVQ 128(R5), F18

#define STOREEXTREMA \
	FMOVQ F16, (R5) \
	FMOVQ F17, 64(R5) \
	FMOVQ F18, 128(R5)

// LOADSUMS and STORESUMS move one sum of every lane, V0 to V7, from and to R3.
#define LOADSUMS \
	MOVD R3, R4 \
	VLD1.P 64(R4), [V0.D2, V1.D2, V2.D2, V3.D2] \
	VLD1.P 64(R4), [V4.D2, V5.D2, V6.D2, V7.D2]

#define STORESUMS \
	VST1.P [V0.D2, V1.D2, V2.D2, V3.D2], 64(R3) \
	VST1.P [V4.D2, V5.D2, V6.D2, V7.D2], 64(R3)

// SIGNED4 adds four values with their signs, in the highest bits of flip.
#define SIGNED4(v, vector, flip, sum0, sum1) \
	VEOR flip.B16, vector.B16, vector.B16 \
	FCVTL2S(v, 24) \
	FCVTL4S(v, 25) \
	FADD2D(24, sum0, sum0) \
	FADD2D(25, sum1, sum1)

// SIGNED takes 16 values at R1 and signs at R2. V30 has the sign bit of every byte, V31 is zero.
#define SIGNED(WIDEN) \
	WIDEN(R1) \
	VLD1.P 16(R2), [V16.B16] \
	VAND V30.B16, V16.B16, V16.B16 \
	VZIP1 V16.B16, V31.B16, V17.B16 \
	VZIP2 V16.B16, V31.B16, V18.B16 \
	VZIP1 V17.H8, V31.H8, V26.H8 \
	VZIP2 V17.H8, V31.H8, V27.H8 \
	VZIP1 V18.H8, V31.H8, V28.H8 \
	VZIP2 V18.H8, V31.H8, V29.H8 \
	SIGNED4(20, V20, V26, 0, 1) \
	SIGNED4(21, V21, V27, 2, 3) \
	SIGNED4(22, V22, V28, 4, 5) \
	SIGNED4(23, V23, V29, 6, 7)

// func widen64BF16NEON(n int, src *byte, dst *float64)
TEXT ·widen64BF16NEON(SB), NOSPLIT, $0-24
	MOVD n+0(FP), R0
	MOVD src+8(FP), R1
	MOVD dst+16(FP), R2
	ZERO(31)

loop:
	WIDEN64(WIDENBF16)
	SUBS $16, R0
	BGT  loop
	RET

// func censusBF16NEON(n int, row *byte, lanes *float64, extrema *float32)
TEXT ·censusBF16NEON(SB), NOSPLIT, $0-32
	MOVD n+0(FP), R0
	MOVD row+8(FP), R1
	MOVD lanes+16(FP), R3
	MOVD extrema+24(FP), R5
	ZERO(31)
	LOADLANES
	LOADEXTREMA

loop:
	CENSUS(WIDENBF16)
	SUBS $16, R0
	BGT  loop
	STORELANES
	STOREEXTREMA
	RET

// func signedBF16NEON(n int, row *byte, x *int8, lanes *float64)
TEXT ·signedBF16NEON(SB), NOSPLIT, $0-32
	MOVD n+0(FP), R0
	MOVD row+8(FP), R1
	MOVD x+16(FP), R2
	MOVD lanes+24(FP), R3
	ZERO(31)
	VMOVI $0x80, V30.B16
	LOADSUMS

loop:
	SIGNED(WIDENBF16)
	SUBS $16, R0
	BGT  loop
	STORESUMS
	RET

// func widen64F16NEON(n int, src *byte, dst *float64)
TEXT ·widen64F16NEON(SB), NOSPLIT, $0-24
	MOVD n+0(FP), R0
	MOVD src+8(FP), R1
	MOVD dst+16(FP), R2

loop:
	WIDEN64(WIDENF16)
	SUBS $16, R0
	BGT  loop
	RET

// func censusF16NEON(n int, row *byte, lanes *float64, extrema *float32)
TEXT ·censusF16NEON(SB), NOSPLIT, $0-32
	MOVD n+0(FP), R0
	MOVD row+8(FP), R1
	MOVD lanes+16(FP), R3
	MOVD extrema+24(FP), R5
	LOADLANES
	LOADEXTREMA

loop:
	CENSUS(WIDENF16)
	SUBS $16, R0
	BGT  loop
	STORELANES
	STOREEXTREMA
	RET

// func signedF16NEON(n int, row *byte, x *int8, lanes *float64)
TEXT ·signedF16NEON(SB), NOSPLIT, $0-32
	MOVD n+0(FP), R0
	MOVD row+8(FP), R1
	MOVD x+16(FP), R2
	MOVD lanes+24(FP), R3
	ZERO(31)
	VMOVI $0x80, V30.B16
	LOADSUMS

loop:
	SIGNED(WIDENF16)
	SUBS $16, R0
	BGT  loop
	STORESUMS
	RET

// func widen64F32NEON(n int, src *byte, dst *float64)
TEXT ·widen64F32NEON(SB), NOSPLIT, $0-24
	MOVD n+0(FP), R0
	MOVD src+8(FP), R1
	MOVD dst+16(FP), R2

loop:
	WIDEN64(WIDENF32)
	SUBS $16, R0
	BGT  loop
	RET

// func censusF32NEON(n int, row *byte, lanes *float64, extrema *float32)
TEXT ·censusF32NEON(SB), NOSPLIT, $0-32
	MOVD n+0(FP), R0
	MOVD row+8(FP), R1
	MOVD lanes+16(FP), R3
	MOVD extrema+24(FP), R5
	LOADLANES
	LOADEXTREMA

loop:
	CENSUS(WIDENF32)
	SUBS $16, R0
	BGT  loop
	STORELANES
	STOREEXTREMA
	RET

// func signedF32NEON(n int, row *byte, x *int8, lanes *float64)
TEXT ·signedF32NEON(SB), NOSPLIT, $0-32
	MOVD n+0(FP), R0
	MOVD row+8(FP), R1
	MOVD x+16(FP), R2
	MOVD lanes+24(FP), R3
	ZERO(31)
	VMOVI $0x80, V30.B16
	LOADSUMS

loop:
	SIGNED(WIDENF32)
	SUBS $16, R0
	BGT  loop
	STORESUMS
	RET
