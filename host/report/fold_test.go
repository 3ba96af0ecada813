package report

import (
	"slices"
	"testing"
)

func TestFold(t *testing.T) {
	for _, test := range []struct {
		name      string
		from, fit []string
	}{
		{"a run", []string{"m.2.q", "m.0.q", "m.1.q"}, []string{"m.{0-2}.q"}},
		{"runs and single ones", []string{"m.0.q", "m.1.q", "m.5.q", "m.7.q", "m.8.q", "m.9.q"}, []string{"m.{0,1,5,7-9}.q"}},
		{"two kinds", []string{"m.0.q", "m.0.v", "m.1.q"}, []string{"m.{0,1}.q", "m.0.v"}},
		{"no number", []string{"lm_head", "lm_head"}, []string{"lm_head"}},
		{"twice", []string{"m.3.q", "m.3.q"}, []string{"m.3.q"}},
		{"a number that is not written like one", []string{"m.01.q", "m.1.q"}, []string{"m.01.q", "m.1.q"}},
		{"the first number only", []string{"m.0.e.1.w", "m.0.e.2.w"}, []string{"m.0.e.1.w", "m.0.e.2.w"}},
		{"nothing", nil, []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := fold(test.from); !slices.Equal(got, test.fit) {
				t.Errorf("%v, want %v", got, test.fit)
			}
		})
	}
}

// Findings of one code are one reason, however their weights differ, and the gravest come first.
func TestReasons(t *testing.T) {
	all := reasons([]Finding{{Code: "A", Severity: Info, Target: "m.0.q", Message: "x"}, {Code: "B", Severity: DenySeverity, Message: "y", Value: 2},
		{Code: "A", Severity: Info, Target: "m.1.q", Message: "x"}, {Code: "B", Severity: DenySeverity, Message: "z"}})
	if len(all) != 2 || all[0].Code != "B" {
		t.Fatalf("%+v", all)
	}
	if sentence, items := all[0].told(); sentence != "y (2)" || !slices.Equal(items, []string{"z"}) {
		t.Errorf("%q %v", sentence, items)
	}
	if sentence, items := all[1].told(); sentence != "x, in 2 weights" || !slices.Equal(items, []string{"m.{0,1}.q"}) {
		t.Errorf("%q %v", sentence, items)
	}
}

// An answer must say what is known and no more.
func TestAnswersDoNotGuess(t *testing.T) {
	if got := answers(&Report{}); len(got) != 0 {
		t.Errorf("an empty report answers %v", got)
	}
	failed := &Report{Modules: []Module{{ID: "hygiene", Status: "timeout"}}}
	if got := damage(failed); got != "not known: the diagnostic that looks for damage did not run to its end" {
		t.Error(got)
	}
	zero := fullReport()
	for i := range zero.Metrics {
		if zero.Metrics[i].Name == "norm_ratio" {
			zero.Metrics[i].Value = 0
		}
	}
	if got := effect(zero); got != "no: every change is zero" {
		t.Error(got)
	}
}
