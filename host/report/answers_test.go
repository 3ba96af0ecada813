package report

import (
	"math"
	"strings"
	"testing"
)

// adapted is a report of an adapter whose tensors all reach the base, compared with adapters peer-a, peer-b and so on.
func adapted(peers int, metrics ...Metric) *Report {
	r := &Report{Coverage: Coverage{Applied: 4}, Modules: []Module{{ID: "hygiene", Status: "ok"}}, Metrics: metrics}
	for i := range peers {
		name := string(rune('a' + i))
		r.Peers = append(r.Peers, Peer{Ref: "adapters/peer-" + name, Digest: digest(name)})
	}
	return r
}

// against is a metric of the adapter as a whole and one other, and of each target named.
func against(peer, name string, value float64, targets ...string) []Metric {
	if len(targets) == 0 {
		targets = []string{""}
	}
	var all []Metric
	for _, target := range targets {
		all = append(all, Metric{Module: "interference", Target: target, Name: name, With: digest(peer), Value: Number(value)})
	}
	return all
}

func each(name string, values ...float64) []Metric {
	var all []Metric
	for i, v := range values {
		all = append(all, Metric{Target: "layers." + string(rune('0'+i)) + ".weight", Name: name, Value: Number(v)})
	}
	return all
}

func joined(parts ...[]Metric) []Metric {
	var all []Metric
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// holds reports what a text lacks, or holds and should not.
func holds(t *testing.T, text string, want, not []string) {
	t.Helper()
	for _, part := range want {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not hold %q", text, part)
		}
	}
	for _, part := range not {
		if strings.Contains(text, part) {
			t.Errorf("%q holds %q", text, part)
		}
	}
}

func TestClash(t *testing.T) {
	found := func(r *Report, code string) *Report {
		r.Findings = append(r.Findings, Finding{Code: code, Module: "interference", Severity: Warn})
		return r
	}
	for name, c := range map[string]struct {
		r         *Report
		want, not []string
	}{
		"clashes before cosines": {found(adapted(2, joined(against("a", "cosine", 0.6), against("a", "clashes", 0), against("b", "cosine", -0.5),
			against("b", "clashes", 7), against("b", "shared_targets", 42))...), "CLASH"),
			[]string{"clashes with 1 of 2 adapters, most with peer-b",
				"in 7 of the 42 weights that both adapt", "cosine −0.50", "see above"}, []string{"peer-a"}},
		"more clashes": {adapted(2, joined(against("a", "cosine", -0.6), against("a", "clashes", 1), against("b", "cosine", -0.3),
			against("b", "clashes", 2))...), []string{"2 of 2 adapters, most with peer-b", "in 2 weights"}, []string{"see above"}},
		"one clash": {adapted(1, joined(against("a", "cosine", -0.6), against("a", "clashes", 3), against("a", "shared_targets", 3))...),
			[]string{"it clashes with peer-a: in 3 of the 3 weights"}, nil},
		"opposed before alike": {adapted(2, joined(against("a", "cosine", 0.9), against("b", "cosine", -0.2))...),
			[]string{"the most opposed is peer-b", "against each other"}, nil},
		"alike before hardly opposed": {adapted(2, joined(against("a", "cosine", -0.001), against("b", "cosine", 0.4))...),
			[]string{"the closest is peer-b", "in part the same way"}, nil},
		"overwhelming and small": {adapted(1, joined(against("a", "cosine", 0.045), against("a", "cosine_z", 184, "0", "1"))...),
			[]string{"are related, but little", "cosine 0.045"}, []string{"are unrelated"}},
		"by chance":     {adapted(1, joined(against("a", "cosine", 0.045), against("a", "cosine_z", -4.9, "0", "1"))...), []string{"the two are unrelated ("}, nil},
		"small weights": {adapted(1, joined(against("a", "cosine", -0.3), against("a", "cosine_z", -2, "0", "1"))...), []string{"the two are unrelated ("}, nil},
		"in most": {adapted(1, joined(against("a", "cosine", 0.004), against("a", "cosine_z", 1, "0", "1"), against("a", "cosine_z", 9, "2"))...),
			[]string{"are unrelated in 2 of 3 weights", "cosine 0.004"}, nil},
		"by the dimensions": {adapted(1, joined(against("a", "cosine", 0.045, "0"), against("a", "phi_delta_11_null", 1.0/4096, "0"),
			against("a", "phi_delta_left_11_null", 1.0/4096, "0"))...), []string{"related, but little"}, nil},
		"of what nobody judged": {adapted(1, against("a", "cosine", 0.01)...), []string{"have little in common"}, []string{"are unrelated"}},
		"nothing":               {adapted(1), []string{"nothing was measured"}, nil},
	} {
		t.Run(name, func(t *testing.T) { holds(t, clash(c.r), c.want, c.not) })
	}
}

