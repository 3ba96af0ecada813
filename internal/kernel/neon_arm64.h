// Instructions that Go's assembler has no names for, by the number of each vector register: sources first, as Go has them, destination
// last. The names are Arm's, with the arrangement of the destination; of what narrows or widens, with the narrow one.

#define ZERO(d) WORD $(0x6f00e400 | d) // movi d.2d, #0

#define FMLA4S(m, i, n, d) WORD $(0x4f801000 | (i&1)<<21 | m<<16 | (i>>1)<<11 | n<<5 | d) // fmla d.4s, n.4s, m.s[i]
#define FMLA2D(m, i, n, d) WORD $(0x4fc01000 | m<<16 | i<<11 | n<<5 | d)                  // fmla d.2d, n.2d, m.d[i]
#define FMUL2D(m, i, n, d) WORD $(0x4fc09000 | m<<16 | i<<11 | n<<5 | d)                  // fmul d.2d, n.2d, m.d[i]

#define FADD2D(m, n, d) WORD $(0x4e60d400 | m<<16 | n<<5 | d)   // fadd d.2d, n.2d, m.2d
#define FSUB2D(m, n, d) WORD $(0x4ee0d400 | m<<16 | n<<5 | d)   // fsub d.2d, n.2d, m.2d
#define FADDP2D(n, d) WORD $(0x7e70d800 | n<<5 | d)             // faddp d, n.2d
#define FNEG2D(n, d) WORD $(0x6ee0f800 | n<<5 | d)              // fneg d.2d, n.2d
#define FADD4S(m, n, d) WORD $(0x4e20d400 | m<<16 | n<<5 | d)   // fadd d.4s, n.4s, m.4s
#define FSUB4S(m, n, d) WORD $(0x4ea0d400 | m<<16 | n<<5 | d)   // fsub d.4s, n.4s, m.4s
#define FMUL4S(m, n, d) WORD $(0x6e20dc00 | m<<16 | n<<5 | d)   // fmul d.4s, n.4s, m.4s
#define FMLAV4S(m, n, d) WORD $(0x4e20cc00 | m<<16 | n<<5 | d)  // fmla d.4s, n.4s, m.4s
#define FMAX4S(m, n, d) WORD $(0x4e20f400 | m<<16 | n<<5 | d)   // fmax d.4s, n.4s, m.4s
#define FMIN4S(m, n, d) WORD $(0x4ea0f400 | m<<16 | n<<5 | d)   // fmin d.4s, n.4s, m.4s
#define FABS4S(n, d) WORD $(0x4ea0f800 | n<<5 | d)              // fabs d.4s, n.4s
#define FMINNM4S(m, n, d) WORD $(0x4ea0c400 | m<<16 | n<<5 | d) // fminnm d.4s, n.4s, m.4s
#define FMAXNM4S(m, n, d) WORD $(0x4e20c400 | m<<16 | n<<5 | d) // fmaxnm d.4s, n.4s, m.4s
#define FCMEQ4S(m, n, d) WORD $(0x4e20e400 | m<<16 | n<<5 | d)  // fcmeq d.4s, n.4s, m.4s
#define FCMEQZ4S(n, d) WORD $(0x4ea0d800 | n<<5 | d)            // fcmeq d.4s, n.4s, #0.0

#define MOV16B(n, d) WORD $(0x4ea01c00 | n<<16 | n<<5 | d)     // mov d.16b, n.16b
#define ADD4S(m, n, d) WORD $(0x4ea08400 | m<<16 | n<<5 | d)   // add d.4s, n.4s, m.4s
#define SUB4S(m, n, d) WORD $(0x6ea08400 | m<<16 | n<<5 | d)   // sub d.4s, n.4s, m.4s
#define SHL4S(i, n, d) WORD $(0x4f205400 | i<<16 | n<<5 | d)   // shl d.4s, n.4s, #i
#define CMEQ4S(m, n, d) WORD $(0x6ea08c00 | m<<16 | n<<5 | d)  // cmeq d.4s, n.4s, m.4s
#define CMTST4S(m, n, d) WORD $(0x4ea08c00 | m<<16 | n<<5 | d) // cmtst d.4s, n.4s, m.4s
#define UMAXV4S(n, d) WORD $(0x6eb0a800 | n<<5 | d)            // umaxv d, n.4s
#define SHLL4H(n, d) WORD $(0x2e613800 | n<<5 | d)             // shll d.4s, n.4h, #16

#define ADDHN4H(m, n, d) WORD $(0x0e604000 | m<<16 | n<<5 | d) // addhn d.4h, n.4s, m.4s
#define ADDHN8H(m, n, d) WORD $(0x4e604000 | m<<16 | n<<5 | d) // addhn2 d.8h, n.4s, m.4s

