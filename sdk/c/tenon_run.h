// One run: the adapter to look at, the operator's settings, and the first thing that failed.

#ifndef TENON_RUN_H
#define TENON_RUN_H

#include "tenon_imports.h"
#include "tenon_text.h"

// tenon_tensor is a handle of a matrix that the host holds, row-major; below 0 it is none, or the status of the call that should have made
// it. Copying it copies no values, and tenon_drop through any copy drops it for all.
typedef int32_t tenon_tensor;

// tenon_target is one adapted weight: delta W = scale * B A with A of rank x in and B of out x rank, added to a W of out x in.
typedef struct tenon_target {
	const char *name; // of the base tensor, "model.layers.0.self_attn.q_proj.weight"
	int32_t index;    // of the target
	int32_t peer;     // TENON_NO_PEER, or the peer whose factors these are
	tenon_target_info info; // a, b and base are tensors; base is -1 when it was not granted, and for a peer
} tenon_target;

// tenon_peer is another adapter on the same base, to compare with.
typedef struct tenon_peer {
	const char *name; // its digest
	int32_t index;
} tenon_peer;

// tenon_failure is a call that the host answered with a status below 0.
typedef struct tenon_failure {
	int32_t status; // 0 where there is none
	int32_t words;  // where in text the host's own words begin
	char text[512]; // the call, what it was about, and the host's own words, or the status's name where it has none
} tenon_failure;

// tenon_run is the run. It lives until the diagnostic returns, and so does what it points to.
//
// A call that fails gives a status below 0, or NULL, and is kept: the run then ends as an error, whatever the diagnostic returns, because a
// result that could not be handed over must never pass for one without it. Where an author expects a failure, for instance
// TENON_STATUS_NUMERIC of factors that are not finite, tenon_forgive takes it back.
typedef struct tenon_run {
	const tenon_target *targets; // sorted by name
	int32_t target_count;
	tenon_failure first; // the first failure that nobody forgave
	tenon_failure last;  // the last failure
	bool forgivable;     // first is the last
} tenon_run;

// tenon_status_name is a status in words.
static inline const char *tenon_status_name(int32_t status) {
	static const char *const names[] = {"not found", "bad handle", "out of range", "shapes do not fit", "capability not granted",
		"limit used up", "unsupported", "host failure", "no numeric result"};
	return status < 0 && status >= TENON_STATUS_NUMERIC ? names[-1 - status] : "unknown status";
}

// tenon_keep notes a failure of a call ("metric") about something ("" or a name), told in text, and returns the status.
static inline int32_t tenon_keep(tenon_run *run, const char *call, const char *about, int32_t status, const char *text) {
	tenon_text whole = {0};
	tenon_add(&whole, call);
	if (about[0] != 0) {
		tenon_add(&whole, " ");
		tenon_add(&whole, about);
	}
	tenon_add(&whole, ": ");
	int32_t n, most = (int32_t)sizeof run->last.text - 1, words = whole.length < most ? whole.length : most;
	tenon_add(&whole, text);
	n = tenon_cut(whole.bytes, whole.length, most);
	memcpy(run->last.text, whole.bytes, (size_t)n);
	run->last.text[n] = 0;
	run->last.words = words < n ? words : n;
	run->last.status = status;
	run->forgivable = run->first.status == 0;
	if (run->forgivable) {
		run->first = run->last;
	}
	return status;
}

// tenon_check keeps the failure that a result of the host is, in the host's words, and returns the result.
static inline int32_t tenon_check(tenon_run *run, const char *call, const char *about, int32_t result) {
	char buffer[512];
	if (result >= 0) {
		return result;
	}
	const char *text = tenon_status_name(result);
	int32_t n = tenon_v1_last_error(tenon_at(buffer), (int32_t)sizeof buffer - 1), prefix = tenon_length(call);
	if (n > 0 && n < (int32_t)sizeof buffer) {
		buffer[n] = 0;
		text = buffer;
		if (n > prefix + 2 && memcmp(buffer, call, (size_t)prefix) == 0 && memcmp(buffer + prefix, ": ", 2) == 0) {
			text += prefix + 2; // the host begins with the function's name, and so does tenon_keep
		}
	}
	return tenon_keep(run, call, about, result, text);
}

// tenon_forgive takes back the failure of the call just made, if its status is this one, and says whether it was. Earlier failures stay.
static inline bool tenon_forgive(tenon_run *run, int32_t status) {
	if (run->last.status != status || status >= 0) {
		return false;
	}
	if (run->forgivable) {
		run->first.status = 0;
	}
	run->forgivable = false;
	return true;
}

// tenon_alloc gives zeroed memory for count things of size bytes, valid until a tenon_release of an older mark; NULL is a kept failure.
static inline void *tenon_alloc(tenon_run *run, int64_t count, int64_t size) {
	void *memory = count < 0 || size < 0 ? NULL : tenon_heap((uint64_t)count, (uint64_t)size);
	if (memory == NULL) {
		tenon_text text = {0};
		tenon_add_int(&text, count);
		tenon_add(&text, " times ");
		tenon_add_int(&text, size);
		tenon_add(&text, " bytes do not fit into the guest's memory");
		tenon_keep(run, "tenon_alloc", "", TENON_STATUS_QUOTA, text.bytes);
	}
	return memory;
}

// tenon_reader gives a text of the host as text out does: its length, written to dst where it is not above cap.
typedef int32_t (*tenon_reader)(int32_t index, int32_t dst, int32_t cap);