func TestEffect(t *testing.T) {
	lost := adapted(0, each("norm_ratio", 1e-6, 2e-6)...)
	lost.Findings = []Finding{{Code: "AD_NO_EFFECT", Module: "hygiene", Severity: DenySeverity}}
	inf := math.Inf(1)
	for name, c := range map[string]struct {
		r         *Report
		want, not []string
	}{
		"some zero":     {adapted(0, each("norm_ratio", 0, 0, 0, 0.1, 0.3)...), []string{"changes 2 weights and leaves 3 as they are", "typically 20 %"}, nil},
		"all zero":      {adapted(0, each("norm_ratio", 0, 0)...), []string{"no: every change is zero"}, nil},
		"lost":          {lost, []string{"no: "}, []string{"it changes"}},
		"of zeros too":  {adapted(0, each("norm_ratio", 0.2, inf)...), []string{"changes 2 weights;", "typically 20 %"}, nil},
		"of zeros only": {adapted(0, each("norm_ratio", inf)...), []string{"changes 1 weight"}, []string{"typically", "Inf"}},
		"not measured":  {adapted(0), []string{"4 of 4 tensors reach the base"}, nil},
	} {
		t.Run(name, func(t *testing.T) { holds(t, effect(c.r), c.want, c.not) })
	}
}

func TestStrength(t *testing.T) {
	inf := math.Inf(1)
	for name, c := range map[string]struct {
		values    []float64
		want, not []string
	}{
		"finite":   {[]float64{0.2, 0.5}, []string{"the largest change is 50 % of the weight it changes, in layers.1.weight"}, nil},
		"infinite": {[]float64{0.2, inf}, []string{"all there is in layers.1.weight", "all zeros", "elsewhere the largest change is 20 %", "layers.0.weight"}, nil},
		"only":     {[]float64{inf, inf}, []string{"all there is in layers.0.weight and 1 more"}, []string{"elsewhere"}},
		"zero":     {[]float64{0, math.NaN()}, nil, []string{"largest"}},
	} {
		t.Run(name, func(t *testing.T) { holds(t, strength(adapted(0, each("norm_ratio", c.values...)...)), c.want, c.not) })
	}
}

func TestDamage(t *testing.T) {
	const sound, untried = "no damage was found in its values", "its factors hold nothing broken; the merge was not tried"
	merged := each("merge_gain", 1)
	denial := Finding{Code: "PROBE_TASK_WORSE", Module: "policy", Severity: DenySeverity, Message: "the merged model is\x1b worse"}
	found := func(code string, severity Severity) Finding {
		return Finding{Code: code, Module: "hygiene", Severity: severity}
	}
	for name, c := range map[string]struct {
		metrics   []Metric
		findings  []Finding
		want, not []string
	}{
		"sound":            {merged, nil, []string{sound}, []string{";"}},
		"factors alone":    {nil, nil, []string{untried}, []string{sound}},
		"denied":           {merged, []Finding{denial}, []string{sound + "; a probe denies it: the merged model is\\x1b worse"}, []string{"\x1b"}},
		"warned":           {merged, []Finding{{Code: "PROBE_COMPLETION", Module: "policy", Severity: Warn}}, []string{sound}, []string{"probe"}},
		"unfinished":       {merged, []Finding{{Code: "PROBE_FAILED", Severity: DenySeverity}}, []string{sound}, []string{"denies"}},
		"part of nothing":  {merged, []Finding{found("AD_ZERO", Warn)}, []string{"part of it does nothing", sound}, []string{"wrong with"}},
		"nothing":          {nil, []Finding{found("AD_NO_EFFECT", DenySeverity), found("AD_ZERO", Warn)}, []string{"it does nothing"}, []string{"wrong", "tried", "part of"}},
		"broken":           {merged, []Finding{found("AD_ZERO", Warn), found("AD_NONFINITE", DenySeverity)}, []string{"something is wrong", "1 deny"}, []string{"warn"}},
		"broken and tried": {merged, []Finding{found("AD_SCALE", Warn), denial}, []string{"something is wrong", "a probe denies it"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := adapted(0, c.metrics...)
			r.Findings = c.findings
			holds(t, damage(r), c.want, c.not)
		})
	}
	r := adapted(0)
	r.Probe = &Probe{}
	holds(t, damage(r), []string{sound}, nil)
	r.Modules, r.Findings = nil, []Finding{denial}
	holds(t, damage(r), []string{"were not looked at; a probe denies it"}, nil)
	if r.Findings = nil; damage(r) != "" {
		t.Errorf("nobody looked, and the answer is %q", damage(r))
	}
}

func TestLikeness(t *testing.T) {
	r := adapted(0, Metric{Name: "anomaly_p", Value: 0.25})
	holds(t, likeness(r), []string{"those of your bank"}, nil)
	r.Bank = &Bank{Adapters: 11}
	holds(t, likeness(r), []string{"the 11 of your bank"}, nil)
	r.Metrics = append(r.Metrics, Metric{Name: "bank_adapters", Value: 7}) // those that change the same weights
	holds(t, likeness(r), []string{"the 7 of your bank"}, nil)
}
