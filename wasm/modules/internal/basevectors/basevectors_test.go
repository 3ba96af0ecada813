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
