// The arithmetic of shares.h beside delta W formed entry by entry, on the machine that builds the module. Factors are whole numbers, so
// both are exact and must agree to the last bit.

#include "shares.h"

#include <stdio.h>

enum { MOST = 16 };

static _Alignas(16) double g[MOST * MOST], vectors[64 * MOST], raw[64 * MOST], a[MOST * 64], b[64 * MOST];

static int failures;

static void check(const char *what, int32_t rank, int32_t row, double got, double want) {
	if (got != want) {
		printf("%s of rank %d, vector %d: %g, want %g\n", what, rank, row, got, want);
		failures++;
	}
}

static void compare(int32_t rank, int32_t in, int32_t out) {
	uint32_t seed = (uint32_t)(rank * 1000 + in);
	for (int32_t i = 0; i < rank * in; i++) {
		a[i] = (double)((seed = seed * 1664525 + 1013904223) >> 29) - 3;
	}
	for (int32_t i = 0; i < out * rank; i++) {
		b[i] = (double)((seed = seed * 1664525 + 1013904223) >> 29) - 3;
	}
	double rows[64] = {0}, cols[64] = {0}, four[4];
	for (int32_t i = 0; i < out; i++) {
		for (int32_t j = 0; j < in; j++) {
			double d = 0;
			for (int32_t k = 0; k < rank; k++) {
				d += b[i * rank + k] * a[k * in + j];
			}
			rows[i] += d * d;
			cols[j] += d * d;
		}
	}
	int32_t stride = stride_of(rank);
	for (int32_t i = 0; i < MOST * MOST; i++) {
		g[i] = 0;
	}
	turn(vectors, a, in, rank);
	gram(g, vectors, in, stride);
	fold(g, stride);
	for (int32_t i = 0; i < 64 * MOST; i++) {
		raw[i] = i < out * rank ? b[i] : 0;
	}
	spread(vectors, raw, 64, rank);
	for (int32_t i = 0; i < out; i++) {
		forms(four, g, vectors + (i & ~3) * stride, stride);
		check("rows", rank, i, four[i & 3], rows[i]);
	}
	for (int32_t i = 0; i < MOST * MOST; i++) {
		g[i] = 0;
	}
	gram(g, vectors, out, stride);
	fold(g, stride);
	for (int32_t i = 0; i < 64 * MOST; i++) {
		vectors[i] = 0;
	}
	turn(vectors, a, in, rank);
	for (int32_t j = 0; j < in; j++) {
		forms(four, g, vectors + (j & ~3) * stride, stride);
		check("columns", rank, j, four[j & 3], cols[j]);
	}
}

int main(void) {
	for (int32_t rank = 1; rank <= MOST; rank++) {
		compare(rank, 13, 7);
		compare(rank, 8, 61);
	}
	double parts[] = {1, -0.0, 2, 1};
	balance of = balance_of(parts, 4);
	if (!of.defined || of.total != 4 || of.heaviest != 2 || of.largest != 0.5 || of.effective != 1 / 0.375 || parts[0] != 0.25) {
		printf("the shares of 1, 0, 2, 1 are wrong\n");
		failures++;
	}
	double none[] = {0, 0}, broken[] = {1, __builtin_nan("")}, endless[] = {1e308, 1e308};
	if (balance_of(none, 2).defined || balance_of(broken, 2).defined || balance_of(endless, 2).defined) {
		printf("what has no shares has some\n");
		failures++;
	}
	if (failures == 0) {
		printf("ok\n");
	}
	return failures != 0;
}
