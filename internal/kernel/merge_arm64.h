// What merging does to a row of sums, in four vectors.

// REACH keeps in V28 the greatest bits, without sign and shifted left by one, of the vectors of sums x and y; it changes V24 and V27.
#define REACH(x, y) \
	ADD4S(x, x, 24) \
	ADD4S(y, y, 27) \
	VUMAX V27.S4, V24.S4, V24.S4 \
	VUMAX V24.S4, V28.S4, V28.S4

// FINITE goes to stop unless all sums that REACH saw are below the limit in R14, which is shifted as well. It leaves V28 zero.
#define FINITE \
	UMAXV4S(28, 28) \
	VMOV V28.S[0], R13 \
	CMP R14, R13 \
	BHS stop \
	ZERO(28)

// NEARESTBF16 makes the upper half of each of the sums x what x rounds to, ties to even: it adds 0x7fff, from V30, and the lowest bit that
// stays, which V29 selects. V31 is changed.
#define NEARESTBF16(x, narrow, to) \
	CMTST4S(29, x, 31) \
	SUB4S(31, x, 31) \
	narrow(30, 31, to)

// STOREBF16, STOREF16 and STOREF32 round sums and store them at R12, count in V28 how many of them are what is stored at R11, and go R6
// bytes on.
#define STOREBF16(a, b, c, d) \
	VLD1 (R11), [V24.H8, V25.H8] \
	NEARESTBF16(a, ADDHN4H, 26) \
	NEARESTBF16(b, ADDHN8H, 26) \
	NEARESTBF16(c, ADDHN4H, 27) \
	NEARESTBF16(d, ADDHN8H, 27) \
	STORE16

// STORE16 stores V26 and V27, and counts in V28 how many halves of them are those of W in V24 and V25.
#define STORE16 \
	ADD R6, R11 \
	VCMEQ V26.H8, V24.H8, V24.H8 \
	VCMEQ V27.H8, V25.H8, V25.H8 \
	VST1 [V26.H8, V27.H8], (R12) \
	ADD R6, R12 \
	VSUB V24.H8, V28.H8, V28.H8 \
	VSUB V25.H8, V28.H8, V28.H8

// COUNT16 takes what STORE16 counted off R8.
#define COUNT16 \
	VUADDLV V28.H8, V28 \
	VMOV V28.S[0], R13 \
	SUB R13, R8

#define STOREF16(a, b, c, d) \
	VLD1 (R11), [V24.H8, V25.H8] \
	FCVTN4H(a, 26) \
	FCVTN8H(b, 26) \
	FCVTN4H(c, 27) \
	FCVTN8H(d, 27) \
	STORE16

#define STOREF32(a, b, c, d) \
	FLDPQ (R11), (F24, F25) \
	FLDPQ 32(R11), (F26, F27) \
	ADD R6, R11 \
	CMEQ4S(a, 24, 24) \
	CMEQ4S(b, 25, 25) \
	CMEQ4S(c, 26, 26) \
	CMEQ4S(d, 27, 27) \
	FMOVQ F(a), (R12) \
	FMOVQ F(b), 16(R12) \
	FMOVQ F(c), 32(R12) \
	FMOVQ F(d), 48(R12) \
	ADD R6, R12 \
	VADD V25.S4, V24.S4, V24.S4 \
	VADD V27.S4, V26.S4, V26.S4 \
	VSUB V24.S4, V28.S4, V28.S4 \
	VSUB V26.S4, V28.S4, V28.S4

#define COUNT32 \
	VADDV V28.S4, V28 \
	VMOV V28.S[0], R13 \
	SUB R13, R8
