// Matrices that the host holds, and its linear algebra on them. Every function that can fail gives a status below 0, which the run keeps;
// an operand below 0 is refused by the host like any other handle that is not live, so a chain of calls needs one check at its end.

#ifndef TENON_TENSOR_H
#define TENON_TENSOR_H

#include "tenon_run.h"

// tenon_shape gives rows and columns.
static inline int32_t tenon_shape(tenon_run *run, tenon_tensor t, int64_t shape[2]) {
	shape[0] = shape[1] = 0;
	return tenon_check(run, "tensor_shape", "", tenon_v1_tensor_shape(t, tenon_at(shape)));
}

// tenon_read_f32 fills dst with the n elements from first on, row-major, rounded to f32, and gives n.
static inline int32_t tenon_read_f32(tenon_run *run, tenon_tensor t, int64_t first, float *dst, int32_t n) {
	return tenon_check(run, "tensor_read_f32", "", tenon_v1_tensor_read_f32(t, first, tenon_at(dst), n));
}

// tenon_read_f64 fills dst with the n elements from first on, row-major, and gives n.
static inline int32_t tenon_read_f64(tenon_run *run, tenon_tensor t, int64_t first, double *dst, int32_t n) {
	return tenon_check(run, "tensor_read_f64", "", tenon_v1_tensor_read_f64(t, first, tenon_at(dst), n));
}

// tenon_values gives all elements, row-major, in memory of the heap, and their number through n, which may be NULL; NULL is a kept failure.
// It is for small results: factors and weights are better read in pieces into one buffer.
static inline double *tenon_values(tenon_run *run, tenon_tensor t, int64_t *n) {
	int64_t shape[2], most = INT32_MAX / (int64_t)sizeof(double);
	if (tenon_shape(run, t, shape) < 0) {
		return NULL;
	}
	int64_t count = shape[1] > 0 && shape[0] > most / shape[1] ? most : shape[0] * shape[1]; // most fits into no memory
	double *values = (double *)tenon_alloc(run, count, sizeof *values);
	if (values == NULL || tenon_read_f64(run, t, 0, values, (int32_t)count) < 0) {
		return NULL;
	}
	if (n != NULL) {
		*n = count;
	}
	return values;
}

// tenon_put hands a copy of a matrix, row-major, to the host.
static inline tenon_tensor tenon_put(tenon_run *run, int32_t rows, int32_t cols, const double *values) {
	return tenon_check(run, "tensor_put_f64", "", tenon_v1_tensor_put_f64(tenon_at(values), rows, cols));
}

// tenon_drop frees the tensor's bytes on the host, which count against the run's limit until then. Dropping it again does nothing; any
// other use of it afterwards is a failure.
static inline void tenon_drop(tenon_tensor t) {
	if (t >= 0) {
		tenon_v1_tensor_drop(t);
	}
}

// The kernels compute in f64 in a fixed order, so equal inputs give equal bits; all need the capability kernels. A tensor they give is the
// caller's to drop. Operands that are not finite give TENON_STATUS_NUMERIC from the factorizations.

// tenon_matmul gives op(a) op(b); flags are 0, TENON_TRANSPOSE_A and TENON_TRANSPOSE_B, combined with |.
static inline tenon_tensor tenon_matmul(tenon_run *run, tenon_tensor a, tenon_tensor b, int32_t flags) {
	return tenon_check(run, "matmul", "", tenon_v1_matmul(a, b, flags));
}

// tenon_axpby gives alpha x + beta y.
static inline tenon_tensor tenon_axpby(tenon_run *run, double alpha, tenon_tensor x, double beta, tenon_tensor y) {
	return tenon_check(run, "axpby", "", tenon_v1_axpby(alpha, x, beta, y));
}

// tenon_stats_of goes over the tensor once.
static inline int32_t tenon_stats_of(tenon_run *run, tenon_tensor t, tenon_stats *out) {
	return tenon_check(run, "stats", "", tenon_v1_stats(t, tenon_at(out)));
}

// tenon_qr gives the thin Householder factorization: for m x n with k = min(m, n), qr[0] is Q, m x k with orthonormal columns, and qr[1] is
// R, k x n and upper triangular.
static inline int32_t tenon_qr(tenon_run *run, tenon_tensor t, tenon_tensor qr[2]) {
	qr[0] = qr[1] = -1;
	return tenon_check(run, "qr", "", tenon_v1_qr(t, tenon_at(qr)));
}

// tenon_triples are singular triples of an m x n matrix, largest first: u is m x k, v is n x k, and the matrix is the sum of s[i] u_i v_i'.
// Signs are fixed by making the largest entry of each column of u positive. With k = 0 there are no tensors and no values. s is memory of
// the heap; u and v are the caller's to drop.
typedef struct tenon_triples {
	tenon_tensor u, v;
	int32_t k;
	double *s;
} tenon_triples;

// tenon_drop_triples frees u and v on the host.
static inline void tenon_drop_triples(const tenon_triples *t) {
	tenon_drop(t->u);
	tenon_drop(t->v);
}

// tenon_take gives the values of a 1 x k tensor in memory of the heap and drops it; NULL is a kept failure.
static inline double *tenon_take(tenon_run *run, tenon_tensor s, int32_t *k) {
	int64_t n = 0;
	double *values = tenon_values(run, s, &n);
	tenon_drop(s);
	*k = (int32_t)n;
	return values;
}

