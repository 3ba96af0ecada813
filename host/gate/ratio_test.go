package gate

import (
	"math"
	"testing"

	"github.com/tenon-ml/tenon/host/report"
)

// A change of nothing has no size beside a weight of zeros, which is no reason to keep the gate closed; a change without a known size is.
func TestDefaultPolicyOnRatios(t *testing.T) {
	metrics := func(values map[string]float64) []report.Metric {
		var out []report.Metric
		for name, value := range values {
			out = append(out, report.Metric{Module: "amplification", Target: "a.weight", Name: name, Value: report.Number(value)})
		}
		return out
	}
	for _, test := range []struct {
		name    string
		metrics []report.Metric
		want    report.Verdict
	}{
		{"small", metrics(map[string]float64{"delta_norm": 1, "norm_ratio": 0.1}), report.Admit},
		{"large", metrics(map[string]float64{"delta_norm": 1, "norm_ratio": 2}), report.WarnVerdict},
		{"both zero", metrics(map[string]float64{"delta_norm": 0}), report.Admit},
		{"the weight alone zero", metrics(map[string]float64{"delta_norm": 1, "norm_ratio": math.Inf(1)}), report.Deny},
		{"not known", metrics(map[string]float64{"delta_norm": 1}), report.Deny},
		{"nothing known", nil, report.Deny},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &report.Report{Metrics: test.metrics}
			r.Coverage.Add(report.Tensor{Name: "a.weight", Disposition: report.Applied})
			if err := DefaultPolicy().decide(t.Context(), r, []string{"a.weight"}, nil); err != nil {
				t.Fatal(err)
			}
			if r.Verdict != test.want {
				t.Errorf("the verdict is %s, want %s: %+v", r.Verdict, test.want, r.Findings)
			}
		})
	}
}
