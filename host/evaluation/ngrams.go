package evaluation

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// ngrams counts the runs of n words, joined by spaces, which no token contains.
func ngrams(words []string, n int) map[string]int {
	counts := map[string]int{}
	for i := 0; i+n <= len(words); i++ {
		counts[strings.Join(words[i:i+n], " ")]++
	}
	return counts
}

// clipped counts, for each n-gram of the prediction, how often it occurs there, but no more often than in the reference that has it most.
func clipped(prediction []string, references [][]string, n int) map[string]int {
	most := map[string]int{}
	for _, r := range references {
		for gram, count := range ngrams(r, n) {
			most[gram] = max(most[gram], count)
		}
	}
	hits := ngrams(prediction, n)
	for gram, count := range hits {
		hits[gram] = min(count, most[gram])
	}
	return hits
}

// sorted walks a map in the order of its keys, so that sums of floats are the same to the last bit in every run.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}
