// Writes what tenon_text.h makes of the numbers on its input, lines of "value decimals", and of texts that do not fit.

#include "tenon_text.h"

#include <stdio.h>

int main(void) {
	double value;
	int decimals;
	while (scanf("%la %d", &value, &decimals) == 2) {
		tenon_text text = {0};
		tenon_add_number(&text, value, decimals);
		puts(text.bytes);
	}
	tenon_text whole = {0};
	tenon_add_int(&whole, INT64_MIN);
	tenon_add(&whole, " ");
	tenon_add_int(&whole, 1234567890123456789);
	puts(whole.bytes);
	tenon_text full = {0};
	for (int i = 0; i < 400; i++) { // 3 bytes each: 341 characters are 1,023 bytes
		tenon_add(&full, i == 0 ? "ab" : "∑");
	}
	printf("%d %d\n", full.length, full.full);
	return 0;
}
