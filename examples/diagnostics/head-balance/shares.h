// The arithmetic of head-balance, apart from the host: it is the same in the guest and in a native test.
//
// With delta W = s B A, the part of ||delta W||^2 in a set of rows of W is s^2 times the sum of b' (A A') b over these rows b of B, and the
// part in a set of columns is s^2 times the sum of a' (B' B) a over these columns a of A. Both are one Gram matrix of r-vectors and one
// quadratic form of others, r^2 operations for each; delta W, which may have a hundred million entries, is never formed.
//
// Vectors are rows of `stride` numbers: r, and a zero where r is odd, so that two numbers at a time fill them. Buffers lie at multiples of
// 16 bytes. Every sum is taken in the order of its indices, in two lanes, so the same input gives the same bits wherever this runs; nothing
// may contract products with sums (-ffp-contract=off), which WebAssembly cannot.

#ifndef SHARES_H
#define SHARES_H

#include <stdbool.h>
#include <stdint.h>

typedef double lanes __attribute__((vector_size(16))); // one SIMD register, f64x2

static inline lanes both(double v) { return (lanes){v, v}; }

static inline int32_t stride_of(int32_t rank) { return rank + (rank & 1); }

// gram adds the products of n vectors with themselves to the upper triangle of the stride x stride matrix g, which starts as zeros. It
// takes two rows and four vectors at a time, so that what was loaded is used more than once; each entry is the same sum in the same order.
static inline void gram(double *g, const double *vectors, int32_t n, int32_t stride) {
	int32_t half = stride / 2, k = 0;
	for (; k + 4 <= n; k += 4) {
		const lanes *v0 = (const lanes *)(vectors + (int64_t)k * stride), *v1 = v0 + half, *v2 = v1 + half, *v3 = v2 + half;
		for (int32_t i = 0; i < half; i++) {
			lanes *upper = (lanes *)(g + (int64_t)2 * i * stride), *lower = upper + half;
			lanes a0 = both(v0[i][0]), a1 = both(v1[i][0]), a2 = both(v2[i][0]), a3 = both(v3[i][0]);
			lanes b0 = both(v0[i][1]), b1 = both(v1[i][1]), b2 = both(v2[i][1]), b3 = both(v3[i][1]);
			for (int32_t j = i; j < half; j++) {
				lanes x0 = v0[j], x1 = v1[j], x2 = v2[j], x3 = v3[j];
				upper[j] = upper[j] + a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3;
				lower[j] = lower[j] + b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3;
			}
		}
	}
	for (; k < n; k++) {
		const lanes *v = (const lanes *)(vectors + (int64_t)k * stride);
		for (int32_t i = 0; i < stride; i++) {
			lanes *row = (lanes *)(g + (int64_t)i * stride);
			for (int32_t j = i / 2; j < half; j++) {
				row[j] = row[j] + both(v[i / 2][i % 2]) * v[j];
			}
		}
	}
}

// fold turns the upper triangle that gram made into one whose quadratic form is that of the whole symmetric matrix: nothing below the
// diagonal, and above it everything twice.
static inline void fold(double *g, int32_t stride) {
	for (int32_t i = 0; i < stride; i++) {
		for (int32_t j = 0; j < stride; j++) {
			g[(int64_t)i * stride + j] *= j < i ? 0 : j > i ? 2 : 1;
		}
	}
}

// forms gives v' g v of four vectors that lie behind each other, for a folded g. It takes two rows at a time, as gram does.
static inline void forms(double out[4], const double *g, const double *vectors, int32_t stride) {
	int32_t half = stride / 2;
	const lanes *v0 = (const lanes *)vectors, *v1 = v0 + half, *v2 = v1 + half, *v3 = v2 + half;
	lanes t0 = both(0), t1 = t0, t2 = t0, t3 = t0;
	for (int32_t i = 0; i < half; i++) {
		const lanes *upper = (const lanes *)(g + (int64_t)2 * i * stride), *lower = upper + half;
		lanes a0 = both(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
		for (int32_t j = i; j < half; j++) {
			lanes u = upper[j], l = lower[j], x0 = v0[j], x1 = v1[j], x2 = v2[j], x3 = v3[j];
			a0 += u * x0;
			a1 += u * x1;
			a2 += u * x2;
			a3 += u * x3;
			b0 += l * x0;
			b1 += l * x1;
			b2 += l * x2;
			b3 += l * x3;
		}
		t0 = t0 + a0 * both(v0[i][0]) + b0 * both(v0[i][1]);
		t1 = t1 + a1 * both(v1[i][0]) + b1 * both(v1[i][1]);
		t2 = t2 + a2 * both(v2[i][0]) + b2 * both(v2[i][1]);
		t3 = t3 + a3 * both(v3[i][0]) + b3 * both(v3[i][1]);
	}
	out[0] = t0[0] + t0[1];
	out[1] = t1[0] + t1[1];
	out[2] = t2[0] + t2[1];
	out[3] = t3[0] + t3[1];
}

// spread gives each of n vectors of rank numbers, one behind the other, its stride.
static inline void spread(double *vectors, const double *raw, int32_t n, int32_t rank) {
	int32_t stride = stride_of(rank);
	for (int32_t k = 0; k < n; k++) {
		for (int32_t i = 0; i < stride; i++) {
			vectors[(int64_t)k * stride + i] = i < rank ? raw[(int64_t)k * rank + i] : 0;
		}
	}
}

// turn makes the n columns of a rank x n matrix vectors.
static inline void turn(double *vectors, const double *raw, int32_t n, int32_t rank) {
	int32_t stride = stride_of(rank);
	for (int32_t k = 0; k < n; k++) {
		for (int32_t i = 0; i < stride; i++) {
			vectors[(int64_t)k * stride + i] = i < rank ? raw[(int64_t)i * n + k] : 0;
		}
	}
}

// balance is how the parts of a sum are spread.
typedef struct balance {
	bool defined;     // the sum is finite and above 0; otherwise there are no shares
	double total;     // the sum
	int32_t heaviest; // index of the largest part, the first of equals
	double largest;   // its share
	double effective; // 1 / sum of the shares' squares: n where all are equal, 1 where one has everything
} balance;

// balance_of turns n parts, each a sum of squares, into their shares. A part that rounding has left below 0 is 0.
static inline balance balance_of(double *parts, int32_t n) {
	balance b = {0};
	for (int32_t h = 0; h < n; h++) {
		parts[h] = parts[h] < 0 ? 0 : parts[h];
		b.total += parts[h];
	}
	b.defined = b.total > 0 && b.total <= 1.7976931348623157e308;
	if (!b.defined) {
		return b;
	}
	double squares = 0;
	for (int32_t h = 0; h < n; h++) {
		parts[h] /= b.total;
		squares += parts[h] * parts[h];
		if (parts[h] > b.largest) {
			b.largest = parts[h];
			b.heaviest = h;
		}
	}
	b.effective = 1 / squares;
	return b;
}

#endif
