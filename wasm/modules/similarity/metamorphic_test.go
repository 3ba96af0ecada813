package similarity

import (
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// pair is two adapters of which nothing but the shape is alike.
func pair(t *testing.T) diagtest.Adapter {
	t.Helper()
	own := diagtest.Target{Name: "w", Scale: 2, A: normal("a", 3, 20), B: normal("b", 16, 3)}
	theirs := diagtest.Target{Name: "w", Scale: 1, A: normal("a2", 4, 20), B: normal("b2", 16, 4)}
	return configured(t, map[string]float64{"gaussian": 0}, []diagtest.Target{own}, []diagtest.Target{theirs})
}

var near9 = diagtest.Comparison{Relative: 1e-9, Absolute: 1e-9}

// What leaves delta W of an adapter as it is, or only scales it, leaves everything but what is told of A alone.
func TestInvariance(t *testing.T) {
	adapter := pair(t)
	diagtest.Invariant(t, adapter, Diagnose, near9, diagtest.FlipSigns(), diagtest.FlipSigns(1), diagtest.Pad(2), diagtest.Rescale(7),
		diagtest.Rebalance(4))
	mixed, negative := near9, near9
	mixed.Except = []string{"phi_a", "phi_a_11*", "gap_a", "grey_a"}
	diagtest.Invariant(t, adapter, Diagnose, mixed, diagtest.Refactor(1))
	negative.Factors = map[string]float64{"cosine": -1}
	diagtest.Invariant(t, adapter, Diagnose, negative, diagtest.Rescale(-1))
}

// Swapping the adapters transposes the grids. Transposing both deltas swaps the sides.
func TestSwappedAndTransposed(t *testing.T) {
	adapter := pair(t)
	want, swapped := diagtest.MustRun(t, adapter, Diagnose), diagtest.MustRun(t, diagtest.Swap(adapter), Diagnose)
	numbers := near9
	numbers.Except = []string{"phi_a", "phi_delta", "phi_delta_left", "gap*", "grey*"}
	numbers.Check(t, swapped, want)
	for _, name := range []string{"phi_a", "phi_delta", "phi_delta_left"} {
		right, _ := want.Grid("w", peerName, name)
		back, _ := swapped.Grid("w", peerName, name)
		if !near(back.Transposed().Values, right.Values) {
			t.Errorf("%s is %v, swapped %v", name, right, back)
		}
	}
	mirrored := near9
	stems := []string{"phi_delta", "angles", "projection_distance"}
	mirrored.Only = []string{"phi_delta*", "angles*", "projection_distance*"}
	mirrored.Rename = func(name string) string {
		for _, stem := range stems {
			if rest, ok := strings.CutPrefix(name, stem+"_left"); ok {
				return stem + rest
			} else if rest, ok := strings.CutPrefix(name, stem); ok {
				return stem + "_left" + rest
			}
		}
		return name
	}
	diagtest.Invariant(t, adapter, Diagnose, mirrored, diagtest.Transpose())
}
