// The memory of a guest without a C library: what the compiler calls by itself, and a heap that is given back in one piece. It takes all
// memory behind the data of the program, so it is not for a guest that also calls malloc.

#ifndef TENON_MEMORY_H
#define TENON_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef __wasm32__
#error "tenon.h is for --target=wasm32; keep the arithmetic of a diagnostic in a header of its own, which a native test can include"
#endif

// The compiler may call these four for a copy or a loop of yours. They are weak, so that a C library's win where there is one, and must not
// be compiled into calls of themselves.
#define TENON_BUILTIN(name) __attribute__((weak, no_builtin(name)))

TENON_BUILTIN("memcpy") void *memcpy(void *restrict to, const void *restrict from, size_t n) {
	for (size_t i = 0; i < n; i++) {
		((unsigned char *)to)[i] = ((const unsigned char *)from)[i];
	}
	return to;
}

TENON_BUILTIN("memmove") void *memmove(void *to, const void *from, size_t n) {
	unsigned char *t = (unsigned char *)to;
	const unsigned char *f = (const unsigned char *)from;
	if (t <= f) {
		for (size_t i = 0; i < n; i++) {
			t[i] = f[i];
		}
	} else {
		for (size_t i = n; i > 0; i--) {
			t[i - 1] = f[i - 1];
		}
	}
	return to;
}

TENON_BUILTIN("memset") void *memset(void *to, int byte, size_t n) {
	for (size_t i = 0; i < n; i++) {
		((unsigned char *)to)[i] = (unsigned char)byte;
	}
	return to;
}

TENON_BUILTIN("memcmp") int memcmp(const void *a, const void *b, size_t n) {
	for (size_t i = 0; i < n; i++) {
		int difference = ((const unsigned char *)a)[i] - ((const unsigned char *)b)[i];
		if (difference != 0) {
			return difference;
		}
	}
	return 0;
}

TENON_BUILTIN("strlen") size_t strlen(const char *text) {
	size_t n = 0;
	while (text[n] != 0) {
		n++;
	}
	return n;
}

#define TENON_PAGE 65536

extern unsigned char __heap_base; // the linker's: where stack and data end

// tenon_heap_top is the first free byte, 0 before the first allocation. Weak, so that the files of one guest share it.
__attribute__((weak)) uint64_t tenon_heap_top;

// tenon_mark remembers how much of the heap is in use.
static inline uint64_t tenon_mark(void) {
	return tenon_heap_top != 0 ? tenon_heap_top : (uint64_t)(uintptr_t)&__heap_base;
}

// tenon_release gives back everything allocated since the mark, singular values and texts included. What a run held when the diagnostic
// began is older than any mark of the author's.
static inline void tenon_release(uint64_t mark) { tenon_heap_top = mark; }

// tenon_heap gives bytes of memory, zeroed, at a multiple of 16; NULL where the run's limit on guest memory does not allow it. The product
// is taken without overflow. Authors call tenon_alloc, which keeps the failure.
static inline void *tenon_heap(uint64_t count, uint64_t size) {
	if (size != 0 && count > UINT32_MAX / size) {
		return NULL;
	}
	uint64_t bytes = count * size, start = (tenon_mark() + 15) & ~(uint64_t)15;
	uint64_t end = start + bytes, have = (uint64_t)__builtin_wasm_memory_size(0) * TENON_PAGE;
	if (end > UINT32_MAX) {
		return NULL;
	}
	if (end > have && __builtin_wasm_memory_grow(0, (size_t)((end - have + TENON_PAGE - 1) / TENON_PAGE)) == (size_t)-1) {
		return NULL;
	}
	tenon_heap_top = end;
	return memset((void *)(uintptr_t)start, 0, (size_t)bytes);
}

// tenon_at is a pointer as the ABI takes it.
static inline int32_t tenon_at(const void *pointer) { return (int32_t)(uintptr_t)pointer; }

// tenon_length is the length of a text as the ABI takes it.
static inline int32_t tenon_length(const char *text) { return (int32_t)strlen(text); }

#endif
