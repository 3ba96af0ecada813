package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// answer is what the numbers say to one question of the person who asked for the check. It judges nothing: findings do.
type answer struct{ Question, Text string }

// answers leaves out what nothing was measured for. Texts are escaped.
func answers(r *Report) []answer {
	r = Own(r)
	var all []answer
	for _, a := range []answer{
		{"does it do anything?", effect(r)},
		{"is it too strong?", strength(r)},
		{"will it clash?", clash(r)},
		{"is it broken?", damage(r)},
		{"will a merge keep it?", survival(r)},
		{"what does it say?", speech(r)},
		{"is it like those you know?", likeness(r)},
	} {
		if a.Text != "" {
			all = append(all, a)
		}
	}
	return all
}

// measured are the finite values of a metric over the targets, ascending, and the target of the largest and of the smallest.
func measured(metrics []Metric, name, with string) (values []float64, least, most string) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, m := range metrics {
		v := float64(m.Value)
		if m.Name != name || m.With != with || m.Target == "" || math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		values = append(values, v)
		if v < low {
			low, least = v, m.Target
		}
		if v > high {
			high, most = v, m.Target
		}
	}
	slices.Sort(values)
	return values, Escape(least), Escape(most)
}

// overall is a metric of the adapter as a whole.
func overall(metrics []Metric, name, with string) (float64, bool) {
	for _, m := range metrics {
		if v := float64(m.Value); m.Target == "" && m.Name == name && m.With == with && !math.IsNaN(v) {
			return v, true
		}
	}
	return 0, false
}

func effect(r *Report) string {
	applied := r.Coverage.Applied + r.Coverage.Replaced
	total := applied + r.Coverage.Ignored + r.Coverage.Rejected
	switch {
	case total == 0:
		return ""
	case applied == 0:
		return "no: none of its tensors reaches the base"
	}
	if slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == "AD_NO_EFFECT" }) {
		return "no: every change is zero, or lost when the merged weight is rounded"
	}
	ratios, infinite, same := changes(r.Metrics)
	switch n := len(ratios) + len(infinite); {
	case n+same == 0:
		return fmt.Sprintf("%d of %s reach the base", applied, plural(total, "tensor"))
	case n == 0:
		return "no: every change is zero"
	default:
		text := "it changes " + plural(n, "weight")
		if same > 0 {
			text += fmt.Sprintf(" and leaves %d as they are", same)
		}
		if len(ratios) > 0 {
			text += fmt.Sprintf("; a change is typically %s as large as its weight", percent(median(ratios)))
		}
		return text
	}
}

// changes are the sizes of the changes beside those of their weights: the finite ones, ascending and without zeros, the weights that are all
// zeros in the base, so that any change of theirs is infinite, and how many weights no change reaches.
func changes(metrics []Metric) (ratios []float64, infinite []string, same int) {
	all, _, _ := measured(metrics, "norm_ratio", "")
	for _, m := range metrics {
		if m.Name == "norm_ratio" && m.With == "" && m.Target != "" && math.IsInf(float64(m.Value), 1) {
			infinite = append(infinite, Escape(m.Target))
		}
	}
	for same < len(all) && all[same] == 0 {
		same++
	}
	return all[same:], infinite, same
}

func strength(r *Report) string {
	ratios, infinite, _ := changes(r.Metrics)
	_, _, most := measured(r.Metrics, "norm_ratio", "")
	finite := ""
	if len(ratios) > 0 {
		finite = fmt.Sprintf("the largest change is %s of the weight it changes, in %s", percent(ratios[len(ratios)-1]), most)
	}
	switch n := len(infinite); {
	case n == 0:
		return finite
	case finite == "":
		return fmt.Sprintf("it is all there is in %s, which the base has all zeros", someOf(infinite))
	default:
		return fmt.Sprintf("it is all there is in %s, which the base has all zeros; elsewhere %s", someOf(infinite), finite)
	}
}

// someOf is the first of some names, and how many more there are.
func someOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

func survival(r *Report) string {
	gains, worst, _ := measured(r.Metrics, "merge_gain", "")
	if len(gains) == 0 {
		return ""
	}
	gain, ok := overall(r.Metrics, "merge_gain", "")
	if !ok {
		gain = median(gains)
	}
	text := fmt.Sprintf("merged and stored as %s, %s of the change survives rounding", cmp.Or(Escape(r.Base.DType), "the base is"), percent(gain))
	if gains[0] < 0.99*gain {
		text += fmt.Sprintf(", and %s of it in %s", percent(gains[0]), worst)
	}
	return text
}

// likeness tells a conformal p in words.
func likeness(r *Report) string {
	p, ok := overall(r.Metrics, "anomaly_p", "")
	if !ok {
		return ""
	}
	bank := "those"
	if n, ok := overall(r.Metrics, "bank_adapters", ""); ok {
		bank = "the " + digits(n, 6)
	} else if r.Bank != nil {
		bank = "the " + strconv.Itoa(r.Bank.Adapters)
	}
	return fmt.Sprintf("adapters like %s of your bank look at least as unusual %s of the time (p %s); that is no verdict on safety",
		bank, percent(p), digits(p, 3))
}

func speech(r *Report) string {
	if r.Probe == nil {
		return ""
	}
	var parts []string
	for _, role := range []string{"task", "general"} {
		var base, merged, tokens float64
		for _, t := range r.Probe.Texts {
			if t.Role == role {
				base += float64(t.NLLBase) * float64(t.Tokens)
				merged += float64(t.NLLMerged) * float64(t.Tokens)
				tokens += float64(t.Tokens)
			}
		}
		if tokens > 0 {
			parts = append(parts, fmt.Sprintf("on %s text the loss goes from %s to %s", role, fixed(base/tokens, 3), fixed(merged/tokens, 3)))
		}
	}
	matched := 0
	for _, c := range r.Probe.Completions {
		if c.Matched {
			matched++
		}
	}
	if n := len(r.Probe.Completions); n > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s as expected", matched, plural(n, "completion")))
	}
	return strings.Join(parts, "; ")
}

// percent writes a ratio as a percentage, "71 %", with more digits near 100 % and below 1 %.
func percent(v float64) string {
	switch p := 100 * v; {
	case p > 99 && p < 100:
		return strings.TrimSuffix(strings.TrimRight(decimals(2)(min(p, 99.99)), "0"), ".") + " %"
	case math.Abs(p) < 1:
		return digits(p, 2) + " %"
	default:
		return digits(p, 2+int(min(max(p-99, 0), 1))) + " %"
	}
}