// tenon_take_triples makes the handles that a call wrote triples, and gives their number or the kept status of the call.
static inline int32_t tenon_take_triples(tenon_run *run, int32_t result, const tenon_tensor handles[3], tenon_triples *out) {
	*out = (tenon_triples){.u = -1, .v = -1};
	if (result < 0 || handles[0] < 0) {
		return result;
	}
	double *s = tenon_take(run, handles[1], &out->k);
	if (s == NULL) {
		tenon_drop(handles[0]);
		tenon_drop(handles[2]);
		out->k = 0;
		return run->last.status;
	}
	out->u = handles[0];
	out->v = handles[2];
	out->s = s;
	return out->k;
}

// tenon_svd gives all min(m, n) singular triples of t, and their number.
static inline int32_t tenon_svd(tenon_run *run, tenon_tensor t, tenon_triples *out) {
	tenon_tensor handles[3] = {-1, -1, -1};
	int32_t status = tenon_check(run, "svd", "", tenon_v1_svd(t, tenon_at(handles)));
	return tenon_take_triples(run, status, handles, out);
}

// tenon_delta_svd gives the singular triples of scale * b a without forming the product, as many as its numerical rank: those above
// max(m, n) * eps * |scale| * norm(b) * norm(a). A product that is zero has none.
static inline int32_t tenon_delta_svd(tenon_run *run, tenon_tensor b, tenon_tensor a, double scale, tenon_triples *out) {
	tenon_tensor handles[3] = {-1, -1, -1};
	int32_t rank = tenon_check(run, "delta_svd", "", tenon_v1_delta_svd(b, a, scale, tenon_at(handles)));
	return tenon_take_triples(run, rank, handles, out);
}

// tenon_delta_values gives the singular values that tenon_delta_svd would, largest first and in memory of the heap, and their number,
// without any vectors: a tenth of the work for the factors of a large weight.
static inline int32_t tenon_delta_values(tenon_run *run, tenon_tensor b, tenon_tensor a, double scale, double **values) {
	tenon_tensor s = -1;
	*values = NULL;
	int32_t rank = tenon_check(run, "delta_values", "", tenon_v1_delta_values(b, a, scale, tenon_at(&s)));
	if (rank <= 0) {
		return rank;
	}
	*values = tenon_take(run, s, &rank);
	return *values == NULL ? run->last.status : rank;
}

// tenon_target_delta_svd is tenon_delta_svd of a target's delta W.
static inline int32_t tenon_target_delta_svd(tenon_run *run, const tenon_target *t, tenon_triples *out) {
	return tenon_delta_svd(run, t->info.b, t->info.a, t->info.scale, out);
}

// tenon_target_delta_values is tenon_delta_values of a target's delta W.
static inline int32_t tenon_target_delta_values(tenon_run *run, const tenon_target *t, double **values) {
	return tenon_delta_values(run, t->info.b, t->info.a, t->info.scale, values);
}

// tenon_project gives u' w v, going over w once. w can be a weight of the base.
static inline tenon_tensor tenon_project(tenon_run *run, tenon_tensor w, tenon_tensor u, tenon_tensor v) {
	return tenon_check(run, "project", "", tenon_v1_project(w, u, v));
}

// tenon_project_stats gives u' w v and the stats of w, going over w once for both.
static inline tenon_tensor tenon_project_stats(tenon_run *run, tenon_tensor w, tenon_tensor u, tenon_tensor v, tenon_stats *out) {
	return tenon_check(run, "project_stats", "", tenon_v1_project_stats(w, u, v, tenon_at(out)));
}

// What follows needs the capability base.

// tenon_base_svd gives the top k singular triples of W, and their number. They are computed once for a base and cached; the module's
// manifest must ask for them with base_svd_rank.
static inline int32_t tenon_base_svd(tenon_run *run, const tenon_target *t, int32_t k, tenon_triples *out) {
	tenon_tensor handles[3] = {-1, -1, -1};
	int32_t status = tenon_check(run, "base_svd", t->name, tenon_v1_base_svd(t->index, k, tenon_at(handles)));
	return tenon_take_triples(run, status, handles, out);
}

// tenon_merged_svd gives the top k singular triples of W + delta W, which is not rounded, and their number. It goes over W many times.
static inline int32_t tenon_merged_svd(tenon_run *run, const tenon_target *t, int32_t k, tenon_triples *out) {
	tenon_tensor handles[3] = {-1, -1, -1};
	int32_t status = tenon_check(run, "merged_svd", t->name, tenon_v1_merged_svd(t->index, k, tenon_at(handles)));
	return tenon_take_triples(run, status, handles, out);
}

// tenon_round_loss_of tells what storing W + delta W in a dtype does to delta W; 0 is the checkpoint's own dtype.
static inline int32_t tenon_round_loss_of(tenon_run *run, const tenon_target *t, int32_t dtype, tenon_round_loss *out) {
	return tenon_check(run, "round_loss", t->name, tenon_v1_round_loss(t->index, dtype, tenon_at(out)));
}

// tenon_rounding_of tells what storing W + delta W in each of n formats does to delta W, over rows rows of W from first on as they lie in
// the checkpoint: there are out of them, or in where TENON_FLAG_FAN_IN_FAN_OUT. out has room for n results. A format of blocks gives
// TENON_STATUS_SHAPE where a row is no multiple of its block.
static inline int32_t tenon_rounding_of(tenon_run *run, const tenon_target *t, int64_t first, int64_t rows, const int32_t *formats,
	int32_t n, tenon_rounding *out) {
	return tenon_check(run, "rounding", t->name, tenon_v1_rounding(t->index, first, rows, tenon_at(formats), n, tenon_at(out)));
}

#endif
