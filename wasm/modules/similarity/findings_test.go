package similarity

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// normal is a matrix of independent standard normal values.
func normal(name string, rows, cols int) diagtest.Matrix {
	stream := splitmix.New("test", name, 0)
	return diagtest.Filled(rows, cols, stream.Normals)
}

// Two adapters that keep one random A and learn different B share their initialisation; after other seeds, or on the same task, they
// do not, whatever else they share.
func TestSharedInit(t *testing.T) {
	own := diagtest.Target{Name: "w", Scale: 1, A: normal("a", 4, 64), B: normal("b", 48, 4)}
	sameStart, seed, copied := own, own, own
	sameStart.B = normal("b2", 48, 4)
	seed.A, seed.B = normal("a2", 4, 64), normal("b2", 48, 4)
	copied.Scale = 3
	for _, test := range []struct {
		name   string
		theirs diagtest.Target
		codes  []string
	}{{"same start", sameStart, []string{"SHARED_INIT"}}, {"other seed", seed, nil}, {"copy", copied, nil}} {
		t.Run(test.name, func(t *testing.T) {
			report := run(t, nil, own, test.theirs)
			if codes := report.Codes(); !slices.Equal(codes, test.codes) {
				t.Errorf("findings are %v, want %q", report.Findings, test.codes)
			}
			if len(test.codes) > 0 && !strings.Contains(report.Findings[0].Message, "same random A as "+peerName+" in 1 of 1 weights") {
				t.Errorf("message is %q", report.Findings[0].Message)
			}
		})
	}
}

// Where one of two weights only shares its start, that is not said of the adapter.
func TestSharedInitIsOfMostWeights(t *testing.T) {
	var own, theirs []diagtest.Target
	for i, same := range []bool{true, false} {
		name := strconv.Itoa(i)
		x := diagtest.Target{Name: name, Scale: 1, A: normal("a"+name, 2, 40), B: normal("b"+name, 40, 2)}
		y := x
		y.B = normal("c"+name, 40, 2)
		if !same {
			y.A = normal("d"+name, 2, 40)
		}
		own, theirs = append(own, x), append(theirs, y)
	}
	report := diagtest.MustRun(t, configured(t, nil, own, theirs), Diagnose)
	if len(report.Findings) > 0 {
		t.Errorf("findings %v", report.Findings)
	}
}

// The panel of two random matrices is drawn for as many weights as asked, and is what chance gives.
func TestGaussianPanel(t *testing.T) {
	var targets []diagtest.Target
	for _, name := range []string{"a", "b", "c"} {
		targets = append(targets, diagtest.Target{Name: name, Scale: 1, A: normal(name, 6, 60), B: normal(name+"b", 50, 6)})
	}
	for asked, want := range map[float64]int{0: 0, 1: 1, 2: 2, -1: 3} {
		report := diagtest.MustRun(t, configured(t, map[string]float64{"gaussian": asked}, targets, targets), Diagnose)
		panels := 0
		for _, target := range targets {
			if grid, ok := report.Grid(target.Name, peerName, "phi_gaussian"); ok && grid.Rows == 6 && grid.Cols == 6 {
				panels++
			}
			for _, at := range []string{"_11", "_full"} {
				if z, ok := report.Metric(target.Name, peerName, "phi_gaussian"+at+"_z"); ok && (z < -3 || z > 3) {
					t.Errorf("phi_gaussian%s of %s has z %g", at, target.Name, z)
				}
			}
		}
		if panels != want {
			t.Errorf("%d panels, want %d", panels, want)
		}
	}
}

// A gap is grey where the dtype of the factors cannot tell it from none.
func TestGreyFollowsTheDType(t *testing.T) {
	target := diagtest.Target{
		Name: "w", Scale: 1,
		A: diagtest.Rows([]float64{1, 0, 0}, []float64{0, 0.999, 0}), B: diagtest.Rows([]float64{1, 0}, []float64{0, 1}, []float64{0, 0}),
	}
	for dtype, want := range map[abi.DType]float64{abi.DTypeBF16: 1, abi.DTypeF16: 0, abi.DTypeF32: 0, abi.DTypeF64: 0} {
		target.FactorDType = dtype
		report := run(t, nil, target, target)
		for _, name := range []string{"grey", "grey_a"} {
			if grid, ok := report.Grid("w", "", name); !ok || grid.Values[0] != want || grid.Values[1] != 0 {
				t.Errorf("%s of dtype %d is %v, %t, want %g, 0", name, dtype, grid.Values, ok, want)
			}
		}
	}
}
