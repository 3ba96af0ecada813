// The conformance guest of the C SDK: sdk/conformance/go call by call, with the same names in the same order. It must give the same report,
// bit for bit; package wasm/conformance compares them.

#include "conformance.h"

tenon_run *run;

// joined is name followed by suffix.
static tenon_text joined(const char *name, const char *suffix) {
	tenon_text text = {0};
	tenon_add(&text, name);
	tenon_add(&text, suffix);
	return text;
}

void metric(const tenon_target *to, const char *name, const char *suffix, double value) {
	tenon_text whole = joined(name, suffix);
	if (to == NULL) {
		tenon_metric(run, whole.bytes, value);
	} else {
		tenon_target_metric(run, to, whole.bytes, value);
	}
}

void grid(const tenon_target *to, const char *name, int32_t rows, int32_t cols, const double *values) {
	if (to == NULL) {
		tenon_grid(run, name, rows, cols, values);
	} else {
		tenon_target_grid(run, to, name, rows, cols, values);
	}
}

static void logged(const char *name, const char *suffix) {
	tenon_text line = joined(name, suffix);
	tenon_log(line.bytes);
}

// outcome reports a call's status as a metric NAME_status, 0 where it succeeded, and logs the host's words where it failed.
bool outcome(const tenon_target *to, const char *name, int32_t result) {
	if (result < 0) {
		tenon_forgive(run, result);
		tenon_text line = joined(name, ": ");
		tenon_add(&line, run->last.text + run->last.words);
		if (result != TENON_STATUS_BAD_HANDLE) { // whose text has the handle, and how many there were before is the SDK's business
			tenon_log(line.bytes);
		}
	}
	metric(to, name, "_status", result < 0 ? result : 0);
	return result >= 0;
}

// sum is a number that every value and its place go into.
static double sum(const double *values, int32_t n) {
	double total = 0;
	for (int32_t i = 0; i < n; i++) {
		total += values[i] * (double)(1 + i % 7);
	}
	return total;
}

// numbers reports up to 36 values as a grid NAME, and more as the metric NAME_sum.
void numbers(const tenon_target *to, const char *name, const char *suffix, int32_t rows, int32_t cols, const double *values) {
	tenon_text whole = joined(name, suffix);
	if (rows * cols <= 36) {
		grid(to, whole.bytes, rows, cols, values);
	} else {
		metric(to, whole.bytes, "_sum", sum(values, rows * cols));
	}
}

// matrix reports the status of the call that made t, its shape and its values.
void matrix(const tenon_target *to, const char *name, const char *suffix, tenon_tensor t) {
	tenon_text whole = joined(name, suffix);
	if (!outcome(to, whole.bytes, t)) {
		return;
	}
	int64_t shape[2];
	int32_t status = tenon_shape(run, t, shape);
	tenon_text part = joined(whole.bytes, "_shape");
	if (!outcome(to, part.bytes, status)) {
		return;
	}
	metric(to, whole.bytes, "_rows", (double)shape[0]);
	metric(to, whole.bytes, "_cols", (double)shape[1]);
	uint64_t mark = tenon_mark();
	double *values = tenon_alloc(run, shape[0] * shape[1], sizeof *values);
	part = joined(whole.bytes, "_read_f64");
	if (values != NULL && outcome(to, part.bytes, tenon_read_f64(run, t, 0, values, (int32_t)(shape[0] * shape[1])))) {
		numbers(to, whole.bytes, "", (int32_t)shape[0], (int32_t)shape[1], values);
	}
	tenon_release(mark);
}

// ramp is a matrix of rows x cols on the host, 0.25 (i + 1) - 0.5 j.
tenon_tensor ramp(int32_t rows, int32_t cols) {
	uint64_t mark = tenon_mark();
	double *values = tenon_alloc(run, rows * cols, sizeof *values);
	for (int32_t i = 0; values != NULL && i < rows; i++) {
		for (int32_t j = 0; j < cols; j++) {
			values[i * cols + j] = 0.25 * (double)(i + 1) - 0.5 * (double)j;
		}
	}
	tenon_tensor t = tenon_put(run, rows, cols, values);
	tenon_release(mark);
	return t;
}

