package gate

import (
	"math"

	"github.com/tenon-ml/tenon/host/report"
)

// probeModule is the module of metrics that come from a probe.
const probeModule = "probe"

// probeMetrics sums a probe up in numbers that rules and modules can read. Means over texts are weighted by their tokens; a number that
// has nothing to be made of is left out.
func probeMetrics(p *report.Probe) []report.Metric {
	var metrics []report.Metric
	add := func(name string, value float64) {
		metrics = append(metrics, report.Metric{Module: probeModule, Name: name, Value: report.Number(value)})
	}
	var task, general weighted
	most, excess, expected := math.Inf(-1), math.Inf(-1), false
	for _, text := range p.Texts {
		if text.NLLExpected != nil {
			expected = true
			if e := float64(text.NLLMerged - *text.NLLExpected); e > excess || math.IsNaN(e) {
				excess = e
			}
		}
		if text.Role == "task" {
			task.add(text)
			continue
		}
		general.add(text)
		if kl := float64(text.KL); kl > most || math.IsNaN(kl) {
			most = kl
		}
	}
	add("texts", float64(len(p.Texts)))
	if task.tokens > 0 {
		add("nll_base", task.base/task.tokens)
		add("nll_merged", task.merged/task.tokens)
		add("nll_change", (task.merged-task.base)/task.tokens)
	}
	if expected {
		add("nll_excess_max", excess)
	}
	if general.tokens > 0 {
		add("general_nll_change", (general.merged-general.base)/general.tokens)
		add("kl_mean", general.kl/general.tokens)
		add("kl_max", most)
	}
	if len(p.Completions) > 0 {
		matched := 0
		for _, c := range p.Completions {
			if c.Matched {
				matched++
			}
		}
		add("completions", float64(len(p.Completions)))
		add("completions_matched", float64(matched))
	}
	return metrics
}

// weighted sums texts by their tokens.
type weighted struct{ tokens, base, merged, kl float64 }

func (w *weighted) add(text report.ProbeText) {
	n := float64(text.Tokens)
	w.tokens += n
	w.base += n * float64(text.NLLBase)
	w.merged += n * float64(text.NLLMerged)
	w.kl += n * float64(text.KL)
}
