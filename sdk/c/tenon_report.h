// What a diagnostic gives: numbers, matrices, findings and lines of a log. A name of a metric or grid is lower case letters, digits and
// underscores, a letter first, and each is given once for a target; the host ends a run that does otherwise. Nothing here needs a check: a
// result that could not be handed over, for instance because the limit on metrics is used up, is kept and ends the run as an error.

#ifndef TENON_REPORT_H
#define TENON_REPORT_H

#include "tenon_run.h"

// tenon_give_metric is a metric of a target and a peer, either of which may be TENON_NO_TARGET and TENON_NO_PEER.
static inline int32_t tenon_give_metric(tenon_run *run, int32_t target, int32_t peer, const char *name, double value) {
	return tenon_check(run, "metric", name, tenon_v1_metric(target, peer, tenon_at(name), tenon_length(name), value));
}

// tenon_give_grid is a grid of rows x cols values, row-major, of a target and a peer, as tenon_give_metric.
static inline int32_t tenon_give_grid(tenon_run *run, int32_t target, int32_t peer, const char *name, int32_t rows, int32_t cols,
	const double *values) {
	return tenon_check(run, "grid", name, tenon_v1_grid(target, peer, tenon_at(name), tenon_length(name), rows, cols, tenon_at(values)));
}

// tenon_give_finding is a finding of a target or of TENON_NO_TARGET.
static inline int32_t tenon_give_finding(tenon_run *run, int32_t target, int32_t severity, const char *code, const char *message,
	const char *hint, double value, double limit) {
	int32_t status = tenon_v1_finding(target, severity, tenon_at(code), tenon_length(code), tenon_at(message), tenon_length(message),
		tenon_at(hint), tenon_length(hint), value, limit);
	return tenon_check(run, "finding", code, status);
}

// tenon_metric reports a number about the adapter as a whole.
static inline int32_t tenon_metric(tenon_run *run, const char *name, double value) {
	return tenon_give_metric(run, TENON_NO_TARGET, TENON_NO_PEER, name, value);
}

// tenon_grid reports a matrix about the adapter as a whole.
static inline int32_t tenon_grid(tenon_run *run, const char *name, int32_t rows, int32_t cols, const double *values) {
	return tenon_give_grid(run, TENON_NO_TARGET, TENON_NO_PEER, name, rows, cols, values);
}

// tenon_finding reports what was noticed about the adapter as a whole: a severity, TENON_SEVERITY_WARN for instance; a code in capitals
// that never changes its meaning, "HEAD_OVER_LIMIT"; one sentence for a person, what to do about it, and the number seen beside the number
// that was the limit. It proposes; the operator's policy decides.
static inline int32_t tenon_finding(tenon_run *run, int32_t severity, const char *code, const char *message, const char *hint, double value,
	double limit) {
	return tenon_give_finding(run, TENON_NO_TARGET, severity, code, message, hint, value, limit);
}

// tenon_target_metric reports a number about this weight; on what tenon_peer_target gave, about the two adapters on this weight.
static inline int32_t tenon_target_metric(tenon_run *run, const tenon_target *t, const char *name, double value) {
	return tenon_give_metric(run, t->index, t->peer, name, value);
}

// tenon_target_grid reports a matrix about this weight, as tenon_target_metric.
static inline int32_t tenon_target_grid(tenon_run *run, const tenon_target *t, const char *name, int32_t rows, int32_t cols,
	const double *values) {
	return tenon_give_grid(run, t->index, t->peer, name, rows, cols, values);
}

// tenon_target_finding reports what was noticed about this weight. The report names the weight, so the message need not; see tenon_finding.
static inline int32_t tenon_target_finding(tenon_run *run, const tenon_target *t, int32_t severity, const char *code, const char *message,
	const char *hint, double value, double limit) {
	return tenon_give_finding(run, t->index, severity, code, message, hint, value, limit);
}

// tenon_peer_metric reports a number about the two adapters as a whole.
static inline int32_t tenon_peer_metric(tenon_run *run, const tenon_peer *peer, const char *name, double value) {
	return tenon_give_metric(run, TENON_NO_TARGET, peer->index, name, value);
}

// tenon_peer_grid reports a matrix about the two adapters as a whole.
static inline int32_t tenon_peer_grid(tenon_run *run, const tenon_peer *peer, const char *name, int32_t rows, int32_t cols,
	const double *values) {
	return tenon_give_grid(run, TENON_NO_TARGET, peer->index, name, rows, cols, values);
}

// tenon_log writes a line to the run's log. What exceeds the log's limit is lost.
static inline void tenon_log(const char *line) { tenon_v1_log(tenon_at(line), tenon_length(line)); }

#endif
