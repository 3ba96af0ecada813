package moduletest

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

func TestWithin(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		got, want, tolerance float64
		ok                   bool
	}{
		{1, 1, 0, true}, {1.001, 1, 1e-3 + 1e-12, true}, {1.002, 1, 1e-3, false}, {-1, 1, 1, false}, {1e-10, 0, 1e-9, true}, {1e-8, 0, 1e-9, false},
		{nan, nan, 0, true}, {nan, 1, inf, false}, {1, nan, 1, false}, {inf, inf, 0, true}, {inf, -inf, 1, false}, {1, inf, 1, false},
		{-200, -100, 0.5, false},
	} {
		if within(c.got, c.want, c.tolerance) != c.ok {
			t.Errorf("%g for %g within %g: %t", c.got, c.want, c.tolerance, !c.ok)
		}
	}
}

func TestCompare(t *testing.T) {
	n := names{targets: []string{"w", "v"}, peers: []string{"p"}}
	result := sandbox.Result{Status: sandbox.OK,
		Metrics: []sandbox.Metric{{Target: 0, Peer: -1, Name: "ratio", Value: 2}, {Target: 1, Peer: 0, Name: "cosine", Value: 0.5},
			{Target: -1, Peer: -1, Name: "all", Value: 1}},
		Findings: []sandbox.Finding{{Target: 0, Severity: abi.Warn, Code: "LOPSIDED", Value: 40, Message: "too large"}}}
	two := 2.0
	for name, c := range map[string]struct {
		want Expectation
		told []string
	}{
		"as expected": {Expectation{Metrics: []ExpectedMetric{{Target: "w", Name: "ratio", Value: 2}, {Target: "v", Peer: "p", Name: "cosine",
			Value: 0.5},
			{Name: "all", Value: 1}}, Findings: []ExpectedFinding{{Target: "w", Severity: abi.Warn, Code: "LOPSIDED"}}, OnlyTheseFindings: true}, nil},
		"another value": {Expectation{Metrics: []ExpectedMetric{{Target: "w", Name: "ratio", Value: 3, Tolerance: 0.1}}},
			[]string{"metric ratio of w is 2, want 3 within 0.1"}},
		"another name": {Expectation{Metrics: []ExpectedMetric{{Target: "w", Name: "rate"}}}, []string{"metric rate of w was not given",
			"gave there: ratio"}},
		"nothing there": {Expectation{Metrics: []ExpectedMetric{{Target: "v", Name: "ratio"}}}, []string{"metric ratio of v was not given",
			"gave no metric there"}},
		"another severity": {Expectation{Findings: []ExpectedFinding{{Target: "w", Severity: abi.Deny, Code: "LOPSIDED"}}, OnlyTheseFindings: true},
			[]string{"finding LOPSIDED of w: its severity is warn, want deny"}},
		"another number": {Expectation{Findings: []ExpectedFinding{{Target: "w", Severity: abi.Warn, Code: "LOPSIDED", Value: &two}}},
			[]string{"finding LOPSIDED of w: its value is 40, want 2"}},
		"none": {Expectation{Findings: []ExpectedFinding{{Target: "v", Severity: abi.Info, Code: "OTHER"}}},
			[]string{"finding info OTHER of v was not given"}},
		"one too many":   {Expectation{OnlyTheseFindings: true}, []string{"finding warn LOPSIDED of w was not expected: too large"}},
		"another ending": {Expectation{Status: sandbox.Trap}, []string{"status ok, want trap"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want.Status == "" {
				c.want.Status = sandbox.OK
			}
			var o Outcome
			compare(&o, c.want, result, n)
			var told []string
			for _, p := range o.Problems {
				told = append(told, p.What)
				if p.Fix != "" {
					told = append(told, p.Fix)
				}
			}
			if len(told) != len(c.told) || !slices.EqualFunc(told, c.told, strings.Contains) {
				t.Errorf("%q, want %q", told, c.told)
			}
		})
	}
}