#define FCVTL4H(n, d) WORD $(0x0e217800 | n<<5 | d) // fcvtl d.4s, n.4h
#define FCVTL8H(n, d) WORD $(0x4e217800 | n<<5 | d) // fcvtl2 d.4s, n.8h
#define FCVTL2S(n, d) WORD $(0x0e617800 | n<<5 | d) // fcvtl d.2d, n.2s
#define FCVTL4S(n, d) WORD $(0x4e617800 | n<<5 | d) // fcvtl2 d.2d, n.4s
#define FCVTN4H(n, d) WORD $(0x0e216800 | n<<5 | d) // fcvtn d.4h, n.4s
#define FCVTN8H(n, d) WORD $(0x4e216800 | n<<5 | d) // fcvtn2 d.8h, n.4s

// WIDENBF16, WIDENF16 and WIDENF32 load a block of 16 stored weights, and widen it to V20 to V23. V31 is zero: interleaved with it, bf16
// is f32.
#define WIDENBF16(w) \
	VLD1.P 32(w), [V24.H8, V25.H8] \
	VZIP1 V24.H8, V31.H8, V20.H8 \
	VZIP2 V24.H8, V31.H8, V21.H8 \
	VZIP1 V25.H8, V31.H8, V22.H8 \
	VZIP2 V25.H8, V31.H8, V23.H8

#define WIDENF16(w) \
	VLD1.P 32(w), [V24.H8, V25.H8] \
	FCVTL4H(24, 20) \
	FCVTL8H(24, 21) \
	FCVTL4H(25, 22) \
	FCVTL8H(25, 23)

#define WIDENF32(w) \
	VLD1.P 64(w), [V20.S4, V21.S4, V22.S4, V23.S4]

// TILE(ROW) does ROW(a, b, c, d) for each of the six rows of a tile. V0 to V23 are its entries, four vectors a row.
#define TILE(ROW) \
	ROW(0, 1, 2, 3)     \
	ROW(4, 5, 6, 7)     \
	ROW(8, 9, 10, 11)   \
	ROW(12, 13, 14, 15) \
	ROW(16, 17, 18, 19) \
	ROW(20, 21, 22, 23)

#define ZEROROW(a, b, c, d) \
	ZERO(a) \
	ZERO(b) \
	ZERO(c) \
	ZERO(d)

#define FMLAROW4S(m, i, a, b, c, d) \
	FMLA4S(m, i, 24, a) \
	FMLA4S(m, i, 25, b) \
	FMLA4S(m, i, 26, c) \
	FMLA4S(m, i, 27, d)

#define FMLAROW2D(m, i, a, b, c, d) \
	FMLA2D(m, i, 24, a) \
	FMLA2D(m, i, 25, b) \
	FMLA2D(m, i, 26, c) \
	FMLA2D(m, i, 27, d)

// CHAIN32 adds the products of R0 steps to a tile of 6 by 16 entries in f32: 6 floats a step at R2, and 16 a step at R3, which it moves on.
// It changes R9, R10 and V24 to V29. A function can hold it once.
#define CHAIN32 \
	CBZ R0, chained \
	MOVD R0, R9 \
	MOVD R2, R10 \
chain: \
	VLD1.P 64(R3), [V24.S4, V25.S4, V26.S4, V27.S4] \
	VLD1.P 16(R10), [V28.S4] \
	FMOVD.P 8(R10), F29 \
	FMLAROW4S(28, 0, 0, 1, 2, 3) \
	FMLAROW4S(28, 1, 4, 5, 6, 7) \
	FMLAROW4S(28, 2, 8, 9, 10, 11) \
	FMLAROW4S(28, 3, 12, 13, 14, 15) \
	FMLAROW4S(29, 0, 16, 17, 18, 19) \
	FMLAROW4S(29, 1, 20, 21, 22, 23) \
	SUB $1, R9 \
	CBNZ R9, chain \
chained:

// CHAIN64 is CHAIN32 for 6 by 8 entries in f64. It changes V30 as well.
#define CHAIN64 \
	CBZ R0, chained \
	MOVD R0, R9 \
	MOVD R2, R10 \
chain: \
	VLD1.P 64(R3), [V24.D2, V25.D2, V26.D2, V27.D2] \
	VLD1.P 48(R10), [V28.D2, V29.D2, V30.D2] \
	FMLAROW2D(28, 0, 0, 1, 2, 3) \
	FMLAROW2D(28, 1, 4, 5, 6, 7) \
	FMLAROW2D(29, 0, 8, 9, 10, 11) \
	FMLAROW2D(29, 1, 12, 13, 14, 15) \
	FMLAROW2D(30, 0, 16, 17, 18, 19) \
	FMLAROW2D(30, 1, 20, 21, 22, 23) \
	SUB $1, R9 \
	CBNZ R9, chain \
chained:
