// head-balance asks whether a few attention heads carry what an adapter changes: an adapter that was trained on much of something spreads
// over many heads, one that was trained to do a single thing can sit in one. See README.md for the numbers and shares.h for how they are
// computed.

#include "tenon.h"

#include "shares.h"

// settings are the operator's.
typedef struct settings {
	int32_t head_size; // rows of q, k and v, columns of o, that make a head
	double max_share;  // what one head may hold
	double min_heads;  // with fewer, a large share says nothing
} settings;

// source is a set of r-vectors of the adapter: the rows of B, or the columns of A.
typedef struct source {
	tenon_tensor tensor;
	bool columns;
	int64_t count;
	int32_t rank;
} source;

enum { ONE_MIB = (1 << 20) / 8 }; // of numbers

// workspace is what one target is read through. It is four vectors longer than what is read at once, for forms.
typedef struct workspace {
	double *raw, *vectors;
	int32_t at_once; // a multiple of 4
} workspace;

static bool ends_with(const char *text, const char *end) {
	size_t n = strlen(text), m = strlen(end);
	return n >= m && memcmp(text + n - m, end, m) == 0;
}

// read_vectors fills the workspace with n vectors from first on.
static int32_t read_vectors(tenon_run *run, const source *s, int64_t first, int32_t n, workspace *w) {
	if (!s->columns) {
		int32_t status = tenon_read_f64(run, s->tensor, first * s->rank, w->raw, n * s->rank);
		spread(w->vectors, w->raw, n, s->rank);
		return status;
	}
	for (int32_t i = 0; i < s->rank; i++) {
		int32_t status = tenon_read_f64(run, s->tensor, i * s->count + first, w->raw + (int64_t)i * n, n);
		if (status < 0) {
			return status;
		}
	}
	turn(w->vectors, w->raw, n, s->rank);
	return 0;
}

// measure fills parts with the squares of delta W / s over each head. weights gives the Gram matrix, heads the vectors that belong to them.
static int32_t measure(tenon_run *run, const source *weights, const source *heads, int32_t head_size, double *parts) {
	int32_t rank = weights->rank, stride = stride_of(rank);
	int64_t most = weights->count > heads->count ? weights->count : heads->count, at_once = most + 3 & ~3;
	if (at_once * stride > ONE_MIB) {
		at_once = ONE_MIB / stride & ~3;
	}
	workspace w = {.at_once = at_once < 4 ? 4 : (int32_t)at_once};
	w.raw = tenon_alloc(run, w.at_once, (int64_t)rank * 8);
	w.vectors = tenon_alloc(run, w.at_once + 4, (int64_t)stride * 8);
	double *g = tenon_alloc(run, stride, (int64_t)stride * 8), four[4] = {0};
	if (w.raw == NULL || w.vectors == NULL || g == NULL) {
		return run->last.status;
	}
	for (int64_t first = 0; first < weights->count; first += w.at_once) {
		int64_t left = weights->count - first;
		int32_t n = left < w.at_once ? (int32_t)left : w.at_once, status = read_vectors(run, weights, first, n, &w);
		if (status < 0) {
			return status;
		}
		gram(g, w.vectors, n, stride);
	}
	fold(g, stride);
	for (int64_t first = 0; first < heads->count; first += w.at_once) {
		int64_t left = heads->count - first;
		int32_t n = left < w.at_once ? (int32_t)left : w.at_once, status = read_vectors(run, heads, first, n, &w);
		if (status < 0) {
			return status;
		}
		for (int32_t k = 0; k < n; k++) {
			if (k % 4 == 0) { // beyond n lie vectors of before, whose forms nobody looks at
				forms(four, g, w.vectors + (int64_t)k * stride, stride);
			}
			parts[(first + k) / head_size] += four[k % 4];
		}
	}
	return 0;
}

