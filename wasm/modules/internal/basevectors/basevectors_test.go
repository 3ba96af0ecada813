package basevectors

import (
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

func TestTop(t *testing.T) {
	w := diagtest.Zeros(9, 7)
	for i := range w.Values {
		w.Values[i] = float64(i*i%11) + 1
	}
	target := diagtest.Target{Name: "w", A: diagtest.Zeros(1, 7), B: diagtest.Zeros(9, 1), Base: w}
	for _, test := range []struct{ asked, want int }{{1, 1}, {7, 7}, {8, 7}, {9, 7}, {100, 7}, {4096, 7}} {
		report := diagtest.Run(t, diagtest.Adapter{Targets: []diagtest.Target{target}}, func(run *diag.Run) error {
			top, err := Top(run.Targets()[0], test.asked)
			if err == nil && len(top.S) != test.want {
				t.Errorf("of %d asked for there are %d, want %d", test.asked, len(top.S), test.want)
			}
			return err
		})
		if report.Err != nil {
			t.Errorf("%d asked for: %v", test.asked, report.Err)
		}
	}
}

func TestRank(t *testing.T) {
	for _, test := range []struct {
		s    []float64
		want int
	}{{nil, 0}, {[]float64{0, 0}, 0}, {[]float64{2, 1}, 2}, {[]float64{2, 1, 1e-15, 0}, 2}, {[]float64{1e-300, 1e-310}, 2}} {
		if got := Rank(test.s, 9); got != test.want {
			t.Errorf("the rank of %g is %d, want %d", test.s, got, test.want)
		}
	}
}

func TestMissing(t *testing.T) {
	target := diagtest.Target{Name: "w", A: diagtest.Zeros(1, 7), B: diagtest.Zeros(9, 1)}
	for _, grants := range [][]abi.Capability{nil, {abi.CapKernels}} {
		diagtest.Run(t, diagtest.Adapter{Targets: []diagtest.Target{target}, Grants: grants}, func(run *diag.Run) error {
			if _, err := Top(run.Targets()[0], 3); !Missing(err) {
				t.Errorf("granted %v, the error is %v", grants, err)
			}
			return nil
		})
	}
	if Missing(nil) || Missing(abi.Numeric) {
		t.Error("no error, or another one, is taken for missing vectors")
	}
}
