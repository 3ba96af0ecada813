package diag

import (
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/internal/host"
)

// The host's linear algebra. All of it computes in f64 in a fixed order, so equal inputs give equal bits; all of it needs the capability
// kernels. A result is the caller's to drop. Operands that are not finite give abi.Numeric from the factorizations.

// Transpose says which operands of MatMul are taken transposed; the flags combine with |.
type Transpose int32

// The operands of MatMul to transpose.
const (
	TransposeNone Transpose = 0
	TransposeA              = Transpose(abi.TransposeA)
	TransposeB              = Transpose(abi.TransposeB)
)

// MatMul gives op(a) op(b).
func MatMul(a, b Tensor, transpose Transpose) (Tensor, error) {
	return made("matmul", host.MatMul(a.handle(), b.handle(), int32(transpose)))
}

// Axpby gives alpha x + beta y.
func Axpby(alpha float64, x Tensor, beta float64, y Tensor) (Tensor, error) {
	return made("axpby", host.Axpby(alpha, x.handle(), beta, y.handle()))
}

// QR gives the thin Householder factorization: for m x n with k = min(m, n), Q is m x k with orthonormal columns, R is k x n and upper
// triangular.
func QR(t Tensor) (q, r Tensor, err error) {
	var handles [2]int32
	if status := host.QR(t.handle(), &handles); status < 0 {
		return Tensor{}, Tensor{}, failure("qr", status)
	}
	return tensor(handles[0]), tensor(handles[1]), nil
}

// Triples are singular triples of an m x n matrix, largest first: U is m x k, V is n x k, and the matrix is the sum of S[i] u_i v_i'. Signs
// are fixed by making the largest entry of each column of U positive. With k = 0 there are no tensors.
type Triples struct {
	U Tensor
	S []float64
	V Tensor
}

// Drop frees U and V.
func (t Triples) Drop() {
	if len(t.S) > 0 {
		t.U.Drop()
		t.V.Drop()
	}
}

// SVD gives all min(m, n) singular triples of t.
func SVD(t Tensor) (Triples, error) {
	var handles [3]int32
	if status := host.SVD(t.handle(), &handles); status < 0 {
		return Triples{}, failure("svd", status)
	}
	return newTriples(handles)
}

// DeltaSVD gives the singular triples of scale * b a without forming the product, as many as its numerical rank: those above
// max(m, n) * eps * |scale| * norm(b) * norm(a). A product that is zero has none.
func DeltaSVD(b, a Tensor, scale float64) (Triples, error) {
	var handles [3]int32
	rank := host.DeltaSVD(b.handle(), a.handle(), scale, &handles)
	if rank < 0 {
		return Triples{}, failure("delta_svd", rank)
	}
	if rank == 0 {
		return Triples{}, nil
	}
	return newTriples(handles)
}

// DeltaValues gives the singular values that DeltaSVD would, largest first, without any vectors: a tenth of the work for the factors of a
// large weight. A product that is zero has none.
func DeltaValues(b, a Tensor, scale float64) ([]float64, error) {
	var values int32
	rank := host.DeltaValues(b.handle(), a.handle(), scale, &values)
	if rank < 0 {
		return nil, failure("delta_values", rank)
	}
	if rank == 0 {
		return nil, nil
	}
	s := tensor(values)
	defer s.Drop()
	return s.Values()
}

// Project gives u' w v, going over w once.
func Project(w, u, v Tensor) (Tensor, error) {
	return made("project", host.Project(w.handle(), u.handle(), v.handle()))
}

// ProjectStats gives u' w v and the Stats of w, going over w once for both.
func ProjectStats(w, u, v Tensor) (Tensor, abi.Stats, error) {
	var raw [abi.StatsSize]byte
	result, err := made("project_stats", host.ProjectStats(w.handle(), u.handle(), v.handle(), &raw))
	if err != nil {
		return Tensor{}, abi.Stats{}, err
	}
	var stats abi.Stats
	stats.Decode(raw[:])
	return result, stats, nil
}

// newTriples takes the singular values over into the guest and drops their tensor; all three of them when it fails.
func newTriples(handles [3]int32) (Triples, error) {
	u, s, v := tensor(handles[0]), tensor(handles[1]), tensor(handles[2])
	defer s.Drop()
	values, err := s.Values()
	if err != nil {
		u.Drop()
		v.Drop()
		return Triples{}, err
	}
	return Triples{U: u, S: values, V: v}, nil
}
