package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// answer is what the numbers say to one question of the person who asked for the check. It judges nothing: findings do.
type answer struct{ Question, Text string }

// answers leaves out what nothing was measured for. Texts are escaped.
func answers(r *Report) []answer {
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
	ratios, _, _ := measured(r.Metrics, "norm_ratio", "")
	if len(ratios) == 0 {
		return fmt.Sprintf("%d of %s reach the base", applied, plural(total, "tensor"))
	}
	if ratios[len(ratios)-1] == 0 {
		return "no: every change is zero"
	}
	return fmt.Sprintf("it changes %s; a change is typically %s as large as its weight", plural(len(ratios), "weight"), percent(median(ratios)))
}

func strength(r *Report) string {
	ratios, _, most := measured(r.Metrics, "norm_ratio", "")
	if len(ratios) == 0 || ratios[len(ratios)-1] == 0 {
		return ""
	}
	return fmt.Sprintf("the largest change is %s of the weight it changes, in %s", percent(ratios[len(ratios)-1]), most)
}

func clash(r *Report) string {
	if r.Coverage.Applied+r.Coverage.Replaced == 0 {
		return ""
	}
	if len(r.Peers) == 0 {
		return "not known: it was compared with no other adapter"
	}
	labels := PeerLabels(r.Peers)
	best, name := 0.0, ""
	for _, peer := range r.Peers {
		cosine, ok := overall(r.Metrics, "cosine", peer.Digest)
		if cosines, _, _ := measured(r.Metrics, "cosine", peer.Digest); !ok && len(cosines) > 0 {
			cosine, ok = median(cosines), true
		}
		if ok && (name == "" || math.Abs(cosine) > math.Abs(best)) {
			best, name = cosine, labels[peer.Digest]
		}
	}
	if name == "" {
		return "nothing was measured against " + plural(len(r.Peers), "other adapter")
	}
	way := "in unrelated directions"
	switch {
	case best > 0.05:
		way = "in part the same way"
	case best < -0.05:
		way = "in part against it"
	}
	closest := "compared with " + name
	if len(r.Peers) > 1 {
		closest = fmt.Sprintf("of %s the closest is %s", plural(len(r.Peers), "adapter"), name)
	}
	return fmt.Sprintf("%s: the two pull %s (cosine %s; 1 is the same, 0 unrelated, -1 opposite)", closest, way, decimals(2)(best))
}

func damage(r *Report) string {
	i := slices.IndexFunc(r.Modules, func(m Module) bool { return m.ID == "hygiene" })
	if i < 0 {
		return ""
	}
	if r.Modules[i].Status != "ok" {
		return "not known: the diagnostic that looks for damage did not run to its end"
	}
	var found []Finding
	for _, f := range r.Findings {
		if f.Module == "hygiene" && f.Severity != Info {
			found = append(found, f)
		}
	}
	if len(found) > 0 {
		return "something is wrong with its values: " + counts(found) + ", see above"
	}
	return "no damage was found in its values"
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
	return fmt.Sprintf("adapters like those of your bank look at least as unusual %s of the time (p %s); that is no verdict on safety",
		percent(p), digits(p, 3))
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
