package main

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/evaluation"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/probe"
	"github.com/tenon-ml/tenon/host/report"
)

// modelEvaluation asks a base, and adapters merged into it, how likely they find texts and what they would write.
type modelEvaluation struct {
	base      string
	adapters  []string
	text      string
	limit     int
	generate  bool
	maxTokens int
	metrics   []evaluation.Metric
	nist      evaluation.Variant
	format    string
}

// modelScores is the JSON of one model, as tenon sweep --eval reads it.
type modelScores struct {
	Adapter    string         `json:"adapter"` // "" is the base alone
	Texts      int            `json:"texts"`
	Tokens     int            `json:"tokens"`              // of these, as val_loss and kl count them
	Segments   int            `json:"segments,omitzero"`   // how many prompts were completed
	References int            `json:"references,omitzero"` // the texts that their completions were held against
	Scored     map[string]int `json:"scored,omitzero"`     // by metric, of how many prompts, where not of all
	Diverged   int            `json:"diverged,omitzero"`   // prompts whose completion ended because a prediction was not finite

	Metrics map[string]report.Number `json:"metrics"`

	order []string // of Metrics
}

func (s *modelScores) add(name string, value float64) {
	s.Metrics[name] = report.Number(value)
	s.order = append(s.order, name)
}

// evaluateModel prints one line a model.
func (c *command) evaluateModel(ctx context.Context, e modelEvaluation) error {
	examples, err := probe.ReadTexts(e.text)
	if err != nil {
		return err
	}
	h, err := c.host()
	if err != nil {
		return err
	}
	b, err := h.OpenBase(e.base)
	if err != nil {
		return err
	}
	defer b.Close()
	var all []modelScores
	for _, ref := range append([]string{""}, e.adapters...) {
		scores, err := c.scoreModel(ctx, h, b, ref, e, examples)
		if err != nil {
			return err
		}
		all = append(all, *scores)
	}
	if e.format == "json" {
		text, err := json.Marshal(all, json.Deterministic(true), jsontext.WithIndent("  "))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.stdout, "%s\n", text)
		return err
	}
	return c.printModels(all)
}

func (c *command) scoreModel(ctx context.Context, h *host.Host, b *base.Base, ref string, e modelEvaluation, examples []probe.Text) (*modelScores, error) {
	scores := &modelScores{Metrics: map[string]report.Number{}}
	if ref != "" {
		scores.Adapter = filepath.Base(strings.TrimRight(ref, "/"))
	}
	texts := spread(examples, e.limit)
	likelihood, err := h.Score(ctx, b, ref, e.text, texts)
	if err != nil {
		return nil, err
	}
	scores.Texts, scores.Tokens = len(texts), likelihood.Tokens
	scores.add("val_loss", likelihood.NLLMerged)
	scores.add("perplexity", likelihood.PerplexityMerged())
	if ref != "" {
		scores.add("kl", likelihood.KL)
	}
	if e.generate {
		return scores, c.scoreGenerated(ctx, h, b, ref, e, examples, scores)
	}
	return scores, nil
}