static void report(tenon_run *run, const tenon_target *t, const settings *set, double *parts, int32_t n, double *largest) {
	balance b = balance_of(parts, n);
	if (!b.defined) {
		bool zero = b.total == 0;
		tenon_target_finding(run, t, zero ? TENON_SEVERITY_INFO : TENON_SEVERITY_WARN, "HEADS_UNDEFINED",
			zero ? "delta W is zero, so no head has a share of it" : "delta W or its squares are not finite, so no head has a share of it",
			"see the findings of hygiene for this weight", 0, 0);
		return;
	}
	tenon_target_metric(run, t, "heads", n);
	tenon_target_metric(run, t, "max_head_share", b.largest);
	tenon_target_metric(run, t, "effective_heads", b.effective);
	tenon_target_grid(run, t, "head_shares", 1, n, parts);
	*largest = b.largest > *largest ? b.largest : *largest;
	if (b.largest > set->max_share && n >= set->min_heads) {
		tenon_text message = {0};
		tenon_add(&message, "head ");
		tenon_add_int(&message, b.heaviest);
		tenon_add(&message, " of ");
		tenon_add_int(&message, n);
		tenon_add(&message, ", counted from 0, holds ");
		tenon_add_number(&message, 100 * b.largest, 1);
		tenon_add(&message, " % of the change");
		tenon_target_finding(run, t, TENON_SEVERITY_WARN, "HEAD_OVER_LIMIT", message.bytes,
			"ask what was trained, and compare outputs with this head's part of the adapter set to zero", b.largest, set->max_share);
	}
}

// whole says whether a setting is a whole number of at least 1 that fits 32 bits; where it is not, the run ends with why.
static bool whole(tenon_run *run, const char *name, double value) {
	if (value >= 1 && value <= INT32_MAX && (double)(int32_t)value == value) {
		return true;
	}
	tenon_keep(run, "param", name, TENON_STATUS_RANGE, "it must be a whole number of 1 or more");
	return false;
}

static int32_t diagnose(tenon_run *run) {
	double head_size = tenon_param(run, "head_size");
	settings set = {.max_share = tenon_param(run, "max_share"), .min_heads = tenon_param(run, "min_heads")};
	if (!whole(run, "head_size", head_size) || !whole(run, "min_heads", set.min_heads)) {
		return 0; // the failure is kept
	}
	if (!(set.max_share >= 0 && set.max_share <= 1)) {
		return tenon_keep(run, "param", "max_share", TENON_STATUS_RANGE, "it must be between 0 and 1");
	}
	set.head_size = (int32_t)head_size;
	int32_t measured = 0, unfit = 0;
	const tenon_target *first_unfit = NULL;
	double largest = 0;
	for (int32_t i = 0; i < run->target_count; i++) {
		const tenon_target *t = &run->targets[i];
		bool o = ends_with(t->name, ".o_proj.weight");
		if (!o && !ends_with(t->name, ".q_proj.weight") && !ends_with(t->name, ".k_proj.weight") && !ends_with(t->name, ".v_proj.weight")) {
			continue;
		}
		source a = {t->info.a, true, t->info.in, t->info.rank}, b = {t->info.b, false, t->info.out, t->info.rank};
		int64_t width = o ? t->info.in : t->info.out;
		if (width % set.head_size != 0) {
			first_unfit = unfit++ == 0 ? t : first_unfit;
			continue;
		}
		uint64_t mark = tenon_mark();
		int32_t n = (int32_t)(width / set.head_size);
		double *parts = tenon_alloc(run, n, sizeof *parts);
		if (parts == NULL || (t->info.scale != 0 && measure(run, o ? &b : &a, o ? &a : &b, set.head_size, parts) < 0)) {
			return run->last.status;
		}
		report(run, t, &set, parts, n, &largest);
		measured++;
		tenon_release(mark);
	}
	tenon_metric(run, "projections", measured);
	if (largest > 0) {
		tenon_metric(run, "max_head_share", largest);
	}
	if (unfit > 0) {
		tenon_text message = {0};
		tenon_add(&message, "heads of ");
		tenon_add_int(&message, set.head_size);
		tenon_add(&message, " do not divide the width of ");
		tenon_add_int(&message, unfit);
		tenon_add(&message, " of ");
		tenon_add_int(&message, unfit + measured);
		tenon_add(&message, " attention projections, which were left out; the first is ");
		tenon_add(&message, first_unfit->name);
		tenon_finding(run, TENON_SEVERITY_WARN, "HEAD_SIZE_UNFIT", message.bytes,
			"set the parameter head_size to the head_dim of the base, which is hidden_size / num_attention_heads unless its config.json says "
			"otherwise",
			unfit, 0);
	} else if (measured == 0) {
		tenon_finding(run, TENON_SEVERITY_INFO, "NO_ATTENTION",
			"no q_proj, k_proj, v_proj or o_proj is adapted, so there are no heads to compare", "nothing to do", 0, 0);
	}
	return 0;
}

TENON_DIAGNOSTIC(diagnose);
