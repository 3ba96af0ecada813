package amplification

// liftVariance is the variance of the squared lift, ||U' W V||² over its mean, for Haar-random U of k columns in m dimensions and V of k
// columns in n. It depends on W through concentration alone: the sum of its singular values to the fourth power over the square of the sum
// of their squares, which is the inverse of W's participation ratio.
//
// With P = U U', Q = V V' and G = W' W the squared norm is tr(P W Q W'). The second moments of a Haar-random projection of rank k in R^m are
// E[P_ij P_kl] = a δ_ij δ_kl + b (δ_ik δ_jl + δ_il δ_jk). Taking the mean over P first and then over Q gives
// a (a' T² + 2 b' F) + 2 b ((a' + b') F + b' T²) with T = tr G and F = tr G².
func liftVariance(k, m, n int, concentration float64) float64 {
	if k >= m && k >= n {
		return 0
	}
	a, b := projectionMoments(float64(k), float64(m))
	c, d := projectionMoments(float64(k), float64(n))
	second := a*(c+2*d*concentration) + 2*b*((c+d)*concentration+d)
	mean := float64(k) / float64(m) * float64(k) / float64(n)
	return max(second/(mean*mean)-1, 0)
}

// projectionMoments are the a and b of a Haar-random projection of rank k in m dimensions.
func projectionMoments(k, m float64) (a, b float64) {
	if k >= m {
		return 1, 0
	}
	scale := k / (m * (m - 1) * (m + 2))
	return scale * (k*(m+1) - 2), scale * (m - k)
}

// fourthPower estimates the sum of W's singular values to the fourth power from a sketch Y = R' W S, rows x cols, of matrices R and S of
// random signs: the mean of Y_aj Y_bj Y_al Y_bl over pairs of different rows a, b and different columns j, l. Over the signs its expectation
// is exactly tr(W W' W W').
func fourthPower(sketch []float64, rows, cols int) float64 {
	var sum float64
	for a := range rows {
		for b := range a {
			var products, squares float64
			for j := range cols {
				p := sketch[a*cols+j] * sketch[b*cols+j]
				products += p
				squares += float64(p * p)
			}
			sum += float64(products*products) - squares
		}
	}
	pairs := float64(rows) * float64(rows-1) / 2
	return sum / pairs / (float64(cols) * float64(cols-1))
}

// bounded keeps an estimate of the sum of fourth powers where it can be, given the sum of squares of rank singular values and, where they
// are known, the top of them: the rest is at least spread evenly, and at most as large as the smallest that is known.
func bounded(estimate, energy float64, rank int, top []float64) float64 {
	var known float64
	rest, most := energy, energy
	for _, s := range top {
		known += s * s * s * s
		rest -= float64(s * s)
		most = s * s
	}
	rest = max(rest, 0)
	low, high := known, known+float64(rest*min(most, rest))
	if left := rank - len(top); left > 0 {
		low += rest * rest / float64(left)
	}
	return min(max(estimate, low), high)
}
