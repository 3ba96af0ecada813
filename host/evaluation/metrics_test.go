package evaluation

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func corpus(segments ...Segment) *Corpus {
	return &Corpus{PredictionFile: "p.txt", ReferenceFile: "r.txt", Segments: segments}
}

func TestBLEU(t *testing.T) {
	t.Run("a short segment counts negative", func(t *testing.T) {
		if b := corpus(segment("a b", "a c")).bleu(); b.Candidates != [4]int{2, 1, 0, -1} || b.Hits != [4]int{1, 0, 0, 0} {
			t.Errorf("%+v", b)
		}
	})
	t.Run("an empty segment has length 1", func(t *testing.T) {
		if b := corpus(segment("", "a")).bleu(); b.Candidates[0] != 1 || b.Hits[0] != 0 {
			t.Errorf("%+v", b)
		}
	})
	t.Run("of two equally close references the shorter counts", func(t *testing.T) {
		if b := corpus(segment("a b c", "a b c d", "a b")).bleu(); b.Reference != 2 {
			t.Errorf("%+v", b)
		}
	})
	t.Run("hits are clipped to the reference with most", func(t *testing.T) {
		if b := corpus(segment("tea tea tea", "tea and tea", "tea")).bleu(); b.Hits[0] != 2 {
			t.Errorf("%+v", b)
		}
	})
	t.Run("brevity", func(t *testing.T) {
		near(t, "BLEU", corpus(segment("a b c d", "a b c d e")).bleu().Score(), math.Exp(1-5.0/4))
	})
	t.Run("case is folded", func(t *testing.T) {
		near(t, "BLEU", corpus(segment("CAFÉ A B C", "café a b c")).bleu().Score(), 1)
	})
}

func TestNIST(t *testing.T) {
	// The references have 12 words: a twice, every other word once. Every unigram but a tells log2 12 bits, a log2 6; of the longer
	// n-grams only the one that begins with a tells something, 1 bit, for a is followed by b in one place of two.
	two := corpus(segment("a b c d e", "a b c d e"), segment("f g", "f g h i j", "a l"))
	// Unigrams predicted: 7, bigrams 5.
	want := (math.Log2(6)+6*math.Log2(12))/7 + 1.0/5
	beta := -math.Log(0.5) / math.Pow(math.Log(1.5), 2)
	penalty := func(reference float64) float64 { return math.Exp(-beta * math.Pow(math.Log(7/reference), 2)) }
	for variant, reference := range map[Variant]float64{Python: 5 + 3.5, Perl: 12 / (3.0 / 2)} {
		got, err := two.nist(variant).Score()
		if err != nil {
			t.Fatal(err)
		}
		near(t, string(variant), got, want*penalty(reference))
	}
}

// TestNISTZero: to the Perl script the word before x in "0 x" is false, so that it divides all words by the count of "0 x".
func TestNISTZero(t *testing.T) {
	zero := corpus(segment("0 x y z v w", "0 x y z v w"))
	for variant, information := range map[Variant]float64{Python: 0, Perl: math.Log2(6) / 5} {
		got, err := zero.nist(variant).Score()
		if err != nil {
			t.Fatal(err)
		}
		near(t, string(variant), got, math.Log2(6)+information)
	}
}

func TestNISTUndefined(t *testing.T) {
	for _, variant := range []Variant{Python, Perl} {
		if _, err := corpus(segment("a b c d", "a b c d e")).nist(variant).Score(); err == nil {
			t.Errorf("%s: four words have no 5-grams to divide by", variant)
		}
	}
}

func TestROUGE(t *testing.T) {
	f := func(p, r float64) float64 { return 2.44 * p * r / (r + 1.44*p) }
	tests := []struct {
		name, prediction string
		references       []string
		want             float64
	}{
		{"the same", "warm bread", []string{"Warm bread."}, 1},
		{"nothing in common", "warm bread", []string{"cold tea"}, 0},
		{"precision and recall from different references", "a b c d", []string{"a b c x y z", "d"}, f(3.0/4, 1)},
		{"in order, not adjacent", "a x b y c", []string{"a b c"}, f(3.0/5, 1)},
		{"two empty texts are one equal token", ".", []string{"!"}, 1},
		{"an empty prediction", "", []string{"tea"}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			near(t, "ROUGE-L", rouge(corpus(segment(test.prediction, test.references...)).ptb())[0], test.want)
		})
	}
}

func TestCIDEr(t *testing.T) {
	t.Run("one segment tells nothing", func(t *testing.T) {
		if got := cider(corpus(segment("a b c d", "a b c d")).ptb()); got[0] != 0 {
			t.Error(got)
		}
	})
	t.Run("the same text, and half of n missing", func(t *testing.T) {
		got := cider(corpus(segment("a b c d", "a b c d"), segment("f g", "f g")).ptb())
		near(t, "all four n", got[0], 10)
		near(t, "n of 1 and 2", got[1], 5)
	})
	t.Run("lengths differ by bigrams", func(t *testing.T) {
		// One word has no bigram, and neither has none; against two words it is one.
		got := cider(corpus(segment("a", "a b"), segment("", "c")).ptb())
		near(t, "CIDEr", got[0], 10*(1/math.Sqrt2)*math.Exp(-1.0/72)/4)
		if got[1] != 0 {
			t.Error(got)
		}
	})
	t.Run("the mean over references", func(t *testing.T) {
		got := cider(corpus(segment("a b c d", "a b c d", "e"), segment("f", "f")).ptb())
		near(t, "CIDEr", got[0], 5)
	})
}

func TestEvaluate(t *testing.T) {
	good := corpus(segment("warm bread and fresh honey", "fresh honey and warm bread"), segment("a slow tram", "one tram", "a slow boat"))
	scores, err := good.Evaluate([]Metric{MetricCIDEr, MetricBLEU}, Python)
	if err != nil || len(scores) != 2 || scores[0].Metric != MetricBLEU || scores[1].Metric != MetricCIDEr {
		t.Fatalf("%+v, %v", scores, err)
	}
	t.Run("to the last bit the same", func(t *testing.T) {
		for range 20 {
			again, err := good.Evaluate([]Metric{MetricBLEU, MetricCIDEr}, Python)
			if err != nil || again[0].Value != scores[0].Value || !slices.Equal(again[1].Segments, scores[1].Segments) {
				t.Fatalf("%+v, %v", again, err)
			}
		}
	})
	t.Run("every problem at once", func(t *testing.T) {
		_, err := corpus(segment("a b 5%", "ça va")).Evaluate(Metrics(), Python)
		for _, want := range []string{"5-grams", "p.txt: line 1, character 6: ", "'%' (U+0025)", "r.txt: line 1, character 1: ", "(U+00E7)"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("%v\nwant %s", err, want)
			}
		}
	})
	t.Run("of many problems ten", func(t *testing.T) {
		_, err := corpus(segment("абвгдежзийкл", "a")).Evaluate([]Metric{MetricROUGE}, Python)
		if err == nil || strings.Count(err.Error(), "\n") != 9 || !strings.Contains(err.Error(), "2 more") {
			t.Error(err)
		}
	})
	t.Run("no segments", func(t *testing.T) {
		if _, err := corpus().Evaluate(Metrics(), Python); err == nil {
			t.Error("accepted")
		}
	})
}
