// Sentences with numbers in them, for the messages of findings and for the log. A report carries the number seen and the limit of a
// finding as numbers of their own; what stands in a message is for people.

#ifndef TENON_TEXT_H
#define TENON_TEXT_H

#ifdef __wasm32__
#include "tenon_memory.h"
#else
#include <stdbool.h> // a native test of sentences has a C library
#include <stdint.h>
#include <string.h>
#endif

// tenon_text is a text that grows to at most 1,023 bytes, as long as a message can be; what goes beyond is left out, never half a
// character. It starts empty as `tenon_text t = {0};`, and t.bytes is always a C string.
typedef struct tenon_text {
	int32_t length;
	bool full; // something was left out, and nothing is added any more
	char bytes[1024];
} tenon_text;

// tenon_cut is the length of the first n bytes of a text cut to at most `most`, not in the middle of a character.
static inline int32_t tenon_cut(const char *text, int32_t n, int32_t most) {
	if (n > most) {
		for (n = most; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;) {
			n--;
		}
	}
	return n;
}

// tenon_add adds UTF-8 text.
static inline void tenon_add(tenon_text *t, const char *text) {
	int32_t whole = (int32_t)strlen(text), n = tenon_cut(text, whole, (int32_t)sizeof t->bytes - 1 - t->length);
	if (t->full) {
		return;
	}
	t->full = n < whole;
	memcpy(t->bytes + t->length, text, (size_t)n);
	t->length += n;
	t->bytes[t->length] = 0;
}

// tenon_add_digits adds a number of at least `least` digits, zeros in front.
static inline void tenon_add_digits(tenon_text *t, uint64_t number, int32_t least) {
	char digits[24];
	int32_t at = (int32_t)sizeof digits - 1;
	digits[at] = 0;
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
		least--;
	} while (number != 0 || (least > 0 && at > 0));
	tenon_add(t, digits + at);
}

// tenon_add_int adds a whole number.
static inline void tenon_add_int(tenon_text *t, int64_t number) {
	if (number < 0) {
		tenon_add(t, "-");
	}
	tenon_add_digits(t, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, 1);
}

// tenon_add_scaled adds a magnitude below 1e9 with that many digits behind the point, 0 to 9. The magnitude times a power of ten is
// rounded once, so the last digit can be one off where the number lies in the middle between two.
static inline void tenon_add_scaled(tenon_text *t, double magnitude, int32_t decimals) {
	uint64_t unit = 1;
	for (int32_t i = 0; i < decimals; i++) {
		unit *= 10;
	}
	uint64_t scaled = (uint64_t)(magnitude * (double)unit + 0.5);
	tenon_add_digits(t, scaled / unit, 1);
	if (decimals > 0) {
		tenon_add(t, ".");
		tenon_add_digits(t, scaled % unit, decimals);
	}
}

// tenon_add_number adds a number with that many digits behind the point, 0 to 9: 2 gives "71.25". Below half of the last digit, and from
// 1e9 on, it has a power of ten instead, "3.12e-07". NaN and infinities are "NaN", "+Inf" and "-Inf".
static inline void tenon_add_number(tenon_text *t, double value, int32_t decimals) {
	static const double powers[] = {1e256, 1e128, 1e64, 1e32, 1e16, 1e8, 1e4, 1e2, 1e1};
	decimals = decimals < 0 ? 0 : decimals > 9 ? 9 : decimals;
	double magnitude = __builtin_fabs(value), smallest = 0.5;
	for (int32_t i = 0; i < decimals; i++) {
		smallest /= 10;
	}
	if (value != value) {
		tenon_add(t, "NaN");
		return;
	}
	if (magnitude > 1.7976931348623157e308) {
		tenon_add(t, value < 0 ? "-Inf" : "+Inf");
		return;
	}
	if (value < 0) {
		tenon_add(t, "-");
	}
	if (magnitude == 0 || (magnitude >= smallest && magnitude < 1e9)) {
		tenon_add_scaled(t, magnitude, decimals);
		return;
	}
	int32_t exponent = 0;
	for (int32_t i = 0, power = 256; i < 9; i++, power /= 2) {
		if (magnitude >= powers[i]) {
			magnitude /= powers[i];
			exponent += power;
		} else if (magnitude < 1 && magnitude * powers[i] < 10) {
			magnitude *= powers[i];
			exponent -= power;
		}
	}
	if (magnitude >= 10 - smallest) { // it would be rounded to 10
		magnitude = 1;
		exponent++;
	}
	tenon_add_scaled(t, magnitude, decimals);
	tenon_add(t, exponent < 0 ? "e-" : "e+");
	tenon_add_digits(t, (uint64_t)(exponent < 0 ? -exponent : exponent), 2);
}

#endif
