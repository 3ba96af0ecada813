#include "conformance.h"

// failures makes calls that must fail, each with a status of its own.
void failures(const tenon_target *t) {
	tenon_tensor a = t->info.a, b = t->info.b;
	float single;
	double two[2];
	int64_t shape[2];
	tenon_tensor gone = ramp(2, 2);
	outcome(t, "tensor_put", gone);
	tenon_drop(gone);
	outcome(t, "tensor_shape_bad_handle", tenon_shape(run, gone, shape));
	outcome(t, "tensor_read_f32_bad_handle", tenon_read_f32(run, gone, 0, &single, 1));
	outcome(t, "tensor_read_f64_bad_handle", tenon_read_f64(run, gone, 0, two, 1));
	outcome(t, "tensor_read_f64_range", tenon_read_f64(run, a, t->info.rank * t->info.in - 1, two, 2));
	outcome(t, "tensor_read_f64_negative", tenon_read_f64(run, a, -1, two, 1));
	outcome(t, "tensor_put_misfit", tenon_put(run, 0, 0, NULL));
	outcome(t, "matmul_bad_handle", tenon_matmul(run, gone, a, 0));
	outcome(t, "matmul_misfit", tenon_matmul(run, a, b, TENON_TRANSPOSE_B));
	outcome(t, "matmul_flags", tenon_matmul(run, b, a, 4));
	tenon_tensor column = ramp(400, 1);
	outcome(t, "tensor_put_column", column);
	outcome(t, "matmul_quota", tenon_matmul(run, column, column, TENON_TRANSPOSE_B));
	outcome(t, "axpby_misfit", tenon_axpby(run, 1, a, 1, b));
	tenon_stats stats;
	outcome(t, "stats_bad_handle", tenon_stats_of(run, gone, &stats));
	tenon_tensor w = tenon_base(t), qr[2];
	outcome(t, "qr_of_base", tenon_qr(run, w, qr));
	static const double values[2] = {1, __builtin_nan("")};
	tenon_tensor broken = tenon_put(run, 1, 2, values);
	outcome(t, "tensor_put_broken", broken);
	tenon_triples s;
	outcome(t, "svd_numeric", tenon_svd(run, broken, &s));
	outcome(t, "delta_svd_misfit", tenon_delta_svd(run, a, b, 1, &s));
	double *singular;
	outcome(t, "delta_values_bad_handle", tenon_delta_values(run, gone, a, 1, &singular));
	outcome(t, "project_misfit", tenon_project(run, w, a, b));
	outcome(t, "project_stats_bad_handle", tenon_project_stats(run, gone, a, b, &stats));
}

void findings(void) {
	tenon_finding(run, TENON_SEVERITY_INFO, "CONFORMANCE_INFO", "é, ∑ and 🙂 survive", "tabs\tand\nlines become one line", 1.5,
		__builtin_inf());
	for (int32_t i = 0; i < run->target_count; i++) {
		const tenon_target *t = &run->targets[i];
		tenon_text message = {0};
		tenon_add(&message, "the message of ");
		tenon_add(&message, t->name);
		tenon_target_finding(run, t, TENON_SEVERITY_WARN, "CONFORMANCE_WARN", message.bytes, "", i, __builtin_nan(""));
		tenon_target_finding(run, t, TENON_SEVERITY_DENY, "CONFORMANCE_DENY_2", "", "a hint", 0, -__builtin_inf());
	}
}
