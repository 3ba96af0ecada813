package intruders

import (
	"math"
	"strconv"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// In the margins 1/4, 1/2, 1, 1, 2, 4 and 1024 the middle is 1 and the middle distance from it one doubling, whatever W is.
func TestSpikesByHand(t *testing.T) {
	margins := []float64{0.25, 0.5, 1, 1, 2, 4, 1024}
	targets := func(kind string, margins ...float64) (out []diagtest.Target) {
		for i, margin := range margins {
			out = append(out, diagtest.Target{
				Name: "layers." + strconv.Itoa(i) + "." + kind + ".weight", Scale: margin * float64(i+1),
				A: diagtest.Rows([]float64{1, 0}), B: diagtest.Rows([]float64{0}, []float64{1}),
				Base: diagtest.Rows([]float64{float64(i + 1), 0}, []float64{0, 0.5}),
			})
		}
		return out
	}
	few, alike := targets("few", 1, 2, 3, 400), targets("alike", 1, 1, 1, 1, 7)
	alone := targets("alone", 1)
	alone[0].Name = "lm_head.weight"
	all := append(append(append(targets("q", margins...), few...), alike...), alone...)
	report := diagtest.MustRun(t, diagtest.Configured(t, "intruders.json", diagtest.Adapter{Targets: all}), Diagnose)
	for i, margin := range margins {
		z, ok := report.Metric(all[i].Name, "", "spike_margin_z")
		if want := 0.6745 * math.Log2(margin); !ok || !(math.Abs(z-want) <= 1e-9) {
			t.Errorf("z of a margin of %g is %g, %t, want %g", margin, z, ok, want)
		}
	}
	for _, target := range all[len(margins):] {
		if z, ok := report.Metric(target.Name, "", "spike_margin_z"); ok {
			t.Errorf("%s has the z %g", target.Name, z)
		}
	}
}
