// Package evaluation scores generated text against references with BLEU, NIST, ROUGE-L and CIDEr, to the digit as the evaluation scripts
// of the E2E generation challenge define them, so that a rank sweep can be read beside published tables of that data set. It also has
// METEOR 1.5 without paraphrases, which published tables do not have and which is therefore never called METEOR alone.
package evaluation

import (
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
)

// Metric names a score as it is keyed in the JSON output.
type Metric string

// The metrics, in the order they are printed.
const (
	MetricBLEU  Metric = "bleu"
	MetricNIST  Metric = "nist"
	MetricROUGE Metric = "rouge_l"
	MetricCIDEr Metric = "cider"

	MetricMETEOR Metric = "meteor_ex_st_sy"
)

// Metrics lists every metric in the order of printing.
func Metrics() []Metric {
	return []Metric{MetricBLEU, MetricNIST, MetricROUGE, MetricCIDEr, MetricMETEOR}
}

// Defaults lists the metrics that are computed unless others are asked for: those that published tables have. METEOR ex_st_sy also refuses
// words that the others take.
func Defaults() []Metric { return []Metric{MetricBLEU, MetricNIST, MetricROUGE, MetricCIDEr} }

// Title is the metric's name as papers write it, or one that cannot be taken for such a name.
func (m Metric) Title() string {
	return map[Metric]string{
		MetricBLEU: "BLEU", MetricNIST: "NIST", MetricROUGE: "ROUGE-L", MetricCIDEr: "CIDEr", MetricMETEOR: "METEOR ex_st_sy",
	}[m]
}

// Configuration identifies the parameters of a metric that comes in several configurations, and is empty for the others.
func (m Metric) Configuration() string {
	if m == MetricMETEOR {
		return MeteorConfiguration
	}
	return ""
}

// Score is one metric of a corpus. All but two lie between 0 and 1: CIDEr reaches 10, and NIST has no upper bound.
type Score struct {
	Metric   Metric
	Value    float64
	Segments []float64 // one a segment, for ROUGE-L and CIDEr, whose Value is their mean, and for METEOR, whose is not; else nil
}

// Evaluate computes the wanted metrics, in the order of Metrics. A metric that these texts leave undefined, or that was never verified on
// one of their characters or words, is an error and not a guess; all such errors are reported together.
func (c *Corpus) Evaluate(wanted []Metric, variant Variant) ([]Score, error) {
	if len(c.Segments) == 0 {
		return nil, fault.New(fault.UsageFlag, "there are no segments to score").In(c.PredictionFile)
	}
	var scores []Score
	var problems fault.List
	if slices.Contains(wanted, MetricBLEU) {
		scores = append(scores, Score{Metric: MetricBLEU, Value: c.bleu().Score()})
	}
	if slices.Contains(wanted, MetricNIST) {
		value, err := c.nist(variant).Score()
		if err != nil {
			problems.Add(fault.New(fault.UsageFlag, "%v", err).In(c.PredictionFile).Fix("score more text, or leave nist out of --metrics"))
		}
		scores = append(scores, Score{Metric: MetricNIST, Value: value})
	}
	if slices.ContainsFunc(wanted, Metric.tokenizedPTB) {
		if unverified := c.unverified(slices.Contains(wanted, MetricMETEOR)); len(unverified) > 0 {
			return nil, append(problems, unverified...).Err()
		}
		texts := c.ptb()
		if slices.Contains(wanted, MetricROUGE) {
			segments := rouge(texts)
			scores = append(scores, Score{MetricROUGE, mean(segments), segments})
		}
		if slices.Contains(wanted, MetricCIDEr) {
			segments := cider(texts)
			scores = append(scores, Score{MetricCIDEr, mean(segments), segments})
		}
		if slices.Contains(wanted, MetricMETEOR) {
			corpus, best := meteor(texts, synonymMatcher)
			segments := make([]float64, len(best))
			for i, m := range best {
				segments[i] = m.score()
			}
			scores = append(scores, Score{MetricMETEOR, corpus.score(), segments})
		}
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return scores, nil
}

// tokenizedPTB says whether the metric is computed of TokenizePTB's tokens.
func (m Metric) tokenizedPTB() bool { return m == MetricROUGE || m == MetricCIDEr || m == MetricMETEOR }

// text is a segment's tokens: of its prediction, and of each of its references.
type text struct {
	prediction []string
	references [][]string
}

// texts tokenizes every segment.
func (c *Corpus) texts(tokenize func(string) []string) []text {
	texts := make([]text, len(c.Segments))
	for i, s := range c.Segments {
		texts[i].prediction = tokenize(s.Prediction.Text)
		for _, r := range s.References {
			texts[i].references = append(texts[i].references, tokenize(r.Text))
		}
	}
	return texts
}

func (c *Corpus) bleu() *BLEU {
	bleu := new(BLEU)
	for _, t := range c.texts(func(s string) []string { return each(Tokenize13a(s), lower) }) {
		bleu.Add(t.prediction, t.references)
	}
	return bleu
}

func (c *Corpus) nist(variant Variant) *NIST {
	nist := NewNIST(variant)
	for _, t := range c.texts(variant.tokenize) {
		nist.Add(t.prediction, t.references)
	}
	return nist
}

// ptb tokenizes every segment; unverified has found nothing.
func (c *Corpus) ptb() []text { return c.texts(TokenizePTB) }

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

func each(words []string, change func(string) string) []string {
	for i, w := range words {
		words[i] = change(w)
	}
	return words
}
