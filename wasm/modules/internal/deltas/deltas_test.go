package deltas

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// noInfinity makes JSON of what Python writes; the values compared here are all finite.
var noInfinity = strings.NewReplacer("-Infinity", "null", "Infinity", "null", "NaN", "null")

func TestReferenceInner(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "..", "shared", "reference", "golden_diag.json"))
	if err != nil {
		t.Skipf("skipped: no reference values: %v", err)
	}
	var golden struct {
		B, A, B2, A2 [][]float64
		Scale        float64
		Inner        float64
		Spectrum     struct{ Fro float64 }
	}
	if err := json.Unmarshal([]byte(noInfinity.Replace(string(text))), &golden); err != nil {
		t.Fatal(err)
	}
	own := diagtest.Target{Name: "w", A: diagtest.Rows(golden.A...), B: diagtest.Rows(golden.B...), Scale: golden.Scale}
	theirs := diagtest.Target{Name: "w", A: diagtest.Rows(golden.A2...), B: diagtest.Rows(golden.B2...), Scale: 1}
	inner, square, mirrored := inners(t, own, theirs)
	if math.Abs(inner-golden.Inner) > 1e-9*math.Abs(golden.Inner) || math.Abs(mirrored-inner) > 1e-15 {
		t.Errorf("inner product is %.17g and %.17g, want %.17g", inner, mirrored, golden.Inner)
	}
	if want := golden.Spectrum.Fro * golden.Spectrum.Fro; math.Abs(square-want) > 1e-9*want {
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
	report := diagtest.Run(t, diagtest.Adapter{
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
	if report.Err != nil {
		t.Fatal(report.Err)
	}
	return inner, square, mirrored
}
