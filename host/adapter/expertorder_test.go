package adapter

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter/adaptertest"
)

// TestExpertRowTellsTheOrders guards the row that guards the order of the experts' factors: with the rows of A in the order (expert, rank) and the
// columns of B in the order (rank, expert) the formula gives the oracle, and with any other two it gives something else. The shapes allow all four.
func TestExpertRowTellsTheOrders(t *testing.T) {
	const experts, rank, scale = 3, 2, 3.0
	row := adaptertest.Row{Dir: filepath.Join("testdata", "peft", "experts-one")}
	weights := adaptertest.Read(t, filepath.Join(row.Adapter(), weightsName))
	stored := adaptertest.Read(t, filepath.Join(row.Base(), "model.safetensors"))["mlp.experts.down_proj"]
	want := row.Oracle(t)["mlp.experts.down_proj"].Floats(t)
	a := weights["base_model.model.mlp.experts.lora_A.weight"].Floats(t)
	b := weights["base_model.model.mlp.experts.lora_B.weight"].Floats(t)
	w := stored.Floats(t)
	out, in := stored.Shape[1], stored.Shape[2]
	expertMajor := func(e, r int) int { return e*rank + r }
	rankMajor := func(e, r int) int { return r*experts + e }
	for _, c := range []struct {
		name  string
		a, b  func(e, r int) int
		right bool
	}{
		{"A by expert, B by rank", expertMajor, rankMajor, true},
		{"A by expert, B by expert", expertMajor, expertMajor, false},
		{"A by rank, B by rank", rankMajor, rankMajor, false},
		{"A by rank, B by expert", rankMajor, expertMajor, false},
	} {
		worst := 0.0
		for e := range experts {
			for o := range out {
				for i := range in {
					sum := 0.0
					for r := range rank {
						sum += b[o*experts*rank+c.b(e, r)] * a[c.a(e, r)*in+i]
					}
					at := (e*out+o)*in + i
					worst = max(worst, math.Abs(w[at]+scale*sum-want[at]))
				}
			}
		}
		if c.right != (worst < 1e-12) || !c.right && worst < 0.05 {
			t.Errorf("%s: %g from the oracle", c.name, worst)
		}
	}
}
