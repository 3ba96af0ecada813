#include "textflag.h"
#include "neon_arm64.h"

// A dot product has sixteen lanes, in eight registers: element i goes to lane i mod 16.

// PAIRWISE adds the lanes of eight registers at distance 8, 4, 2 and 1, and leaves the sum in the first.
#define PAIRWISE(a, b, c, d, e, f, g, h) \
	FADD2D(e, a, a) \
	FADD2D(f, b, b) \
	FADD2D(g, c, c) \
	FADD2D(h, d, d) \
	FADD2D(c, a, a) \
	FADD2D(d, b, b) \
	FADD2D(b, a, a) \
	FADDP2D(a, a)

// PAIR adds the next two products to two lanes. Where there are not as many, it goes to single, for what remains.
#define PAIR(lanes, single) \
	CMP $2, R0 \
	BLT single \
	FMOVQ.P 16(R1), F16 \
	FMOVQ.P 16(R2), F20 \
	VFMLA V16.D2, V20.D2, lanes.D2 \
	SUB $2, R0

// SINGLE adds the last product, if there is one, to the first of two lanes. Beside it are -0, from V30, and +0, whose product leaves the
// other lane as it is.
#define SINGLE(lanes) \
	CBZ R0, add \
	FMOVD (R1), F16 \
	FMOVD (R2), F20 \
	VZIP1 V30.D2, V16.D2, V16.D2 \
	VFMLA V16.D2, V20.D2, lanes.D2 \
	B add

#define NEGATIVEZERO \
	MOVD $(1<<63), R5 \
	FMOVD R5, F30

// func dotNEON(n int, x, y *float64) float64
TEXT ·dotNEON(SB), NOSPLIT, $0-32
	MOVD n+0(FP), R0
	MOVD x+8(FP), R1
	MOVD y+16(FP), R2
	ZEROROW(0, 1, 2, 3)
	ZEROROW(4, 5, 6, 7)
	CMP  $16, R0
	BLT  tail

loop:
	VLD1.P 64(R1), [V16.D2, V17.D2, V18.D2, V19.D2]
	VLD1.P 64(R2), [V20.D2, V21.D2, V22.D2, V23.D2]
	VLD1.P 64(R1), [V24.D2, V25.D2, V26.D2, V27.D2]
	VLD1.P 64(R2), [V28.D2, V29.D2, V30.D2, V31.D2]
	VFMLA  V16.D2, V20.D2, V0.D2
	VFMLA  V17.D2, V21.D2, V1.D2
	VFMLA  V18.D2, V22.D2, V2.D2
	VFMLA  V19.D2, V23.D2, V3.D2
	VFMLA  V24.D2, V28.D2, V4.D2
	VFMLA  V25.D2, V29.D2, V5.D2
	VFMLA  V26.D2, V30.D2, V6.D2
	VFMLA  V27.D2, V31.D2, V7.D2
	SUB    $16, R0
	CMP    $16, R0
	BGE    loop

tail:
	NEGATIVEZERO
	PAIR(V0, single0)
	PAIR(V1, single1)
	PAIR(V2, single2)
	PAIR(V3, single3)
	PAIR(V4, single4)
	PAIR(V5, single5)
	PAIR(V6, single6)
	SINGLE(V7)

single0:
	SINGLE(V0)

single1:
	SINGLE(V1)

single2:
	SINGLE(V2)

single3:
	SINGLE(V3)

single4:
	SINGLE(V4)

single5:
	SINGLE(V5)

single6:
	SINGLE(V6)

add:
	PAIRWISE(0, 1, 2, 3, 4, 5, 6, 7)
	FMOVD F0, ret+24(FP)
	RET

// HALF adds eight products with x and y each.
#define HALF(x0, x1, x2, x3, y0, y1, y2, y3) \
	VLD1.P 64(R1), [V16.D2, V17.D2, V18.D2, V19.D2] \
	VLD1.P 64(R2), [V20.D2, V21.D2, V22.D2, V23.D2] \
	VLD1.P 64(R3), [V24.D2, V25.D2, V26.D2, V27.D2] \
	VFMLA V16.D2, V20.D2, x0.D2 \
	VFMLA V17.D2, V21.D2, x1.D2 \
	VFMLA V18.D2, V22.D2, x2.D2 \
	VFMLA V19.D2, V23.D2, x3.D2 \
	VFMLA V16.D2, V24.D2, y0.D2 \
	VFMLA V17.D2, V25.D2, y1.D2 \
	VFMLA V18.D2, V26.D2, y2.D2 \
	VFMLA V19.D2, V27.D2, y3.D2

#define PAIR2(x, y, single) \
	CMP $2, R0 \
	BLT single \
	FMOVQ.P 16(R1), F16 \
	FMOVQ.P 16(R2), F20 \
	FMOVQ.P 16(R3), F24 \
	VFMLA V16.D2, V20.D2, x.D2 \
	VFMLA V16.D2, V24.D2, y.D2 \
	SUB $2, R0

#define SINGLE2(x, y) \
	CBZ R0, add \
	FMOVD (R1), F16 \
	FMOVD (R2), F20 \
	FMOVD (R3), F24 \
	VZIP1 V30.D2, V16.D2, V16.D2 \
	VFMLA V16.D2, V20.D2, x.D2 \
	VFMLA V16.D2, V24.D2, y.D2 \
	B add

// func dot2NEON(n int, v, x, y *float64) (vx, vy float64)
TEXT ·dot2NEON(SB), NOSPLIT, $0-48
	MOVD n+0(FP), R0
	MOVD v+8(FP), R1
	MOVD x+16(FP), R2
	MOVD y+24(FP), R3
	ZEROROW(0, 1, 2, 3)
	ZEROROW(4, 5, 6, 7)
	ZEROROW(8, 9, 10, 11)
	ZEROROW(12, 13, 14, 15)
	CMP  $16, R0
	BLT  tail

loop:
	HALF(V0, V1, V2, V3, V8, V9, V10, V11)
	HALF(V4, V5, V6, V7, V12, V13, V14, V15)
	SUB $16, R0
	CMP $16, R0
	BGE loop

tail:
	NEGATIVEZERO
	PAIR2(V0, V8, single0)
	PAIR2(V1, V9, single1)
	PAIR2(V2, V10, single2)
	PAIR2(V3, V11, single3)
	PAIR2(V4, V12, single4)
	PAIR2(V5, V13, single5)
	PAIR2(V6, V14, single6)
	SINGLE2(V7, V15)

single0:
	SINGLE2(V0, V8)

single1:
	SINGLE2(V1, V9)

single2:
	SINGLE2(V2, V10)

single3:
	SINGLE2(V3, V11)

single4:
	SINGLE2(V4, V12)

single5:
	SINGLE2(V5, V13)

single6:
	SINGLE2(V6, V14)

add:
	PAIRWISE(0, 1, 2, 3, 4, 5, 6, 7)
	PAIRWISE(8, 9, 10, 11, 12, 13, 14, 15)
	FMOVD F0, vx+32(FP)
	FMOVD F8, vy+40(FP)
	RET
