package evaluation

// rougeBeta weighs recall against precision.
const rougeBeta = 1.2

// rouge is ROUGE-L (Lin 2004) of each segment: the F-measure of the longest common subsequence. The best precision and the best recall may
// come from different references.
func rouge(texts []text) []float64 {
	scores := make([]float64, len(texts))
	for i, t := range texts {
		prediction := orEmpty(t.prediction)
		precision, recall := 0.0, 0.0
		for _, r := range t.references {
			r = orEmpty(r)
			common := float64(commonLength(prediction, r))
			precision = max(precision, common/float64(len(prediction)))
			recall = max(recall, common/float64(len(r)))
		}
		if precision > 0 && recall > 0 {
			scores[i] = (1 + rougeBeta*rougeBeta) * precision * recall / (recall + rougeBeta*rougeBeta*precision)
		}
	}
	return scores
}

// orEmpty makes no tokens one empty token: the script splits at single spaces, which an empty text has none of.
func orEmpty(words []string) []string {
	if len(words) == 0 {
		return []string{""}
	}
	return words
}

// commonLength is the length of the longest common subsequence.
func commonLength(a, b []string) int {
	row := make([]int, len(b)+1) // row[j]: of the words of a so far and b[:j]
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}
