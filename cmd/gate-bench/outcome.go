package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/report"
)

// arm is one way to judge an adapter.
type arm int

// The arms.
const (
	unasked  arm = iota // the weights alone
	asked               // and a probe file of texts
	expected            // and the likelihoods that its merged model gave when nothing was wrong with it
	arms
)

func (a arm) String() string { return string("abc"[a]) }

// parseArms reads a list such as a,c.
func parseArms(text string) ([arms]bool, error) {
	var wanted [arms]bool
	for _, name := range strings.Split(text, ",") {
		i := strings.Index("abc", name)
		if i < 0 || len(name) != 1 {
			return wanted, fmt.Errorf("-arms %s: %q is no arm; the arms are a, b and c", text, name)
		}
		wanted[i] = true
	}
	return wanted, nil
}

// outcome is what the gate said of one adapter in one arm.
type outcome struct {
	verdict report.Verdict // "" where it was not judged in this arm
	codes   []string       // of findings that a person would act on, each once, sorted
}

// outcomes are those of all arms.
type outcomes struct {
	by      [arms]outcome
	probe   *report.Probe      // what the merged model said; nil where it was not asked, or there was none
	numbers map[string]float64 // what the rules hold against limits, by name
}

// general codes say only that there are findings: they are no reason.
var general = []string{"DIAGNOSTIC_DENIES", "DIAGNOSTIC_WARNS"}

// pairs are codes about two adapters. They are information: whoever loads both decides.
var pairs = []string{"NEAR_DUPLICATE", "DUPLICATE", "CLASH", "OPPOSITE"}

// newOutcome takes from a report what counts.
func newOutcome(r *report.Report) outcome {
	o := outcome{verdict: r.Verdict}
	for _, f := range r.Findings {
		if !slices.Contains(general, f.Code) && (f.Severity != report.Info || slices.Contains(pairs, f.Code)) {
			o.codes = append(o.codes, f.Code)
		}
	}
	slices.Sort(o.codes)
	o.codes = slices.Compact(o.codes)
	return o
}

// and is the outcome of one check that is also held against what more is known: the graver verdict, and the findings of both.
func (o outcome) and(more outcome) outcome {
	if !o.verdict.Open() {
		more.verdict = o.verdict
	}
	more.codes = slices.Concat(o.codes, more.codes)
	slices.Sort(more.codes)
	more.codes = slices.Compact(more.codes)
	return more
}

// Names of the numbers that limits are set on.
const (
	normRatio  = "norm_ratio" // the largest of all weights
	nllChange  = "nll_change"
	klMean     = "kl_mean"
	nllGeneral = "general_nll_change"
	nllExcess  = "nll_excess_max" // in the third arm only
)

var limited = []string{normRatio, nllChange, klMean, nllGeneral, nllExcess}

// numbers takes from a report what rules hold against a limit. What is not finite, or was not measured, is left out.
func numbers(r *report.Report) map[string]float64 {
	found := map[string]float64{}
	for _, m := range r.Metrics {
		v := float64(m.Value)
		if math.IsNaN(v) || math.IsInf(v, 0) || m.With != "" || !slices.Contains(limited, m.Name) {
			continue
		}
		if old, ok := found[m.Name]; !ok || v > old {
			found[m.Name] = v
		}
	}
	return found
}

// result is how the gate took a planted fault in one arm.
type result struct {
	verdict report.Verdict // "" where it was not judged in this arm
	reasons []string       // new findings, which the adapter without the fault does not have, that say what is wrong
	others  []string       // new findings that say something else
}

func (r result) judged() bool { return r.verdict != "" }
func (r result) found() bool  { return len(r.reasons) > 0 }

// judge holds what the gate says of a planted fault against what it says of the adapter without it.
func judge(f fault, benign, planted outcome) result {
	r := result{verdict: planted.verdict}
	for _, code := range planted.codes {
		switch {
		case slices.Contains(benign.codes, code):
		case slices.Contains(f.reasons, code), f.with == nil && slices.Contains(behaves, code):
			r.reasons = append(r.reasons, code)
		default:
			r.others = append(r.others, code)
		}
	}
	return r
}

// moved is by how much a likelihood or a divergence must differ from the benign adapter's to count as a change of what the model does, in
// nats a token. Equal weights give equal bits, so anything above 0 is a change; one below a fiftieth is of no consequence.
const moved = 0.02

// unchanged reports whether the merged model, as far as it was asked, does what it did without the fault. A model that cannot be made, or
// that was not asked, is not known to be unchanged.
func unchanged(benign, planted outcomes) bool {
	if benign.probe == nil || planted.probe == nil {
		return false
	}
	for _, name := range []string{nllChange, klMean} {
		before, hadOne := benign.numbers[name]
		after, hasOne := planted.numbers[name]
		if hadOne != hasOne || math.Abs(after-before) > moved {
			return false
		}
	}
	return true
}