// scoreGenerated completes each prompt once, at most limit of them, and holds the answers against all texts that follow it in the file.
func (c *command) scoreGenerated(ctx context.Context, h *host.Host, b *base.Base, ref string, e modelEvaluation, examples []probe.Text, scores *modelScores) error {
	corpus := &evaluation.Corpus{PredictionFile: "what the model wrote", ReferenceFile: e.text}
	place := map[string]int{}
	var prompts []string
	for i, ex := range examples {
		if ex.Prompt == "" {
			return fault.New(fault.UsageFlag, "%s has no prompt, so there is nothing to complete", ex.ID).In(e.text).Fix("write prompt||text, or leave --generate out")
		}
		at, seen := place[ex.Prompt]
		if !seen {
			at = len(prompts)
			place[ex.Prompt] = at
			prompts = append(prompts, ex.Prompt)
			corpus.Segments = append(corpus.Segments, evaluation.Segment{})
		}
		corpus.Segments[at].References = append(corpus.Segments[at].References, evaluation.Line{Number: i + 1, Text: strings.TrimSpace(ex.Text)})
	}
	prompts, corpus.Segments = spread(prompts, e.limit), spread(corpus.Segments, e.limit)
	scores.Segments = len(corpus.Segments)
	for _, s := range corpus.Segments {
		scores.References += len(s.References)
	}
	answers, err := h.Complete(ctx, b, ref, prompts, e.maxTokens)
	if err != nil {
		return err
	}
	for i, answer := range answers {
		if answer.Diverged {
			scores.Diverged++
		}
		corpus.Segments[i].Prediction = evaluation.Line{Number: i + 1, Text: strings.TrimSpace(answer.Text)}
	}
	for _, metric := range e.metrics {
		name, segments := string(metric), corpus.Segments
		got, err := corpus.Evaluate([]evaluation.Metric{metric}, e.nist)
		if err != nil { // a model can write what a tokenizer was never verified on: those prompts are left out, and the score says so by its name
			name, segments = name+verifiedSuffix, verifiedSegments(corpus.Segments, metric, e.nist)
			fmt.Fprintf(c.stderr, "%s: %s of %d of %d prompts alone: %s\n",
				modelName(scores.Adapter), metric.Title(), len(segments), len(corpus.Segments), report.Escape(firstLine(err)))
			if len(segments) == 0 {
				continue
			}
			part := *corpus
			part.Segments = segments
			if got, err = part.Evaluate([]evaluation.Metric{metric}, e.nist); err != nil {
				return err
			}
			if scores.Scored == nil {
				scores.Scored = map[string]int{}
			}
			scores.Scored[name] = len(segments)
		}
		scores.add(name, got[0].Value)
	}
	return nil
}

// verifiedSuffix marks a score of a subset: the prompts whose completions the metric's tokenizer was verified on.
const verifiedSuffix = "_sub"

// verifiedSegments are those that can be scored one by one.
func verifiedSegments(segments []evaluation.Segment, metric evaluation.Metric, nist evaluation.Variant) (kept []evaluation.Segment) {
	for _, s := range segments {
		alone := evaluation.Corpus{Segments: []evaluation.Segment{s}}
		if _, err := alone.Evaluate([]evaluation.Metric{metric}, nist); err == nil {
			kept = append(kept, s)
		}
	}
	return kept
}

// modelName is what a model is called in a table.
func modelName(adapter string) string {
	if adapter == "" {
		return "(base)"
	}
	return adapter
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// spread takes at most limit items, evenly over all; 0 takes all.
func spread[T any](items []T, limit int) []T {
	if limit <= 0 || limit >= len(items) {
		return items
	}
	taken := make([]T, limit)
	for i := range taken {
		taken[i] = items[i*len(items)/limit]
	}
	return taken
}

func (c *command) printModels(all []modelScores) error {
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	var columns []string
	for _, s := range all {
		for _, column := range s.order {
			if !slices.Contains(columns, column) {
				columns = append(columns, column)
			}
		}
	}
	fmt.Fprintf(table, "model\ttokens\t%s\t\n", strings.Join(columns, "\t"))
	for _, s := range all {
		fmt.Fprintf(table, "%s\t%d\t", report.Escape(modelName(s.Adapter)), s.Tokens)
		for _, column := range columns {
			value, ok := s.Metrics[column]
			if !ok {
				fmt.Fprint(table, "-\t")
				continue
			}
			fmt.Fprintf(table, "%s\t", fixedDigits(float64(value)))
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return fault.New(fault.IOWrite, "the result cannot be written").Wrap(err)
	}
	return nil
}

// fixedDigits writes four significant digits or more.
func fixedDigits(v float64) string {
	if math.Abs(v) >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.4f", v)
}
