package convert

import "slices"

// scaled is what the choice of an alpha needs to know of one weight.
type scaled struct {
	rank  int
	scale float64
	alpha float64 // that the source gives
}

// chooseAlpha chooses the one alpha of a GGUF adapter: the f32 with which the scale alpha/rank of the most weights is exactly theirs, the
// smallest of equals. It is never 0, which to llama.cpp means a scale of 1. Where no weight has such an alpha it is the most common rank,
// the smallest of equals, so that the scale of most becomes 1.
func chooseAlpha(weights []scaled) float64 {
	votes, ranks := map[float64]int{}, map[float64]int{}
	for _, w := range weights {
		ranks[float64(w.rank)]++
		for _, alpha := range []float64{w.alpha, w.scale * float64(w.rank), float64(float32(w.scale * float64(w.rank)))} {
			if alpha != 0 && float64(float32(alpha)) == alpha && alpha/float64(w.rank) == w.scale {
				votes[alpha]++
				break
			}
		}
	}
	if len(votes) > 0 {
		return most(votes)
	}
	return most(ranks)
}

// most is the value with the most votes, the smallest of equals.
func most(votes map[float64]int) float64 {
	values := make([]float64, 0, len(votes))
	for v := range votes {
		values = append(values, v)
	}
	slices.Sort(values)
	best := values[0]
	for _, v := range values {
		if votes[v] > votes[best] {
			best = v
		}
	}
	return best
}

// fold is what the entries of B must be multiplied with so that alpha/rank is left as the scale: 1 where it is the scale already.
func (w scaled) fold(alpha float64) float64 {
	given := alpha / float64(w.rank)
	if given == w.scale {
		return 1
	}
	return w.scale / given
}