static void adapter(void) {
	static const char *const keys[] = {"module.id", "adapter.digest", "adapter.format", "base.digest", "base.architecture",
		"init_lora_weights", "probe.perplexity", "no such key"};
	tenon_log("tabs\tstay, é, ∑ and 🙂 too");
	metric(NULL, "target_count", "", run->target_count);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		const char *value = tenon_attr(run, keys[i]);
		tenon_text line = joined("attr ", keys[i]);
		tenon_add(&line, value != NULL ? ": " : " is not there");
		tenon_add(&line, value != NULL ? value : "");
		tenon_log(line.bytes);
	}
	metric(NULL, "param_set", "", tenon_param(run, "set"));
	metric(NULL, "param_default", "", tenon_param(run, "default"));
	const char *const *names;
	int32_t n = tenon_bank_names(run, &names);
	metric(NULL, "bank", "", n >= 0);
	metric(NULL, "bank_count", "", n >= 0 ? n : 0);
	for (int32_t i = 0; i < n; i++) {
		logged("bank_name: ", names[i]);
	}
	tenon_tensor features = tenon_bank_features(run, NULL);
	metric(NULL, "bank_features", "", features >= 0);
	if (features >= 0) {
		matrix(NULL, "bank_features", "", features);
	}
	const tenon_peer *peers;
	n = tenon_peers(run, &peers);
	metric(NULL, "peer_count", "", n);
	for (int32_t i = 0; i < n; i++) {
		logged("peer_name: ", peers[i].name);
		tenon_peer_metric(run, &peers[i], "peer_index", i);
		const double place[] = {i, n};
		tenon_peer_grid(run, &peers[i], "peer_place", 1, 2, place);
	}
}

static void model(const tenon_target *t) {
	logged("target_name: ", t->name);
	metric(t, "rank", "", t->info.rank);
	metric(t, "in", "", (double)t->info.in);
	metric(t, "out", "", (double)t->info.out);
	metric(t, "scale", "", t->info.scale);
	metric(t, "alpha", "", t->info.alpha);
	metric(t, "fan_in_fan_out", "", (t->info.flags & TENON_FLAG_FAN_IN_FAN_OUT) != 0);
	metric(t, "rs_lora", "", (t->info.flags & TENON_FLAG_RS_LORA) != 0);
	metric(t, "base_dtype", "", t->info.base_dtype);
	metric(t, "factor_dtype", "", t->info.factor_dtype);
	tenon_tensor features = tenon_bank_features(run, t);
	metric(t, "bank_features", "", features >= 0);
	if (features >= 0) {
		matrix(t, "bank_features", "", features);
	}
}

static void factors(const tenon_target *t) {
	matrix(t, "a", "", t->info.a);
	matrix(t, "b", "", t->info.b);
	int32_t n = t->info.rank * (int32_t)t->info.in - 1;
	float *singles = tenon_alloc(run, n, sizeof *singles);
	double *values = tenon_alloc(run, n, sizeof *values);
	if (values != NULL && outcome(t, "a_read_f32", tenon_read_f32(run, t->info.a, 1, singles, n))) {
		for (int32_t i = 0; i < n; i++) {
			values[i] = (double)singles[i];
		}
		metric(t, "a_read_f32", "_sum", sum(values, n));
	}
}

static void peers(const tenon_target *t) {
	const tenon_peer *list;
	int32_t n = tenon_peers(run, &list), missing = 0;
	for (int32_t i = 0; i < n; i++) {
		tenon_target other;
		if (!tenon_peer_target(run, &list[i], t, &other)) {
			missing++;
			continue;
		}
		metric(&other, "peer_rank", "", other.info.rank);
		metric(&other, "peer_base", "", tenon_base(&other) >= 0);
		matrix(&other, "peer_a", "", other.info.a);
		tenon_tensor product = tenon_matmul(run, t->info.a, other.info.a, TENON_TRANSPOSE_B);
		matrix(&other, "peer_a_a", "", product);
		tenon_drop(product);
	}
	metric(t, "peer_target_missing", "", missing);
}

static int32_t diagnose(tenon_run *given) {
	run = given;
	if (tenon_param(run, "keep") == 1) { // a second run shows that a failure nobody looks at ends the run
		metric(NULL, "before", "", 1);
		tenon_param(run, "nothing");
		metric(NULL, "after", "", 2);
		return 0;
	}
	adapter();
	for (int32_t i = 0; i < run->target_count; i++) {
		uint64_t mark = tenon_mark();
		const tenon_target *t = &run->targets[i];
		model(t);
		factors(t);
		kernels(t);
		weights(t);
		peers(t);
		tenon_release(mark);
	}
	failures(&run->targets[0]);
	findings();
	return 0;
}

TENON_DIAGNOSTIC(diagnose);
