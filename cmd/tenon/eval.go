package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/host/evaluation"
	"github.com/tenon-ml/tenon/host/fault"
)

func (c *command) eval() *cobra.Command {
	var predictions, references, nist, format string
	var model modelEvaluation
	var names []string
	var all, defaults []string
	for _, m := range evaluation.Metrics() {
		all = append(all, string(m))
	}
	for _, m := range evaluation.Defaults() {
		defaults = append(defaults, string(m))
	}
	cmd := &cobra.Command{
		Use: "eval --predictions FILE --references FILE | --base MODEL --text FILE",

		DisableFlagsInUseLine: true,

		Short: "Score generated text against references, or models on texts",
		Long: `Eval computes BLEU, NIST, ROUGE-L and CIDEr to the digit as the scripts of the
E2E generation challenge do. Predictions are one a line. References are groups
of lines with a blank line between two groups, in the order of the predictions.

ROUGE-L and CIDEr need a tokenizer that was verified on E2E text alone: text
with other characters is refused. METEOR ex_st_sy is METEOR 1.5 without its
table of paraphrases, a lower number that must not be read as METEOR; it is
verified on the words of E2E texts, and computed when --metrics names it.

With --base it asks models instead: how likely the base, and each adapter merged
into it, finds the texts (val_loss, in nats a token, and perplexity), and with
--generate how what they write after each prompt scores against the texts that
stand after it. A line of the file is a text, or prompt||text, of which only
the text is scored. A score of the completions that a tokenizer is verified on,
where it is not on all of them, is called NAME_sub.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := errors.Join(need("predictions", predictions), need("references", references))
			if model.base != "" {
				given = need("text", model.text)
			}
			if model.limit < 0 {
				given = errors.Join(given, fault.New(fault.UsageFlag, "--limit %d is below 0", model.limit).Fix("leave it out to take all"))
			}
			err := errors.Join(given, oneOf("nist", nist, evaluation.Variants()...), oneOf("output", format, formats...))
			if model.base != "" && !cmd.Flags().Changed("metrics") {
				names = all // what cannot be computed of a model's text is left out
			}
			if len(names) == 0 {
				err = errors.Join(err, need("metrics", ""))
			}
			var wanted []evaluation.Metric
			for _, name := range names {
				err = errors.Join(err, oneOf("metrics", name, all...))
				wanted = append(wanted, evaluation.Metric(name))
			}
			if err != nil {
				return err
			}
			if model.base != "" {
				model.metrics, model.nist, model.format = wanted, evaluation.Variant(nist), format
				return c.evaluateModel(cmd.Context(), model)
			}
			corpus, err := evaluation.Read(predictions, references)
			if err != nil {
				return err
			}
			scores, err := corpus.Evaluate(wanted, evaluation.Variant(nist))
			if err != nil {
				return err
			}
			view := newEvaluation(corpus, scores, nist)
			if format == "json" {
				return json.MarshalWrite(c.stdout, view, json.Deterministic(true), jsontext.WithIndent("  "))
			}
			return c.printEvaluation(view, scores)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&predictions, "predictions", "", "text `FILE` with one prediction a line")
	flags.StringVar(&references, "references", "", "text `FILE` with groups of references")
	flags.StringVar(&nist, "nist", string(evaluation.Python), "`VARIANT` of NIST, by the script that computes it: "+strings.Join(evaluation.Variants(), ", "))
	flags.StringSliceVar(&names, "metrics", defaults, "`METRIC`s to compute, of "+strings.Join(all, ", "))
	flags.StringVar(&model.base, "base", "", "base checkpoint to ask: a `DIR` in Hugging Face layout")
	flags.StringArrayVar(&model.adapters, "adapter", nil, "`ADAPTER` to merge into the base and ask; repeat for several")
	flags.StringVar(&model.text, "text", "", "`FILE` of texts, or of prompt||text, one a line")
	flags.IntVar(&model.limit, "limit", 0, "score `N` of the texts and complete N of the prompts, evenly over the file (default: all)")
	flags.BoolVar(&model.generate, "generate", false, "also complete each prompt and score what is written")
	flags.IntVar(&model.maxTokens, "max-tokens", 80, "`N` tokens of the longest completion")
	flags.StringVarP(&format, "output", "o", "text", "`FORMAT` on stdout: "+strings.Join(formats, ", "))
	return cmd
}

// evaluationView is the JSON of tenon eval, schema tenon.evaluation/v1.
type evaluationView struct {
	SchemaVersion string                        `json:"schemaVersion"`
	Segments      int                           `json:"segments"`
	References    int                           `json:"references"`
	Metrics       map[evaluation.Metric]float64 `json:"metrics"`
	NISTVariant   string                        `json:"nistVariant,omitzero"` // when NIST is among the metrics
	// Configurations identify how a metric was computed, for those of which there are several under one name.
	Configurations map[evaluation.Metric]string `json:"configurations,omitzero"`
}

func newEvaluation(corpus *evaluation.Corpus, scores []evaluation.Score, nist string) evaluationView {
	view := evaluationView{SchemaVersion: "tenon.evaluation/v1", Segments: len(corpus.Segments), Metrics: map[evaluation.Metric]float64{}}
	for _, s := range corpus.Segments {
		view.References += len(s.References)
	}
	for _, s := range scores {
		view.Metrics[s.Metric] = s.Value
		if id := s.Metric.Configuration(); id != "" {
			view.Configurations = map[evaluation.Metric]string{s.Metric: id}
		}
	}
	if slices.ContainsFunc(scores, func(s evaluation.Score) bool { return s.Metric == evaluation.MetricNIST }) {
		view.NISTVariant = nist
	}
	return view
}

func (c *command) printEvaluation(view evaluationView, scores []evaluation.Score) error {
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	for _, s := range scores {
		note := fmt.Sprintf("%s, %s", plural(view.Segments, "segment"), plural(view.References, "reference"))
		if s.Metric == evaluation.MetricNIST {
			note += ", " + view.NISTVariant + " variant"
		}
		fmt.Fprintf(table, "%s\t%.6f\t%s\n", s.Metric.Title(), s.Value, note)
		if id := s.Metric.Configuration(); id != "" {
			fmt.Fprintf(table, "\t\t%s\n", id)
		}
	}
	if err := table.Flush(); err != nil {
		return fault.New(fault.IOWrite, "the result cannot be written").Wrap(err)
	}
	return nil
}

// plural is "1 segment" or "3 segments".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
