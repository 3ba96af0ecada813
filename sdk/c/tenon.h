// What a Tenon diagnostic written in C needs: it turns guest ABI v1 (sdk/abi/ABI.md) into C values. There is nothing to link and no C
// library: a diagnostic is one file with one function,
//
//	#include "tenon.h"
//
//	static int32_t diagnose(tenon_run *run) {
//		for (int32_t i = 0; i < run->target_count; i++) {
//			const tenon_target *target = &run->targets[i];
//			uint64_t mark = tenon_mark();
//			double *singular;
//			int32_t rank = tenon_target_delta_values(run, target, &singular);
//			if (rank < 0) {
//				return rank;
//			}
//			tenon_target_metric(run, target, "my_rank", rank);
//			tenon_release(mark);
//		}
//		return 0;
//	}
//
//	TENON_DIAGNOSTIC(diagnose);
//
// compiled and linked in two steps, because clang as a linker driver may call tools that are not there:
//
//	clang -c --target=wasm32 -std=c11 -O2 -msimd128 -ffreestanding -ffp-contract=off -fno-math-errno -I path/to/sdk/c -o NAME.o NAME.c
//	wasm-ld --no-entry --stack-first -z stack-size=65536 --strip-all -o NAME.wasm NAME.o
//
// (-fno-math-errno makes __builtin_sqrt an instruction, beside __builtin_fabs, floor, ceil and rint; exp and log are not in the machine.)
//
// A module may import only what its manifest NAME.json grants, and a function of these headers that is never called is not there, so
// nothing costs a capability until it is used. Texts are UTF-8 and end with a zero byte; the host ends a run that hands it anything else.
// With -ffp-contract=off the same arithmetic gives the same bits in a native test; WebAssembly has no fused multiply-add to contract to.

#ifndef TENON_H
#define TENON_H

#include "tenon_imports.h"
#include "tenon_memory.h"
#include "tenon_report.h"
#include "tenon_run.h"
#include "tenon_tensor.h"
#include "tenon_text.h"

// tenon_call runs a diagnostic and gives what the export of that name returns: 0 when it is done; the diagnostic's own code, if it gave one
// above 0; and 1 for a failure, its own or one that the run kept, with the text in the log.
static inline int32_t tenon_call(int32_t (*diagnose)(tenon_run *run)) {
	tenon_run run = {0};
	int32_t code = tenon_load(&run);
	if (code == 0) {
		code = diagnose(&run);
	}
	if (run.first.status < 0) {
		tenon_log(run.first.text);
	} else if (code < 0) { // a status that was forgiven and returned all the same
		tenon_log(run.last.status == code ? run.last.text : tenon_status_name(code));
	}
	return code > 0 ? code : code < 0 || run.first.status < 0;
}

// TENON_DIAGNOSTIC names the function that is the diagnostic, once in a guest, and makes the exports that the host looks for: tenon_abi_1,
// which says what ABI this was built for and is never called, and diagnose.
#define TENON_DIAGNOSTIC(function) \
	__attribute__((export_name("tenon_abi_1"))) void tenon_export_marker(void); \
	__attribute__((export_name("diagnose"))) int32_t tenon_export_diagnose(void); \
	void tenon_export_marker(void) {} \
	int32_t tenon_export_diagnose(void) { return tenon_call(function); } \
	_Static_assert(sizeof(void *) == 4, "a guest is built with --target=wasm32")

#endif
