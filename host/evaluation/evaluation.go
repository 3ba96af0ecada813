// Package evaluation scores generated text against references with BLEU, NIST, ROUGE-L and CIDEr, to the digit as the evaluation scripts
// of the E2E generation challenge define them, so that a rank sweep can be read beside published tables of that data set.
package evaluation

import (
	"fmt"
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
)

// Metrics lists every metric in the order of printing.
func Metrics() []Metric { return []Metric{MetricBLEU, MetricNIST, MetricROUGE, MetricCIDEr} }

// Title is the metric's name as papers write it.
func (m Metric) Title() string {
	return map[Metric]string{MetricBLEU: "BLEU", MetricNIST: "NIST", MetricROUGE: "ROUGE-L", MetricCIDEr: "CIDEr"}[m]
}

// Score is one metric of a corpus. BLEU and ROUGE-L lie between 0 and 1, CIDEr between 0 and 10; NIST has no upper bound.
type Score struct {
	Metric   Metric
	Value    float64
	Segments []float64 // one a segment, for ROUGE-L and CIDEr, whose Value is their mean; nil for the others
}

// Evaluate computes the wanted metrics, in the order of Metrics. A metric that these texts leave undefined, or whose tokenizer was never
// verified on one of their characters, is an error and not a guess; all such errors are reported together.
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
	if slices.Contains(wanted, MetricROUGE) || slices.Contains(wanted, MetricCIDEr) {
		if unverified := c.unverified(); len(unverified) > 0 {
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
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return scores, nil
}

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

// maxPlaces bounds how many unverified characters are listed: a text in another script would fill the screen.
const maxPlaces = 10

// unverified lists the characters, each once a line, for which nobody compared TokenizePTB with the tokenizer it stands in for.
func (c *Corpus) unverified() fault.List {
	var problems fault.List
	type place struct {
		file string
		line int
		r    rune
	}
	seen := map[place]bool{}
	check := func(file string, line Line) {
		column := 0
		for _, r := range line.Text {
			column++
			key := place{file, line.Number, r}
			if Verified(r) || seen[key] {
				continue
			}
			seen[key] = true
			problems.Add(fault.New(fault.UsageFlag, "line %d, character %d: ROUGE-L and CIDEr are unverified for %q (%U)", line.Number, column, r, r).
				In(file).Fix("replace the character, or ask for --metrics bleu,nist alone"))
		}
	}
	for _, s := range c.Segments {
		check(c.PredictionFile, s.Prediction)
		for _, r := range s.References {
			check(c.ReferenceFile, r)
		}
	}
	if more := len(problems) - maxPlaces; more > 0 {
		problems = problems[:maxPlaces]
		last := problems[maxPlaces-1]
		last.Cause = fmt.Sprintf("%s, and there are %d more such places in both files", last.Cause, more)
	}
	return problems
}

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
