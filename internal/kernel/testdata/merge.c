/* What merging is, in C: a chain of fmaf, one addition, one rounding. Written apart from the Go code, and compared with it by TestBitsOfC.
 *
 * It reads requests from standard input until that ends, and answers each on standard output. A request is five 32-bit numbers - kind, out, in,
 * rank, fan - and then, for kind
 *   0: out times three floats x, y, z, answered by as many floats x*y+z;
 *   1, 2 or 3 (bf16, f16, f32): the factors out x rank and rank x in, in floats, and the stored weight, answered by the merged weight.
 * All numbers are little-endian, as the machine's are. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static float f32(uint32_t bits) { float f; memcpy(&f, &bits, 4); return f; }
static uint32_t pattern(float f) { uint32_t bits; memcpy(&bits, &f, 4); return bits; }

/* A 16-bit format: significant bits, and the exponent of its smallest value above zero. */
struct half { int precision, least; };
static const struct half bf16 = {8, -133}, f16 = {11, -24};

static double value_of(uint16_t h, struct half t) {
	int stored = t.precision - 1, exponent = (h & 0x7fff) >> stored, fraction = h & ((1 << stored) - 1);
	double v;
	if (exponent == 0x7fff >> stored)
		v = fraction ? NAN : INFINITY;
	else if (exponent == 0)
		v = ldexp(fraction, t.least);
	else
		v = ldexp(fraction + (1 << stored), t.least + exponent - 1);
	return h & 0x8000 ? -v : v;
}

/* nearbyint rounds to nearest, ties to even. */
static uint16_t rounded(float f, struct half t) {
	int stored = t.precision - 1, exponent, place;
	uint16_t sign = signbit(f) ? 0x8000 : 0, infinity = 0x7fff >> stored << stored;
	double units;
	if (isnan(f))
		return infinity | 1 << (stored - 1);
	if (isinf(f))
		return sign | infinity;
	if (f == 0)
		return sign;
	frexp(f, &exponent); /* |f| is at least 2^(exponent-1) */
	place = exponent - t.precision > t.least ? exponent - t.precision : t.least;
	units = nearbyint(ldexp(fabs((double)f), -place)) + ldexp(place - t.least, stored);
	return sign | (uint16_t)(units < infinity ? units : infinity);
}

static void *take(size_t n) {
	void *p = malloc(n ? n : 1);
	if (!p || fread(p, 1, n, stdin) != n)
		exit(2);
	return p;
}

static void merge(uint32_t kind, uint32_t out, uint32_t in, uint32_t rank, uint32_t fan) {
	float *sb = take(4ul * out * rank), *a = take(4ul * rank * in);
	size_t size = kind == 3 ? 4 : 2;
	unsigned char *w = take(size * out * in);
	struct half t = kind == 1 ? bf16 : f16;
	for (uint32_t i = 0; i < out; i++)
		for (uint32_t j = 0; j < in; j++) {
			unsigned char *at = w + size * (fan ? (size_t)j * out + i : (size_t)i * in + j);
			float sum = 0;
			for (uint32_t k = 0; k < rank; k++)
				sum = fmaf(sb[(size_t)i * rank + k], a[(size_t)k * in + j], sum);
			if (kind == 3) {
				uint32_t before, after;
				memcpy(&before, at, 4);
				float v = f32(before) + sum;
				after = isnan(f32(before)) ? before | 0x400000 : isnan(v) ? 0x7fc00000 : pattern(v);
				memcpy(at, &after, 4);
			} else {
				uint16_t before, after;
				memcpy(&before, at, 2);
				double old = value_of(before, t);
				after = isnan(old) ? before | 1 << (t.precision - 2) : rounded((float)old + sum, t);
				memcpy(at, &after, 2);
			}
		}
	fwrite(w, size, (size_t)out * in, stdout);
	free(sb), free(a), free(w);
}

int main(void) {
	uint32_t request[5];
	while (fread(request, 4, 5, stdin) == 5) {
		if (request[0] != 0) {
			merge(request[0], request[1], request[2], request[3], request[4]);
			continue;
		}
		float *v = take(12ul * request[1]);
		for (uint32_t i = 0; i < request[1]; i++) {
			float f = fmaf(v[3 * i], v[3 * i + 1], v[3 * i + 2]);
			fwrite(&f, 4, 1, stdout);
		}
		free(v);
	}
	return fflush(stdout) ? 1 : 0;
}
