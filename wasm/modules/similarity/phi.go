package similarity

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/phi"
)

// bases are two orthonormal bases of k1 and k2 columns in d dimensions. With no columns there is no tensor.
type bases struct {
	u, v      diag.Tensor
	k1, k2, d int
}

// comparison is what two bases have in common.
type comparison struct {
	cosines []float64 // of each column with each, k1 x k2 row-major; nil where a basis is empty
	k1, k2  int
	full    float64 // phi at full ranks
}

// compare reports phi of two bases under name: a grid of the leading gridRank directions, and metrics at (1, 1) and at full ranks.
func compare(pair diag.Target, name string, b bases, gridRank int) (comparison, error) {
	if b.k1 == 0 || b.k2 == 0 {
		return comparison{}, nil
	}
	product, err := diag.MatMul(b.u, b.v, diag.TransposeA)
	if err != nil {
		return comparison{}, err
	}
	defer product.Drop()
	cosines, err := product.Values()
	if err != nil {
		return comparison{}, err
	}
	grid := phi.Grid(cosines, b.k1, b.k2)
	full := grid[b.k1*b.k2-1]
	reportPhi(pair, name+"_11", grid[0], 1, 1, b.d)
	reportPhi(pair, name+"_full", full, b.k1, b.k2, b.d)
	if gridRank >= 1 {
		rows, cols := min(b.k1, gridRank), min(b.k2, gridRank)
		corner := make([]float64, 0, rows*cols)
		for i := range rows {
			corner = append(corner, grid[i*b.k2:i*b.k2+cols]...)
		}
		pair.Grid(name, rows, cols, corner)
	}
	return comparison{cosines, b.k1, b.k2, full}, nil
}

// reportPhi reports phi beside its mean over independent random subspaces, and how many standard deviations it is away from it. There is
// no such number where one subspace is the whole space and phi is always 1.
func reportPhi(pair diag.Target, name string, value float64, i, j, d int) {
	mean, sd := phi.Null(i, j, d)
	pair.Metric(name, value)
	pair.Metric(name+"_null", mean)
	if sd > 0 {
		pair.Metric(name+"_z", (value-mean)/sd)
	}
}

// reportAngles reports the cosines of the principal angles between the spans at full ranks, which are the singular values of U' V, largest
// first, and the projection distance of Grassmann geometry, d = sqrt(p - sum cos^2) in [0, sqrt p]. phi at full ranks is 1 - d^2/p; the
// (1 - d^2)/p that Appendix G of the paper prints is a misprint (diagnostics A.2).
func (c comparison) reportAngles(pair diag.Target, side string) error {
	product, err := diag.Put(c.k1, c.k2, c.cosines)
	if err != nil {
		return err
	}
	defer product.Drop()
	triples, err := diag.SVD(product)
	if err != nil {
		return err
	}
	triples.Drop()
	var square float64
	for i, cosine := range triples.S {
		cosine = min(cosine, 1)
		triples.S[i] = cosine
		square += float64((1 - cosine) * (1 + cosine))
	}
	pair.Grid("angles"+side, 1, len(triples.S), triples.S)
	pair.Metric("projection_distance"+side, math.Sqrt(square))
	return nil
}

// cosineOf is <D1, D2> / (|D1| |D2|) of the deltas by their singular triples: the inner product is the sum over i and j of
// s1_i s2_j (u1_i . u2_j)(v1_i . v2_j), and left and right hold those cosines. Relative to the largest singular values, so that no product
// leaves the range of a float.
func cosineOf(s1, s2, left, right []float64) float64 {
	var inner, squares1, squares2 float64
	for i, x := range s1 {
		x /= s1[0]
		for j, y := range s2 {
			inner += float64(x * (y / s2[0]) * left[i*len(s2)+j] * right[i*len(s2)+j])
		}
		squares1 += float64(x * x)
	}
	for _, y := range s2 {
		y /= s2[0]
		squares2 += float64(y * y)
	}
	return min(max(inner/math.Sqrt(squares1*squares2), -1), 1)
}
