#include "conformance.h"

// triples reports singular triples and drops them.
static void triples(const tenon_target *to, const char *name, int32_t result, const tenon_triples *s) {
	if (!outcome(to, name, result)) {
		return;
	}
	metric(to, name, "_k", s->k);
	if (s->k > 0) {
		numbers(to, name, "_s", 1, s->k, s->s);
		matrix(to, name, "_u", s->u);
		matrix(to, name, "_v", s->v);
	}
	tenon_drop_triples(s);
}

// counts reports a Stats.
static void counts(const tenon_target *to, const char *name, int32_t result, const tenon_stats *s) {
	if (!outcome(to, name, result)) {
		return;
	}
	double values[12] = {(double)s->count, (double)s->nan, (double)s->inf, (double)s->zero, (double)s->subnormal,
		(double)s->first_non_finite, (double)s->zero_rows, (double)s->zero_cols, s->min, s->max, s->sum, s->sum_squares};
	grid(to, name, 1, 12, values);
}

void kernels(const tenon_target *t) {
	tenon_tensor a = t->info.a, b = t->info.b;
	tenon_tensor ba = tenon_matmul(run, b, a, 0);
	matrix(t, "matmul", "", ba);
	tenon_tensor bb = tenon_matmul(run, b, b, TENON_TRANSPOSE_A);
	matrix(t, "matmul_ta", "", bb);
	tenon_tensor aa = tenon_matmul(run, a, a, TENON_TRANSPOSE_B);
	matrix(t, "matmul_tb", "", aa);
	tenon_tensor ab = tenon_matmul(run, a, b, TENON_TRANSPOSE_A | TENON_TRANSPOSE_B);
	matrix(t, "matmul_ta_tb", "", ab);
	tenon_tensor mixed = tenon_axpby(run, 0.5, aa, -0.25, bb);
	matrix(t, "axpby", "", mixed);
	tenon_stats stats;
	int32_t status = tenon_stats_of(run, a, &stats);
	counts(t, "a_stats", status, &stats);
	status = tenon_stats_of(run, ba, &stats);
	counts(t, "matmul_stats", status, &stats);
	tenon_tensor qr[2];
	status = tenon_qr(run, b, qr);
	matrix(t, "qr_q", "", status < 0 ? status : qr[0]);
	matrix(t, "qr_r", "", status < 0 ? status : qr[1]);
	tenon_triples s;
	status = tenon_svd(run, ba, &s);
	triples(t, "svd", status, &s);
	status = tenon_target_delta_svd(run, t, &s);
	triples(t, "delta_svd", status, &s);
	status = tenon_delta_svd(run, b, a, 0, &s);
	triples(t, "delta_svd_of_nothing", status, &s);
	double *values;
	int32_t k = tenon_target_delta_values(run, t, &values);
	if (outcome(t, "delta_values", k)) {
		numbers(t, "delta_values", "", 1, k, values);
	}
	k = tenon_delta_values(run, b, a, 0, &values);
	if (outcome(t, "delta_values_of_nothing", k)) {
		metric(t, "delta_values_of_nothing_k", "", k);
	}
	tenon_tensor made[] = {ba, bb, aa, ab, mixed, qr[0], qr[1]};
	for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
		tenon_drop(made[i]);
	}
}

static void rounded(const tenon_target *t, const char *name, int64_t first, int64_t rows, const int32_t *formats, int32_t n) {
	tenon_rounding all[6];
	if (!outcome(t, name, tenon_rounding_of(run, t, first, rows, formats, n, all))) {
		return;
	}
	double values[6 * 12];
	for (int32_t i = 0; i < n; i++) {
		const tenon_rounding *r = &all[i];
		double row[12] = {(double)r->count, (double)r->non_zero, (double)r->lost, (double)r->changed, (double)r->overflow,
			(double)r->non_finite, r->dot, r->delta_squares, r->rounded_squares, r->error_squares, r->base_squares, r->base_error};
		memcpy(values + 12 * i, row, sizeof row);
	}
	grid(t, name, n, 12, values);
}

static void lost(const tenon_target *t, const char *name, int32_t dtype) {
	tenon_round_loss l;
	if (!outcome(t, name, tenon_round_loss_of(run, t, dtype, &l))) {
		return;
	}
	double values[10] = {(double)l.count, (double)l.changed, (double)l.non_zero, (double)l.lost, (double)l.overflow,
		(double)l.first_overflow, l.dot, l.delta_squares, l.rounded_squares, l.error_squares};
	grid(t, name, 1, 10, values);
}

void weights(const tenon_target *t) {
	tenon_tensor w = tenon_base(t);
	metric(t, "base", "", w >= 0);
	tenon_tensor u = ramp((int32_t)t->info.out, 2);
	outcome(t, "tensor_put_u", u);
	tenon_tensor v = ramp((int32_t)t->info.in, 3);
	outcome(t, "tensor_put_v", v);
	if (w >= 0) {
		matrix(t, "base", "", w);
		tenon_stats stats;
		int32_t status = tenon_stats_of(run, w, &stats);
		counts(t, "base_stats", status, &stats);
		tenon_tensor projected = tenon_project(run, w, u, v);
		matrix(t, "project", "", projected);
		projected = tenon_project_stats(run, w, u, v, &stats);
		matrix(t, "project_stats", "", projected);
		counts(t, "project_stats_of_w", projected, &stats);
	}
	tenon_triples s;
	int32_t status = tenon_base_svd(run, t, 2, &s);
	triples(t, "base_svd", status, &s);
	status = tenon_base_svd(run, t, 1000, &s);
	triples(t, "base_svd_too_many", status, &s);
	lost(t, "round_loss", 0);
	lost(t, "round_loss_f16", TENON_DTYPE_F16);
	lost(t, "round_loss_f64", TENON_DTYPE_F64);
	static const int32_t every[] = {TENON_FORMAT_F16, TENON_FORMAT_BF16, TENON_FORMAT_F32, TENON_FORMAT_Q8_0, TENON_FORMAT_Q4_0,
		TENON_FORMAT_NF4};
	static const int32_t two[] = {TENON_FORMAT_BF16, TENON_FORMAT_F32}, unknown[] = {99};
	int64_t rows = (t->info.flags & TENON_FLAG_FAN_IN_FAN_OUT) != 0 ? t->info.in : t->info.out;
	rounded(t, "rounding", 0, rows, every, 6);
	rounded(t, "rounding_of_two_rows", 1, 2, two, 2);
	rounded(t, "rounding_of_too_many", rows, 1, two, 1);
	rounded(t, "rounding_to_unknown", 0, 1, unknown, 1);
	status = tenon_merged_svd(run, t, 2, &s);
	triples(t, "merged_svd", status, &s);
	status = tenon_merged_svd(run, t, 0, &s);
	triples(t, "merged_svd_of_none", status, &s);
	tenon_drop(u);
	tenon_drop(v);
}
