package deltas

import (
	"math"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/reference"
)

func TestReferenceInner(t *testing.T) {
	golden := reference.ReadDiagnostics(t)
	inner, square, mirrored := inners(t, golden.Own(), golden.Theirs())
	if math.Abs(inner-golden.Inner) > 1e-9*math.Abs(golden.Inner) || math.Abs(mirrored-inner) > 1e-15 {
		t.Errorf("inner product is %.17g and %.17g, want %.17g", inner, mirrored, golden.Inner)
	}
	if want := golden.Spectrum["fro"] * golden.Spectrum["fro"]; math.Abs(square-want) > 1e-9*want {
		t.Errorf("square is %.17g, want %.17g", square, want)
	}
}

func TestNotFinite(t *testing.T) {
	good := diagtest.Target{Name: "w", A: diagtest.Rows([]float64{1, 2}), B: diagtest.Rows([]float64{1}, []float64{0}), Scale: 1}
	bad := good
	bad.B = diagtest.Rows([]float64{1}, []float64{math.Inf(1)})
	if inner, _, _ := inners(t, good, bad); !math.IsNaN(inner) && !math.IsInf(inner, 0) {
		t.Errorf("inner product is %g", inner)
	}
}

// inners gives the inner product of two targets, the square of the first, and the inner product the other way round.
func inners(t *testing.T, own, theirs diagtest.Target) (inner, square, mirrored float64) {
	t.Helper()
	diagtest.MustRun(t, diagtest.Adapter{
		Targets: []diagtest.Target{own}, Peers: []diagtest.Peer{{Name: "peer", Targets: []diagtest.Target{theirs}}},
	}, func(run *diag.Run) (err error) {
		x := run.Targets()[0]
		y, _ := run.Peers()[0].Target(x)
		for _, p := range []struct {
			x, y diag.Target
			out  *float64
		}{{x, y, &inner}, {x, x, &square}, {y, x, &mirrored}} {
			if *p.out, err = Inner(p.x, p.y); err != nil {
				return err
			}
		}
		return nil
	})
	return inner, square, mirrored
}
