package hygiene

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// target is healthy: delta W is 2 everywhere.
func target(name string) diagtest.Target {
	return diagtest.Target{
		Name: name, Scale: 2, A: diagtest.Rows([]float64{1, 1, 1}), B: diagtest.Rows([]float64{1}, []float64{1}),
		Base: diagtest.Rows([]float64{1, 2, 3}, []float64{4, 5, 6}), BaseDType: abi.DTypeBF16,
	}
}

// with gives a healthy target after change.
func with(name string, change func(*diagtest.Target)) diagtest.Target {
	t := target(name)
	change(&t)
	return t
}

var merged = map[string]float64{"merged": 1}

func zeroB(t *diagtest.Target) { t.B = diagtest.Zeros(2, 1) }

func TestFindings(t *testing.T) {
	tests := []struct {
		name    string
		targets []diagtest.Target
		codes   []string
		says    string // in the first finding's message
	}{
		{"healthy", []diagtest.Target{target("w")}, nil, ""},
		{"NaN and Inf", []diagtest.Target{with("w", func(t *diagtest.Target) {
			t.A = diagtest.Rows([]float64{1, 1, 1}, []float64{math.Inf(-1), 1, math.NaN()})
			t.B = diagtest.Rows([]float64{1, 1}, []float64{1, 1})
		})}, []string{"AD_NONFINITE w"}, "factor A has 1 NaN and 1 Inf among 6 values; the first at index 3 (row 1, column 0)"},
		{"both factors broken", []diagtest.Target{with("w", func(t *diagtest.Target) {
			t.A.Values, t.B.Values = []float64{1, math.NaN(), 1}, []float64{1, math.NaN()}
		})}, []string{"AD_NONFINITE w", "AD_NONFINITE w"}, "factor A has 1 NaN and 0 Inf among 3 values; the first at index 1 (row 0, column 1)"},
		{"zero B of one", []diagtest.Target{target("v"), with("w", zeroB)}, []string{"AD_ZERO w"}, "factor B is all zeros"},
		{"zero A and B of all", []diagtest.Target{with("w", func(t *diagtest.Target) {
			zeroB(t)
			t.A = diagtest.Zeros(1, 3)
		})}, []string{"AD_ZERO w", "AD_NO_EFFECT"}, "factors A and B"},
		{"zero A", []diagtest.Target{with("v", zeroB), with("w", func(t *diagtest.Target) { t.A = diagtest.Zeros(1, 3) })},
			[]string{"AD_ZERO v", "AD_ZERO w", "AD_NO_EFFECT"}, "factor B"},
		{"zero scale", []diagtest.Target{with("w", func(t *diagtest.Target) { t.Scale = 0 })},
			[]string{"AD_ZERO w", "AD_NO_EFFECT"}, "the scale is zero"},
		{"zero product", []diagtest.Target{with("w", func(t *diagtest.Target) {
			t.A = diagtest.Rows([]float64{0, 0, 0}, []float64{1, 1, 1})
			t.B = diagtest.Rows([]float64{1, 0}, []float64{1, 0})
		})}, []string{"AD_ZERO w", "AD_NO_EFFECT"}, "the product of the factors is zero"},
		{"lost in rounding", []diagtest.Target{with("w", func(t *diagtest.Target) { t.Scale = 0x1p-9 }), with("z", zeroB)},
			[]string{"AD_ZERO z", "AD_NO_EFFECT"}, ""},
		{"one weight survives rounding", []diagtest.Target{with("w", func(t *diagtest.Target) { t.Scale = 0x1p-7 })}, nil, ""},
		{"a NaN beside zeros is not called without effect", []diagtest.Target{with("v", zeroB), with("w", func(t *diagtest.Target) {
			t.B.Values = []float64{1, math.NaN()}
		})}, []string{"AD_ZERO v", "AD_NONFINITE w"}, ""},
		{"overflow", []diagtest.Target{with("w", func(t *diagtest.Target) {
			t.BaseDType = abi.DTypeF16
			t.Scale = 6e4
			t.Base = diagtest.Rows([]float64{1, 2, 5600}, []float64{-5600, 60000, 6})
		})}, []string{"AD_OVERFLOW_ON_MERGE w"}, "2 of 6 merged values do not fit F16; the first at index 2 (row 0, column 2)"},
		{"zero product though no row and column are", []diagtest.Target{with("w", func(t *diagtest.Target) {
			t.A = diagtest.Rows([]float64{1, 2, 3}, []float64{1, 2, 3})
			t.B = diagtest.Rows([]float64{1, -1}, []float64{2, -2})
		})}, []string{"AD_ZERO w", "AD_NO_EFFECT"}, "the product of the factors is zero"},
		{"scale not a number", []diagtest.Target{with("w", func(t *diagtest.Target) { t.Scale = math.NaN() })},
			[]string{"AD_SCALE w"}, "the scale of delta W is not finite"},
		{"no base", []diagtest.Target{with("w", func(t *diagtest.Target) { t.Base = diagtest.Matrix{} })}, nil, ""},
		{"nothing adapted", nil, nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			report := diagtest.Run(t, diagtest.Adapter{Targets: test.targets, Params: merged}, Diagnose)
			if report.Err != nil {
				t.Fatal(report.Err)
			}
			if codes := report.Codes(); !slices.Equal(codes, test.codes) {
				t.Fatalf("findings are %q, want %q", codes, test.codes)
			}
			if len(report.Metrics) > 0 {
				t.Errorf("metrics are %v, want none", report.Metrics)
			}
			if test.says != "" && !strings.Contains(report.Findings[0].Message, test.says) {
				t.Errorf("message is %q, want it to say %q", report.Findings[0].Message, test.says)
			}
			for _, f := range report.Findings {
				if want := severities[f.Code]; f.Severity != want || f.Hint == "" {
					t.Errorf("%s has severity %d and hint %q, want severity %d and some hint", f.Code, f.Severity, f.Hint, want)
				}
			}
		})
	}
}

var severities = map[string]abi.Severity{
	"AD_NONFINITE": diag.Deny, "AD_ZERO": diag.Warn, "AD_NO_EFFECT": diag.Deny, "AD_OVERFLOW_ON_MERGE": diag.Deny, "AD_SCALE": diag.Deny,
}

func TestRefusalsOfTheHostEndTheRun(t *testing.T) {
	report := diagtest.Run(t, diagtest.Adapter{Targets: []diagtest.Target{target("w")}, Grants: []abi.Capability{}, Params: merged}, Diagnose)
	if report.Err == nil || len(report.Findings) > 0 {
		t.Errorf("error is %v, findings are %v", report.Err, report.Findings)
	}
}
