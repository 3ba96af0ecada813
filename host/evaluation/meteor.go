package evaluation

import "math"

// MeteorConfiguration names the parameters and the matchers, as METEOR 1.5 names its own configurations: those of its English task, but
// without the paraphrase table. A score without paraphrases is lower than one with them, so the two do not compare.
const MeteorConfiguration = "meteor-1.5-wo-en-norm-0.85_0.2_0.6_0.75-ex_st_sy-1.0_0.6_0.8"

// The parameters of the configuration (Denkowski and Lavie 2014).
const (
	meteorAlpha = 0.85 // recall against precision
	meteorBeta  = 0.2  // how fast fragmentation punishes
	meteorGamma = 0.6  // how much it can
	meteorDelta = 0.75 // content words against function words
)

// meteorWeights are those of the matchers' pairs.
var meteorWeights = [matchers]float64{1, 0.6, 0.8}

// sides holds a count for the prediction and for the reference.
type sides [2]int

func (s *sides) add(o sides) {
	s[0] += o[0]
	s[1] += o[1]
}

// Meteor accumulates the statistics of METEOR over segments.
type Meteor struct {
	words, functions  sides
	content, function [matchers]sides // words in pairs, by what they are
	pairs, chunks     int
}

// score is the harmonic mean of weighted precision and recall, less a penalty for fragments. Statistics without a pair score 0.
func (m Meteor) score() float64 {
	if m.pairs == 0 {
		return 0
	}
	var share [2]float64 // precision and recall
	for side := range share {
		matched := 0.0
		for i, weight := range meteorWeights {
			matched += float64(weight * weighted(m.content[i][side], m.function[i][side]))
		}
		share[side] = matched / weighted(m.words[side]-m.functions[side], m.functions[side])
	}
	mean := 1 / (float64((1-meteorAlpha)/share[0]) + float64(meteorAlpha/share[1]))
	fragmentation := 0.0
	if !m.whole() {
		fragmentation = float64(m.chunks) / float64(m.pairs)
	}
	return mean * (1 - float64(meteorGamma*math.Pow(fragmentation, meteorBeta)))
}

// whole says whether every word is matched in one run.
func (m Meteor) whole() bool { return m.chunks <= 1 && m.pairs == m.words[0] && m.pairs == m.words[1] }

func weighted(content, function int) float64 {
	return float64(meteorDelta*float64(content)) + float64((1-meteorDelta)*float64(function))
}

// add counts a segment. The chunk of a whole one is left out, as in the original.
func (m *Meteor) add(o Meteor) {
	if !o.whole() {
		m.chunks += o.chunks
	}
	m.words.add(o.words)
	m.functions.add(o.functions)
	m.pairs += o.pairs
	for i := range m.content {
		m.content[i].add(o.content[i])
		m.function[i].add(o.function[i])
	}
}

// meteor scores each segment by the reference that scores best, with the matchers up to last. The corpus score is that of the summed
// statistics, not the mean of the segments.
func meteor(texts []text, last matcher) (corpus Meteor, best []Meteor) {
	l := lexicon{}
	for _, t := range texts {
		prediction := l.words(normalize(t.prediction))
		var segment Meteor
		for i, r := range t.references {
			if m := newMeteor(prediction, l.words(normalize(r)), last); i == 0 || m.score() > segment.score() {
				segment = m
			}
		}
		corpus.add(segment)
		best = append(best, segment)
	}
	return corpus, best
}

// newMeteor aligns a prediction of at most maxAligned words with a reference.
func newMeteor(prediction, reference []*word, last matcher) Meteor {
	taken, chunks := align(pairs(prediction, reference, last), len(prediction))
	m := Meteor{words: sides{len(prediction), len(reference)}, pairs: len(taken), chunks: chunks}
	for side, words := range [][]*word{prediction, reference} {
		for _, w := range words {
			if w.function {
				m.functions[side]++
			}
		}
	}
	for _, p := range taken {
		for side, w := range []*word{prediction[p.prediction], reference[p.reference]} {
			if w.function {
				m.function[p.matcher][side]++
			} else {
				m.content[p.matcher][side]++
			}
		}
	}
	return m
}
