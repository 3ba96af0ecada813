package main

import (
	"math"
	"testing"
)

func TestSeries(t *testing.T) {
	nan := math.NaN()
	s, u := series{4, nan, 1, 3}, series{2, 1, 2, nan}
	for name, c := range map[string]struct{ got, want series }{
		"over":                {s.over(u), series{2, nan, 0.5, nan}},
		"over a shorter one":  {s.over(series{8}), series{0.5}},
		"at least":            {s.atLeast(u), series{4, nan, 2, nan}},
		"times":               {u.times(10), series{20, 10, 20, nan}},
		"rate":                {u.rate(4), series{2, 4, 2, nan}},
		"known, sorted":       {s.known(), series{1, 3, 4}},
		"median of an odd":    {series{s.median()}, series{3}},
		"median of an even":   {series{series{4, 1, 2, 3}.median()}, series{2.5}},
		"median of nothing":   {series{series{nan}.median()}, series{nan}},
		"nothing over itself": {series{}.over(nil), nil},
	} {
		same := len(c.got) == len(c.want)
		for i := range min(len(c.got), len(c.want)) {
			same = same && (c.got[i] == c.want[i] || math.IsNaN(c.got[i]) && math.IsNaN(c.want[i]))
		}
		if !same {
			t.Errorf("%s: got %v, want %v", name, c.got, c.want)
		}
	}
	if low, high := s.span(); low != 1 || high != 4 {
		t.Errorf("span %g to %g", low, high)
	}
	if u.times(1)[0] = 9; u[0] != 2 {
		t.Error("times changes the series itself")
	}
}

func TestGoal(t *testing.T) {
	for _, c := range []struct {
		goal          goal
		text, verdict string
	}{
		{goal{limit: 25, least: true, unit: "×", got: series{24, 26, 25}}, "≥ 25.0×", "met"},
		{goal{limit: 25, least: true, unit: "×", got: series{20}}, "≥ 25.0×", "**missed** by 20 %"},
		{goal{limit: 1.25, unit: "×", got: series{1.25}}, "≤ 1.25×", "met"},
		{goal{limit: 1.25, unit: "×", got: series{1.26}}, "≤ 1.25×", "**missed** by 1 %"},
		{goal{limit: 512, unit: "MiB", got: series{1024}}, "≤ 512 MiB", "**missed** by 100 %"},
		{goal{limit: 90, least: true, unit: "%", missing: "no avx512 here"}, "≥ 90.0 %", "not measured: no avx512 here"},
		{goal{limit: 1, got: series{math.NaN()}}, "≤ 1.00", "not measured"},
	} {
		if got := c.goal.text(); got != c.text {
			t.Errorf("got %q, want %q", got, c.text)
		}
		if got := c.goal.verdict(); got != c.verdict {
			t.Errorf("%v: got %q, want %q", c.goal.got, got, c.verdict)
		}
	}
}

func TestQuantity(t *testing.T) {
	for v, want := range map[float64]string{0: "0.00", 0.012: "0.01", 1.006: "1.01", 9.994: "9.99", 9.996: "10.0", 99.94: "99.9", 99.96: "100",
		1234.5: "1234"} {
		if got := quantity(v, ""); got != want {
			t.Errorf("%g is %q, want %q", v, got, want)
		}
	}
	if got := spread(series{3, 1, 2}, "s"); got != "2.00 s (1.00 – 3.00)" {
		t.Errorf("got %q", got)
	}
	if got := spread(nil, "s"); got != "–" {
		t.Errorf("got %q", got)
	}
}
