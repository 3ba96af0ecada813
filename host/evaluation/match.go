package evaluation

import (
	"slices"

	"github.com/kljensen/snowball/english"

	"github.com/tenon-ml/tenon/host/evaluation/wordnet"
)

// matcher says when METEOR takes two words for a match.
type matcher int

const (
	exactMatcher   matcher = iota // equal words
	stemMatcher                   // different words with one Porter2 stem
	synonymMatcher                // different words that share a synset of WordNet
	matchers
)

// word is a word with what METEOR knows of it. A lexicon has one for each word, so that equal words are the same pointer.
type word struct {
	stem     string
	synsets  []wordnet.Synset // ascending
	function bool
}

// lexicon holds the words looked up so far.
type lexicon map[string]*word

func (l lexicon) words(texts []string) []*word {
	words := make([]*word, len(texts))
	for i, t := range texts {
		if l[t] == nil {
			l[t] = &word{english.Stem(t, true), wordnet.Synsets(t), functionWords[t]}
		}
		words[i] = l[t]
	}
	return words
}

// matches says whether a matcher takes two words for a match.
func (m matcher) matches(a, b *word) bool {
	switch m {
	case exactMatcher:
		return a == b
	case stemMatcher:
		return a != b && a.stem == b.stem
	default:
		return a != b && intersect(a.synsets, b.synsets)
	}
}

// intersect says whether two ascending lists have a common element.
func intersect(a, b []wordnet.Synset) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			return true
		case a[0] < b[0]:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}

// pairs lists, for each word of the reference, the pairs it can be in: those of the first matcher first, each by the prediction's
// position. Two words can be a pair of two matchers. Equal texts have exact pairs alone.
func pairs(prediction, reference []*word, last matcher) [][]pair {
	if slices.Equal(prediction, reference) {
		last = exactMatcher
	}
	all := make([][]pair, len(reference))
	for j, r := range reference {
		for m := exactMatcher; m <= last; m++ {
			for i, p := range prediction {
				if m.matches(p, r) {
					all[j] = append(all[j], pair{m, i, j})
				}
			}
		}
	}
	return all
}
