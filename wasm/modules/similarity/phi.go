package main

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/diag"
)

// compareMode reports φ of two orthonormal bases of k1 and k2 columns in d dimensions, and gives their product, k1 x k2 row-major, for the
// cosine; nil where one of them is empty. The grid ends at gridRank rows and columns; the metrics go to full ranks.
func compareMode(pair diag.Target, mode string, u, v diag.Tensor, k1, k2, d, gridRank int) ([]float64, error) {
	if k1 == 0 || k2 == 0 {
		return nil, nil
	}
	product, err := diag.MatMul(u, v, diag.TransposeA)
	if err != nil {
		return nil, err
	}
	defer product.Drop()
	cosines, err := product.Values()
	if err != nil {
		return nil, err
	}
	phi := phiGrid(cosines, k1, k2)
	reportPhi(pair, mode+"_11", phi[0], 1, 1, d)
	reportPhi(pair, mode+"_full", phi[k1*k2-1], k1, k2, d)
	if gridRank < 1 {
		return cosines, nil
	}
	rows, cols := min(k1, gridRank), min(k2, gridRank)
	corner := make([]float64, 0, rows*cols)
	for i := range rows {
		corner = append(corner, phi[i*k2:i*k2+cols]...)
	}
	pair.Grid(mode, rows, cols, corner)
	return cosines, nil
}

// reportPhi reports φ beside its mean over independent random subspaces, and how many standard deviations it is away from it. There is no
// such number where one subspace is the whole space and φ is always 1.
func reportPhi(pair diag.Target, name string, phi float64, i, j, d int) {
	mean, sd := phiNull(i, j, d)
	pair.Metric(name, phi)
	pair.Metric(name+"_null", mean)
	if sd > 0 {
		pair.Metric(name+"_z", (phi-mean)/sd)
	}
}

// phiGrid gives φ(i, j) = ||U_i' V_j||² / min(i, j) for all leading subspaces at once from the cosines U' V, k1 x k2: squares, sums over
// both directions, one division (equation 4 of the paper, diagnostics A.5).
func phiGrid(cosines []float64, k1, k2 int) []float64 {
	phi := make([]float64, k1*k2)
	above := make([]float64, k2) // sums of the rows so far
	for i := range k1 {
		var left float64
		for j := range k2 {
			c := cosines[i*k2+j]
			left += c * c
			above[j] += left
			phi[i*k2+j] = min(max(above[j]/float64(min(i, j)+1), 0), 1)
		}
	}
	return phi
}

// phiNull is the mean and the standard deviation of φ over independent Haar-random subspaces of i and j of d dimensions, in closed form
// (diagnostics A.3).
func phiNull(i, j, d int) (mean, sd float64) {
	x, y, n := float64(i), float64(j), float64(d)
	mean = max(x, y) / n
	if i >= d || j >= d {
		return mean, 0
	}
	variance := 2 * x * y * (n - x) * (n - y) / (n * n * (n - 1) * (n + 2))
	return mean, math.Sqrt(variance) / min(x, y)
}

// cosineOf is <D1, D2> / (|D1| |D2|) of the deltas by their singular triples: the inner product is the sum over i and j of
// s1_i s2_j (u1_i . u2_j)(v1_i . v2_j), and left and right hold those cosines.
func cosineOf(s1, s2, left, right []float64) float64 {
	var inner, squares1, squares2 float64
	for i, x := range s1 {
		for j, y := range s2 {
			inner += x * y * left[i*len(s2)+j] * right[i*len(s2)+j]
		}
		squares1 += x * x
	}
	for _, y := range s2 {
		squares2 += y * y
	}
	return min(max(inner/math.Sqrt(squares1*squares2), -1), 1)
}

// gaps gives (s_i - s_i+1) / s_1 for singular values in descending order, and s_k / s_1 for the last.
func gaps(s []float64) []float64 {
	out := make([]float64, len(s))
	for i, value := range s {
		if i+1 < len(s) {
			value -= s[i+1]
		}
		out[i] = value / s[0]
	}
	return out
}
