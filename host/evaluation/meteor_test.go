package evaluation

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	tests := []struct{ name, segment, want string }{
		{"empty", "", ""},
		{"compounds", "a family-friendly 20-25 minute, 5-star place", "a family friendly 20 25 minute 5 star place"},
		{"a minus sign stays", "it is -25", "it is -25"},
		{"contractions", "it isn't Ann's", "it is n 't ann ' s"},
		{"apostrophe inside a word", "hors d'oeuvre", "hors d 'oeuvre"},
		{"currency", "£20 or $4", "# 20 or $ 4"},
		{"decimal number", "£30.99", "# 30.99"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(normalize(TokenizePTB(test.segment)), " "); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// TestMatchers: what the matchers say of two words, and that Porter2 and WordNet's morphology are behind it.
func TestMatchers(t *testing.T) {
	tests := []struct {
		a, b string
		want []matcher
	}{
		{"pub", "pub", []matcher{exactMatcher}},
		{"moderate", "moderately", []matcher{stemMatcher}},
		{"families", "family", []matcher{stemMatcher, synonymMatcher}},
		{"centre", "center", []matcher{synonymMatcher}},
		{"kids", "children", []matcher{synonymMatcher}},
		{"located", "place", []matcher{synonymMatcher}},
		{"rated", "shop", nil}, // the rule that makes rat of rated comes after the one that makes rate
		{"gets", "receives", nil},
		{"pub", "bar", nil},
	}
	for _, test := range tests {
		t.Run(test.a+" "+test.b, func(t *testing.T) {
			words := lexicon{}.words([]string{test.a, test.b})
			var got []matcher
			for m := range matchers {
				if m.matches(words[0], words[1]) {
					got = append(got, m)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestAlign(t *testing.T) {
	tests := []struct {
		name, prediction, reference string
		pairs, chunks               int
	}{
		{"nothing in common", "cheap food", "a pub", 0, 0},
		{"equal", "a pub in a city", "a pub in a city", 5, 1},
		{"order", "in the city a pub", "a pub in the city", 5, 2},
		{"few chunks before short distances", "the pub near the inn", "near the inn", 3, 1},
		{"a stem that has no rival is taken", "moderate and cheap", "moderately cheap", 2, 2},
		{"one that has a rival is not where it costs a chunk", "families like food", "food for family and families", 2, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newMeteor(lexiconWords(test.prediction), lexiconWords(test.reference), synonymMatcher)
			if m.pairs != test.pairs || m.chunks != test.chunks {
				t.Errorf("%d pairs in %d chunks, want %d in %d", m.pairs, m.chunks, test.pairs, test.chunks)
			}
		})
	}
}

// shared across texts, so that equal words are the same pointer
var testLexicon = lexicon{}

func lexiconWords(text string) []*word { return testLexicon.words(strings.Fields(text)) }

// TestMeteorScore checks scores against the formula by hand: δ weighs content 3 and function words 1.
func TestMeteorScore(t *testing.T) {
	fMean := func(p, r float64) float64 { return 1 / (0.15/p + 0.85/r) }
	tests := []struct {
		name, prediction, reference string
		want                        float64
	}{
		{"equal", "the cheap pub", "the cheap pub", 1},
		{"nothing in common", "cheap food", "a pub", 0},
		{"no words", "", "a pub", 0},
		{"function words weigh a third", "the pub", "pub", fMean(3.0/4, 1) * (1 - 0.6*1)},
		{"synonyms weigh 0.8", "centre", "center", 0.8},
		{"fragments", "a pub here", "here a pub", 1 - 0.6*math.Pow(2.0/3, 0.2)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newMeteor(lexiconWords(test.prediction), lexiconWords(test.reference), synonymMatcher)
			near(t, "score", m.score(), test.want)
		})
	}
}

func TestMeteorUnverified(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"brackets", "a pub (cheap)", `line 1: METEOR ex_st_sy is unverified for the token "-lrb-"`},
		{"times", "at 5:30", `line 1: METEOR ex_st_sy is unverified for the token "5:30"`},
		{"a frequent word", "she eats", `line 1: METEOR ex_st_sy is unverified for the word "she"`},
		{"a character", "cheap, naïve", `line 1, character 10: ROUGE-L, CIDEr and METEOR ex_st_sy are unverified for 'ï'`},
		{"a long line", strings.Repeat("pub ", maxAligned+1), "METEOR ex_st_sy aligns at most 256 words, and these are 257"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			corpus := &Corpus{PredictionFile: "p.txt", ReferenceFile: "r.txt", Segments: []Segment{segment(test.text, "a pub")}}
			if _, err := corpus.Evaluate([]Metric{MetricMETEOR}, Python); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if strings.Contains(test.name, "character") {
				return
			}
			if _, err := corpus.Evaluate([]Metric{MetricROUGE}, Python); err != nil {
				t.Errorf("ROUGE-L alone: %v", err)
			}
		})
	}
}

// TestMeteorLongest aligns texts of the most words with the most choices: memory and time stay bounded.
func TestMeteorLongest(t *testing.T) {
	longest := lexiconWords(strings.Repeat("pub ", maxAligned))
	m := newMeteor(longest[1:], longest, synonymMatcher)
	if m.pairs != maxAligned-1 || m.chunks != 1 {
		t.Errorf("%d pairs in %d chunks", m.pairs, m.chunks)
	}
}

func TestMeteorConfiguration(t *testing.T) {
	for _, m := range Metrics() {
		if got := m.Configuration(); (got != "") != (m == MetricMETEOR) {
			t.Errorf("%s has configuration %q", m, got)
		}
	}
	if title := MetricMETEOR.Title(); title == "METEOR" || strings.Contains(title, "1.5") {
		t.Errorf("title %q can be taken for the published metric", title)
	}
}

// FuzzMeteor: an alignment takes each word once and only matching words, its chunks lie between 1 and its pairs, scores lie between 0 and 1,
// and equal texts score 1.
func FuzzMeteor(f *testing.F) {
	f.Add("the pub is in the city centre", "in the center there is a pub")
	f.Add("", "a")
	f.Add("kids kid child children", "child kids children kid")
	f.Fuzz(func(t *testing.T, prediction, reference string) {
		l := lexicon{}
		limit := func(s string) []*word { w := normalize(TokenizePTB(s)); return l.words(w[:min(len(w), maxAligned)]) }
		p, r := limit(prediction), limit(reference)
		taken, chunks := align(pairs(p, r, synonymMatcher), len(p))
		seen := [2]map[int]bool{{}, {}}
		for _, pair := range taken {
			if seen[0][pair.prediction] || seen[1][pair.reference] || !pair.matcher.matches(p[pair.prediction], r[pair.reference]) {
				t.Fatalf("pair %+v", pair)
			}
			seen[0][pair.prediction], seen[1][pair.reference] = true, true
		}
		if chunks > len(taken) || chunks == 0 && len(taken) > 0 {
			t.Fatalf("%d chunks of %d pairs", chunks, len(taken))
		}
		if score := newMeteor(p, r, synonymMatcher).score(); !(score >= 0 && score <= 1+1e-12) {
			t.Errorf("score %v", score)
		}
		if score := newMeteor(p, p, synonymMatcher).score(); len(p) > 0 && math.Abs(score-1) > 1e-12 {
			t.Errorf("score of equal texts %v", score)
		}
	})
}

func BenchmarkMeteor(b *testing.B) {
	texts := []text{{
		prediction: TokenizePTB("The Mill is a cheap pub near Café Rouge in the city centre. It is not family-friendly, but serves good food."),
		references: [][]string{TokenizePTB("In the center of the city near Café Rouge there is an inexpensive pub, The Mill. It is not for families.")},
	}}
	for b.Loop() {
		meteor(texts, synonymMatcher)
	}
}
