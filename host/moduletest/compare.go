package moduletest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// names turn the indices of a result into names.
type names struct{ targets, peers []string }

func namesOf(in sandbox.Input) names {
	var n names
	for _, t := range in.Targets {
		n.targets = append(n.targets, t.Name)
	}
	for _, p := range in.Peers {
		n.peers = append(n.peers, p.Name)
	}
	return n
}

func named(list []string, i int) string {
	if i < 0 || i >= len(list) {
		return ""
	}
	return list[i]
}

// compare holds a result against what was expected.
func compare(o *Outcome, want Expectation, r sandbox.Result, n names) {
	if r.Status != want.Status {
		what := fmt.Sprintf("status %s, want %s", r.Status, want.Status)
		if r.Error != "" {
			what += ": " + r.Error
		}
		o.Problems = append(o.Problems, Problem{What: what, Fix: cmp.Or(bugFix(r), statusFixes[r.Status]), Log: said(r)})
		return // of a run that ended otherwise the rest says nothing
	}
	for _, m := range want.Metrics {
		compareMetric(o, m, r, n)
	}
	compareFindings(o, want, r, n)
}

var statusFixes = map[sandbox.Status]string{
	sandbox.Denied:  "name the capability under needs in the manifest, or grant it in the case",
	sandbox.Timeout: "ask for more time with limits.run_ms in the manifest, or do less",
	sandbox.Memory:  "ask for more with limits.guest_memory in the manifest, or hold less",
}

func compareMetric(o *Outcome, want ExpectedMetric, r sandbox.Result, n names) {
	label := "metric " + subject(want.Name, want.Target, want.Peer)
	var given []string
	for _, m := range r.Metrics {
		target, peer := named(n.targets, m.Target), named(n.peers, m.Peer)
		if target != want.Target || peer != want.Peer {
			continue
		}
		if m.Name != want.Name {
			given = append(given, m.Name)
			continue
		}
		if !within(m.Value, want.Value, want.Tolerance) {
			o.wrong(fmt.Sprintf("%s is %s, want %s within %s", label, number(m.Value), number(want.Value), number(want.Tolerance)), "")
		}
		return
	}
	fix := "the module gave no metric there"
	if len(given) > 0 {
		slices.Sort(given)
		fix = "the module gave there: " + strings.Join(given[:min(len(given), 12)], ", ")
	}
	o.wrong(label+" was not given", fix)
}

func compareFindings(o *Outcome, want Expectation, r sandbox.Result, n names) {
	used := make([]bool, len(r.Findings))
	for _, f := range want.Findings {
		near, found := "", false
		for i, got := range r.Findings {
			if used[i] || got.Code != f.Code || named(n.targets, got.Target) != f.Target {
				continue
			}
			switch {
			case got.Severity != f.Severity:
				near = fmt.Sprintf("its severity is %s", severityName(got.Severity))
			case f.Value != nil && !within(got.Value, *f.Value, DefaultTolerance):
				near = fmt.Sprintf("its value is %s, want %s", number(got.Value), number(*f.Value))
			default:
				used[i], found = true, true
			}
			if found {
				break
			}
			used[i] = true // told here, not again as one too many
		}
		if !found {
			what := fmt.Sprintf("finding %s %s was not given", severityName(f.Severity), subject(f.Code, f.Target, ""))
			if near != "" {
				what = fmt.Sprintf("finding %s: %s", subject(f.Code, f.Target, ""), near)
				if !strings.HasPrefix(near, "its value") {
					what += ", want " + severityName(f.Severity)
				}
			}
			o.wrong(what, "")
		}
	}
	if !want.OnlyTheseFindings {
		return
	}
	for i, got := range r.Findings {
		if !used[i] {
			o.wrong(fmt.Sprintf("finding %s %s was not expected: %s", severityName(got.Severity),
				subject(got.Code, named(n.targets, got.Target), ""), got.Message), "")
		}
	}
}

// subject says what a metric or finding is about.
func subject(name, target, peer string) string {
	if target != "" {
		name += " of " + target
	}
	if peer != "" {
		name += " with " + peer
	}
	return name
}

// within reports whether got is want to a part of want; of a want of 0, to an absolute difference. NaN is NaN.
func within(got, want, tolerance float64) bool {
	if math.IsNaN(want) || math.IsNaN(got) {
		return math.IsNaN(want) && math.IsNaN(got)
	}
	if math.IsInf(want, 0) || math.IsInf(got, 0) || got == want {
		return got == want
	}
	if want != 0 {
		tolerance *= math.Abs(want)
	}
	return math.Abs(got-want) <= tolerance
}

func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func severityName(s abi.Severity) string {
	if s < 0 || int(s) >= len(severityNames) {
		return "of no severity"
	}
	return severityNames[s]
}
