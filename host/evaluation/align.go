package evaluation

import (
	"cmp"
	"slices"
)

// maxAligned is how many words a text may have for METEOR. The work grows with the square, and an aligned path keeps one bit a word.
const maxAligned = 256

// beamWidth is how many partial alignments the search keeps.
const beamWidth = 40

// pair says that a word of the prediction can stand for a word of a reference, and which matcher says so.
type pair struct {
	matcher               matcher
	prediction, reference int // positions
}

// alignment is a path of the search: which pairs were taken for the reference's words so far. Paths share their beginnings.
type alignment struct {
	previous *alignment
	taken    *pair // nil where the reference's word stays unmatched

	used     [maxAligned / 64]uint64 // bit i: the prediction's word i is taken, or reserved for a pair that has no rival
	exact    int                     // pairs of equal words
	chunks   int                     // runs that have ended
	distance int                     // see step
	next     int                     // where the prediction's side of the open run would go on, or -1 if no run is open
}

func (a *alignment) uses(i int) bool { return a.used[i/64]>>(i%64)&1 == 1 }

// align chooses pairs such that no word is in two of them, and counts chunks: runs in which both sides go on by one word. candidates lists
// the pairs of each word of the reference. This is METEOR's beam search with its quirks, each of which shows in the scores:
//
//   - Pairs without a rival are fixed before the search.
//   - Paths are ordered by their number of exact pairs, then by few chunks, then by small distance. Pairs by stem and synonym do not
//     count: the original adds a half of each to an integer.
//   - The distance of a pair that is a choice falls on the paths that branch off after it, not on its own.
func align(candidates [][]pair, predictionWords int) (taken []pair, chunks int) {
	fixed, reserved := withoutRival(candidates, predictionWords)
	beam := []*alignment{{used: reserved, next: -1}}
	for i, options := range candidates {
		var extended []*alignment
		for _, path := range beam {
			if fixed[i] {
				extended = append(extended, path.take(&options[0], 0))
				continue
			}
			delay := 0
			for j := range options {
				if o := &options[j]; !path.uses(o.prediction) {
					extended = append(extended, path.take(o, delay))
					delay += distance(o.prediction, o.reference)
				}
			}
			extended = append(extended, path.skip(delay))
		}
		slices.SortStableFunc(extended, better)
		beam = extended[:min(len(extended), beamWidth)]
	}
	for i, path := range beam {
		beam[i] = path.skip(0) // ends the open run
	}
	best := slices.MinFunc(beam, better) // the first of equals
	for path := best; path != nil; path = path.previous {
		if path.taken != nil {
			taken = append(taken, *path.taken)
		}
	}
	slices.Reverse(taken)
	return taken, best.chunks
}

// better orders paths.
func better(a, b *alignment) int {
	return cmp.Or(cmp.Compare(b.exact, a.exact), cmp.Compare(a.chunks, b.chunks), cmp.Compare(a.distance, b.distance))
}

// take is the path that goes on with a pair. delay is the distance of the pairs that were tried before it.
func (a *alignment) take(p *pair, delay int) *alignment {
	b := *a
	b.previous, b.taken = a, p
	b.used[p.prediction/64] |= 1 << (p.prediction % 64)
	if p.matcher == exactMatcher {
		b.exact++
	}
	if a.next >= 0 && a.next != p.prediction {
		b.chunks++
	}
	b.next = p.prediction + 1
	b.distance += delay
	return &b
}

// skip is the path that leaves a word of the reference unmatched.
func (a *alignment) skip(delay int) *alignment {
	b := *a
	b.previous, b.taken = a, nil
	if a.next >= 0 {
		b.chunks++
	}
	b.next = -1
	b.distance += delay
	return &b
}

// withoutRival finds the words of the reference whose only pair has the only mention of its prediction's word, and reserves those.
func withoutRival(candidates [][]pair, predictionWords int) (fixed []bool, reserved [maxAligned / 64]uint64) {
	mentions := make([]int, predictionWords)
	for _, options := range candidates {
		for _, o := range options {
			mentions[o.prediction]++
		}
	}
	fixed = make([]bool, len(candidates))
	for i, options := range candidates {
		if len(options) == 1 && mentions[options[0].prediction] == 1 {
			fixed[i] = true
			reserved[options[0].prediction/64] |= 1 << (options[0].prediction % 64)
		}
	}
	return fixed, reserved
}