// tenon_text_of reads a text out of the host into memory of the heap; NULL is a kept failure.
static inline const char *tenon_text_of(tenon_run *run, const char *call, tenon_reader read, int32_t index) {
	int32_t n = tenon_check(run, call, "", read(index, tenon_at(run), 0));
	char *text = n < 0 ? NULL : (char *)tenon_alloc(run, (int64_t)n + 1, 1);
	if (text == NULL || tenon_check(run, call, "", read(index, tenon_at(text), n)) < 0) {
		return NULL;
	}
	return text;
}

// tenon_load fills an empty run with its targets. TENON_DIAGNOSTIC calls it.
static inline int32_t tenon_load(tenon_run *run) {
	int32_t n = tenon_check(run, "target_count", "", tenon_v1_target_count());
	tenon_target *targets = n < 0 ? NULL : (tenon_target *)tenon_alloc(run, n, sizeof *targets);
	for (int32_t i = 0; targets != NULL && i < n; i++) {
		targets[i].index = i;
		targets[i].peer = TENON_NO_PEER;
		targets[i].name = tenon_text_of(run, "target_name", tenon_v1_target_name, i);
		if (targets[i].name == NULL || tenon_check(run, "target_info", "", tenon_v1_target_info(i, tenon_at(&targets[i].info))) < 0) {
			break;
		}
	}
	run->targets = targets;
	run->target_count = run->first.status < 0 ? 0 : n;
	return run->first.status;
}

// tenon_base is the out x in weight of a target, or below 0 when it was not granted.
static inline tenon_tensor tenon_base(const tenon_target *target) { return target->info.base; }

// tenon_param gives the operator's setting, or the default of the module's manifest. A name that is not in the manifest is NaN and a kept
// failure.
static inline double tenon_param(tenon_run *run, const char *name) {
	double value = 0;
	int32_t status = tenon_v1_param(tenon_at(name), tenon_length(name), tenon_at(&value));
	return tenon_check(run, "param", name, status) < 0 ? (double)__builtin_nan("") : value;
}

// tenon_attr gives what is known of the adapter and its base under one of the keys that ABI.md names at attr; NULL where nothing is known,
// which is no failure.
static inline const char *tenon_attr(tenon_run *run, const char *key) {
	int32_t n = tenon_v1_attr(tenon_at(key), tenon_length(key), tenon_at(key), 0);
	if (n == TENON_STATUS_NOT_FOUND || tenon_check(run, "attr", key, n) < 0) {
		return NULL;
	}
	char *text = (char *)tenon_alloc(run, (int64_t)n + 1, 1);
	if (text == NULL || tenon_check(run, "attr", key, tenon_v1_attr(tenon_at(key), tenon_length(key), tenon_at(text), n)) < 0) {
		return NULL;
	}
	return text;
}

// tenon_peers gives the adapters to compare with and their number; 0 when there is nothing to compare, or for a kept failure. It needs the
// capability peers.
static inline int32_t tenon_peers(tenon_run *run, const tenon_peer **peers) {
	int32_t n = tenon_check(run, "peer_count", "", tenon_v1_peer_count());
	tenon_peer *list = n <= 0 ? NULL : (tenon_peer *)tenon_alloc(run, n, sizeof *list);
	for (int32_t i = 0; list != NULL && i < n; i++) {
		list[i].index = i;
		list[i].name = tenon_text_of(run, "peer_name", tenon_v1_peer_name, i);
		list = list[i].name == NULL ? NULL : list;
	}
	*peers = list;
	return list == NULL ? 0 : n;
}

// tenon_peer_target gives the peer's factors for the weight that target is, or false where the peer does not adapt it. What is reported on
// the result is about both adapters.
static inline bool tenon_peer_target(tenon_run *run, const tenon_peer *peer, const tenon_target *target, tenon_target *out) {
	*out = (tenon_target){.name = target->name, .index = target->index, .peer = peer->index};
	int32_t status = tenon_v1_peer_target(peer->index, target->index, tenon_at(&out->info));
	return status != TENON_STATUS_NOT_FOUND && tenon_check(run, "peer_target", target->name, status) >= 0;
}

// tenon_bank_names gives the digests of the adapters in the operator's bank for this base, in the order of the rows of tenon_bank_features,
// and their number, which can be 0; below 0 where no bank was given, which is no failure.
static inline int32_t tenon_bank_names(tenon_run *run, const char *const **names) {
	*names = NULL;
	int32_t n = tenon_v1_bank_count();
	if (n == TENON_STATUS_NOT_FOUND || tenon_check(run, "bank_count", "", n) < 0) {
		return n;
	}
	const char **list = (const char **)tenon_alloc(run, n, sizeof *list);
	for (int32_t i = 0; list != NULL && i < n; i++) {
		list[i] = tenon_text_of(run, "bank_name", tenon_v1_bank_name, i);
		list = list[i] == NULL ? NULL : list;
	}
	*names = list;
	return list == NULL ? run->last.status : n;
}

// tenon_bank_features gives what this module reported as its grid "features" of each adapter in the bank, for this weight, or with a NULL
// target for the adapter as a whole: row i is the adapter i of tenon_bank_names, NaN where that one has none. It is below 0 where nobody
// has any, which is no failure.
static inline tenon_tensor tenon_bank_features(tenon_run *run, const tenon_target *target) {
	tenon_tensor features = tenon_v1_bank_features(target == NULL ? TENON_NO_TARGET : target->index);
	return features == TENON_STATUS_NOT_FOUND ? features : tenon_check(run, "bank_features", "", features);
}

#endif
