// Package phi is the subspace similarity of the LoRA paper (equation 4) with what it is between random subspaces. The diagnostics that
// compare subspaces share it.
package phi

import "math"

// Grid gives phi(i, j) = ||U_i' V_j||^2 / min(i, j) for all leading subspaces at once from the cosines U' V, k1 x k2: squares, sums over
// both directions, one division (diagnostics A.5). The last value is that of the full ranks.
func Grid(cosines []float64, k1, k2 int) []float64 {
	grid := make([]float64, k1*k2)
	above := make([]float64, k2) // sums of the rows so far
	for i := range k1 {
		var left float64
		for j := range k2 {
			c := cosines[i*k2+j]
			left += float64(c * c)
			above[j] += left
			grid[i*k2+j] = min(max(above[j]/float64(min(i, j)+1), 0), 1)
		}
	}
	return grid
}

// Full is the last value of Grid alone.
func Full(cosines []float64, k1, k2 int) float64 {
	var sum float64
	for _, c := range cosines {
		sum += float64(c * c)
	}
	return min(sum/float64(min(k1, k2)), 1)
}

// Null is the mean and the standard deviation of phi over independent Haar-random subspaces of i and j of d dimensions, in closed form
// (diagnostics A.3). The standard deviation is 0 where one subspace is the whole space, and phi always 1.
func Null(i, j, d int) (mean, sd float64) {
	x, y, n := float64(i), float64(j), float64(d)
	mean = max(x, y) / n
	if i >= d || j >= d {
		return mean, 0
	}
	variance := 2 * x * y * (n - x) * (n - y) / (n * n * (n - 1) * (n + 2))
	return mean, math.Sqrt(variance) / min(x, y)
}
