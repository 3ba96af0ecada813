package evaluation

import (
	"fmt"
	"math"
	"strings"
)

// nistOrder is the longest n-gram that NIST counts.
const nistOrder = 5

// Variant is one of the two scripts that NIST is published from; they differ when segments have different numbers of references.
type Variant string

const (
	// Python compares the predictions' length with the sum, over segments, of the mean length of the references. Published E2E tables use it.
	Python Variant = "python"
	// Perl compares it with the mean length of all references times the number of segments, lower-cases ASCII only, has no tokens in an
	// empty segment, and takes the words "0 x" to have no first word, because the string "0" is false.
	Perl Variant = "perl"
)

// Variants lists both.
func Variants() []string { return []string{string(Python), string(Perl)} }

func (v Variant) tokenize(segment string) []string {
	words := Tokenize13a(segment)
	if v == Python {
		return each(words, lower)
	}
	if words[0] == "" {
		return nil
	}
	return each(words, lowerASCII)
}

// NIST accumulates the statistics of NIST (Doddington 2002): n-gram matches weighted by how much they tell, as the references of the whole
// corpus have it.
type NIST struct {
	variant    Variant
	segments   int
	candidates [nistOrder]int            // n-grams predicted, n from 1; short segments count negative, as in BLEU
	hits       [nistOrder]map[string]int // clipped
	counts     [nistOrder]map[string]int // in all references
	words      int                       // in all references
	nonempty   int                       // references with a word
	meanLength float64                   // sum over segments of the mean length of the references
}

// NewNIST returns empty statistics.
func NewNIST(variant Variant) *NIST {
	s := &NIST{variant: variant}
	for n := range nistOrder {
		s.hits[n], s.counts[n] = map[string]int{}, map[string]int{}
	}
	return s
}

// Add counts one segment: lower-cased tokens of the prediction and of at least one reference.
func (s *NIST) Add(prediction []string, references [][]string) {
	s.segments++
	for n := range nistOrder {
		s.candidates[n] += len(prediction) - n
		for gram, count := range clipped(prediction, references, n+1) {
			s.hits[n][gram] += count
		}
		for _, r := range references {
			for gram, count := range ngrams(r, n+1) {
				s.counts[n][gram] += count
			}
		}
	}
	length := 0
	for _, r := range references {
		length += len(r)
		if len(r) > 0 {
			s.nonempty++
		}
	}
	s.words += length
	s.meanLength += float64(length) / float64(len(references))
}

// Score is the mean information of the n-grams found, summed over n, times the length penalty. It is undefined, and an error, where some
// n has no predicted n-grams to divide by.
func (s *NIST) Score() (float64, error) {
	score := 0.0
	for n := range nistOrder {
		if s.candidates[n] == 0 {
			return 0, fmt.Errorf("NIST is undefined: the number of %d-grams predicted, which it divides by, is 0", n+1)
		}
		sum := 0.0
		for gram, hits := range sorted(s.hits[n]) {
			if hits > 0 {
				sum += s.information(gram, n) * float64(hits)
			}
		}
		score += sum / float64(s.candidates[n])
	}
	reference := s.meanLength
	if s.variant == Perl {
		reference = float64(s.words) / (float64(s.nonempty) / float64(s.segments))
	}
	if s.words == 0 {
		return 0, fmt.Errorf("NIST is undefined: the references have no words")
	}
	beta := -math.Log(0.5) / math.Pow(math.Log(1.5), 2)
	ratio := math.Log(min(1, float64(s.candidates[0])/reference))
	return score * math.Exp(-beta*ratio*ratio), nil
}

// information is how many bits the last word of an n-gram, which occurs in the references, adds to the words before it.
func (s *NIST) information(gram string, n int) float64 {
	before := s.words
	if cut := strings.LastIndexByte(gram, ' '); cut >= 0 && (s.variant == Python || gram[:cut] != "0") {
		before = s.counts[n-1][gram[:cut]]
	}
	return math.Log2(float64(before) / float64(s.counts[n][gram]))
}
