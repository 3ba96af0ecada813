package evaluation

import "math"

const (
	ciderOrder = 4
	ciderSigma = 6.0 // of the Gaussian that punishes a difference in length, in bigrams
)

// vector is a text as CIDEr sees it: a weight for each n-gram, n from 1, the vectors' Euclidean lengths, and how many bigrams there are.
// The script takes that for the text's length.
type vector struct {
	weights [ciderOrder]map[string]float64
	norms   [ciderOrder]float64
	bigrams int
}

// cider is CIDEr-D (Vedantam and others 2015) of each segment: the mean cosine of weighted n-gram counts with those of each reference,
// times 10. An n-gram weighs the less, the more segments have it in a reference; in a corpus of one segment nothing weighs anything.
func cider(texts []text) []float64 {
	frequency := map[string]int{} // in how many segments' references an n-gram of any length is
	for _, t := range texts {
		seen := map[string]bool{}
		for _, r := range t.references {
			for n := range ciderOrder {
				for gram := range ngrams(r, n+1) {
					seen[gram] = true
				}
			}
		}
		for gram := range seen {
			frequency[gram]++
		}
	}
	logSegments := math.Log(float64(len(texts)))
	scores := make([]float64, len(texts))
	for i, t := range texts {
		prediction := newVector(t.prediction, frequency, logSegments)
		for _, r := range t.references {
			scores[i] += prediction.similarity(newVector(r, frequency, logSegments))
		}
		scores[i] *= 10 / float64(len(t.references))
	}
	return scores
}

func newVector(words []string, frequency map[string]int, logSegments float64) *vector {
	v := &vector{bigrams: max(len(words)-1, 0)}
	for n := range ciderOrder {
		v.weights[n] = map[string]float64{}
		squares := 0.0
		for gram, count := range sorted(ngrams(words, n+1)) {
			weight := float64(count) * (logSegments - math.Log(max(1, float64(frequency[gram]))))
			v.weights[n][gram] = weight
			squares += weight * weight
		}
		v.norms[n] = math.Sqrt(squares)
	}
	return v
}

// similarity is the mean over n of the cosines, with the prediction's weights clipped to the reference's.
func (v *vector) similarity(reference *vector) float64 {
	sum := 0.0
	for n := range ciderOrder {
		product := 0.0
		for gram, weight := range sorted(v.weights[n]) {
			product += min(weight, reference.weights[n][gram]) * reference.weights[n][gram]
		}
		if norms := v.norms[n] * reference.norms[n]; norms != 0 {
			sum += product / norms
		}
	}
	delta := float64(v.bigrams - reference.bigrams)
	return sum / ciderOrder * math.Exp(-delta*delta/(2*ciderSigma*ciderSigma))
}
