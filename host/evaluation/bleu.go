package evaluation

import "math"

// bleuOrder is the longest n-gram that BLEU counts.
const bleuOrder = 4

// BLEU accumulates the statistics of corpus BLEU (Papineni and others 2002), without smoothing.
type BLEU struct {
	Hits       [bleuOrder]int // clipped n-grams found, n from 1
	Candidates [bleuOrder]int // n-grams predicted; a segment shorter than n counts negative, as in the script that published results used
	Reference  int            // sum of the lengths of the references closest to their predictions, of two equally close the shorter
}

// Add counts one segment: lower-cased tokens of the prediction and of at least one reference.
func (b *BLEU) Add(prediction []string, references [][]string) {
	for n := range bleuOrder {
		b.Candidates[n] += len(prediction) - n
		for _, count := range clipped(prediction, references, n+1) {
			b.Hits[n] += count
		}
	}
	closest := len(references[0])
	for _, r := range references[1:] {
		is, was := distance(len(r), len(prediction)), distance(closest, len(prediction))
		if is < was || is == was && len(r) < closest {
			closest = len(r)
		}
	}
	b.Reference += closest
}

// Score is the geometric mean of the precisions times the brevity penalty. A precision of 0 counts as 1e-15 hits, so the score of a
// corpus without a common 4-gram is small but not 0.
func (b *BLEU) Score() float64 {
	sum := 0.0
	for n := range bleuOrder {
		sum += math.Log(max(float64(b.Hits[n]), 1e-15) / max(float64(b.Candidates[n]), 1e-9))
	}
	score := math.Exp(sum / bleuOrder)
	if c, r := float64(b.Candidates[0]), float64(b.Reference); c <= r {
		score *= math.Exp(1 - r/c)
	}
	return score
}

func distance(a, b int) int { return max(a-b, b-a) }
