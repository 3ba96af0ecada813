package main

import (
	"reflect"
	"testing"

	"github.com/tenon-ml/tenon/host/report"
)

func TestJudge(t *testing.T) {
	benign := outcome{verdict: report.WarnVerdict, codes: []string{"DELTA_EXCEEDS_WEIGHT"}}
	alone := fault{reasons: []string{"DELTA_EXCEEDS_WEIGHT", "OUTLIER"}}
	pair := fault{reasons: []string{"CLASH"}, with: opposite}
	for name, c := range map[string]struct {
		fault           fault
		codes           []string
		reasons, others []string
	}{
		"nothing new":          {alone, []string{"DELTA_EXCEEDS_WEIGHT"}, nil, nil},
		"nothing at all":       {alone, nil, nil, nil},
		"its own reason":       {alone, []string{"DELTA_EXCEEDS_WEIGHT", "OUTLIER"}, []string{"OUTLIER"}, nil},
		"what the model says":  {alone, []string{"PROBE_TASK_WORSE"}, []string{"PROBE_TASK_WORSE"}, nil},
		"something else":       {alone, []string{"AD_ZERO"}, nil, []string{"AD_ZERO"}},
		"both":                 {alone, []string{"AD_ZERO", "OUTLIER"}, []string{"OUTLIER"}, []string{"AD_ZERO"}},
		"a pair":               {pair, []string{"CLASH"}, []string{"CLASH"}, nil},
		"a pair's model, alas": {pair, []string{"PROBE_TASK_WORSE"}, nil, []string{"PROBE_TASK_WORSE"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := judge(c.fault, benign, outcome{verdict: report.Deny, codes: c.codes})
			if want := (result{verdict: report.Deny, reasons: c.reasons, others: c.others}); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestNewOutcome(t *testing.T) {
	r := &report.Report{Verdict: report.Deny, Findings: []report.Finding{
		{Code: "OUTLIER", Severity: report.Info}, {Code: "AD_ZERO", Severity: report.Warn}, {Code: "AD_ZERO", Severity: report.Warn},
		{Code: "CLASH", Severity: report.Info}, {Code: "DIAGNOSTIC_WARNS", Severity: report.Warn}, {Code: "AD_NONFINITE", Severity: report.DenySeverity},
	}}
	want := outcome{verdict: report.Deny, codes: []string{"AD_NONFINITE", "AD_ZERO", "CLASH"}}
	if got := newOutcome(r); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAnd(t *testing.T) {
	refused := outcome{verdict: report.Deny, codes: []string{"PROBE_NONFINITE"}}
	admitted := outcome{verdict: report.Admit}
	if got := refused.and(admitted); got.verdict != report.Deny || len(got.codes) != 1 {
		t.Errorf("what was refused became %+v", got)
	}
	if got := admitted.and(refused); got.verdict != report.Deny || len(got.codes) != 1 {
		t.Errorf("what is refused now became %+v", got)
	}
}

func TestUnchanged(t *testing.T) {
	said := func(change, kl float64) outcomes {
		return outcomes{probe: &report.Probe{}, numbers: map[string]float64{nllChange: change, klMean: kl}}
	}
	for name, c := range map[string]struct {
		before, after outcomes
		want          bool
	}{
		"the same":          {said(-3, 1), said(-3, 1), true},
		"a hair":            {said(-3, 1), said(-2.99, 1.01), true},
		"likelier":          {said(-3, 1), said(-3.1, 1), false},
		"less likely":       {said(-3, 1), said(-2.9, 1), false},
		"elsewhere":         {said(-3, 1), said(-3, 1.1), false},
		"could not be made": {said(-3, 1), outcomes{}, false},
		"not a number":      {said(-3, 1), outcomes{probe: &report.Probe{}, numbers: map[string]float64{klMean: 1}}, false},
		"nobody asked":      {outcomes{}, outcomes{}, false},
	} {
		if got := unchanged(c.before, c.after); got != c.want {
			t.Errorf("%s: unchanged is %v", name, got)
		}
	}
}

func TestParseArms(t *testing.T) {
	if got, err := parseArms("a,c"); err != nil || got != [arms]bool{true, false, true} {
		t.Errorf("a,c gives %v, %v", got, err)
	}
	for _, text := range []string{"", "d", "ab", "a,"} {
		if _, err := parseArms(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
