package diagtest

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag"
)

// sample is a target of 7 x 5 and the given rank.
func sample(rank int) Target {
	rng := rand.New(rand.NewPCG(5, uint64(rank)))
	return Target{Name: "w", Scale: 0.5, Alpha: 8, A: random(rng, rank, 5), B: random(rng, 7, rank), Base: random(rng, 7, 5)}
}

// What a rewriting does to delta W and to the base is what it says, and the target it was given is left as it was.
func TestRewritings(t *testing.T) {
	type effect struct {
		Rewriting
		delta, base float64 // what they are multiplied by
	}
	effects := []effect{{Rescale(-3), -3, 1}, {RescaleAll(4), 4, 4}, {Transpose(), 1, 1}, {StoreTransposed(), 1, 1}}
	for _, same := range SameChange() {
		effects = append(effects, effect{same, 1, 1})
	}
	for _, rank := range []int{1, 2, 3, 9} {
		for _, e := range effects {
			t.Run(e.Name, func(t *testing.T) {
				target, untouched := sample(rank), sample(rank)
				got := e.Of(target)
				delta, base := untouched.Delta().Scaled(e.delta), untouched.Base.Scaled(e.base)
				if e.Peers {
					delta, base = delta.Transposed(), base.Transposed()
				}
				wantEqual(t, "delta W", got.Delta(), delta)
				wantEqual(t, "W", got.Base, base)
				for _, m := range [][2]Matrix{{target.A, untouched.A}, {target.B, untouched.B}, {target.Base, untouched.Base}} {
					if !slices.Equal(m[0].Values, m[1].Values) {
						t.Error("the target that was given is changed")
					}
				}
				if got.Alpha/got.Scale != target.Alpha/target.Scale {
					t.Errorf("alpha is %g for scale %g", got.Alpha, got.Scale)
				}
				if same := slices.Equal(got.A.Values, target.A.Values) && slices.Equal(got.B.Values, target.B.Values); same &&
					got.Scale == target.Scale && got.FanInFanOut == target.FanInFanOut {
					t.Error("nothing is written differently")
				}
			})
		}
	}
}

// G is far from a rotation, or a diagnostic that looks at the factors could pass.
func TestRefactorStretches(t *testing.T) {
	target := sample(3)
	_, before, _ := svd(target.B)
	_, after, _ := svd(Refactor(7).Of(target).B)
	if ratio := after[0] / after[2] / (before[0] / before[2]); math.Abs(math.Log(ratio)) < 1 {
		t.Errorf("singular values of B are %v, and were %v", after, before)
	}
	if slices.Equal(Refactor(7).Of(target).A.Values, Refactor(8).Of(target).A.Values) {
		t.Error("two seeds give one G")
	}
}

func TestFlipSigns(t *testing.T) {
	target := Target{A: Rows([]float64{1, 2}, []float64{3, 4}), B: Rows([]float64{5, 6})}
	got := FlipSigns(1).Of(target)
	wantEqual(t, "A", got.A, Rows([]float64{1, 2}, []float64{-3, -4}))
	wantEqual(t, "B", got.B, Rows([]float64{5, -6}))
}

func TestAdapters(t *testing.T) {
	own, theirs := sample(2), sample(3)
	adapter := Adapter{Targets: []Target{own}, Peers: []Peer{{Name: "peer", Targets: []Target{theirs}}}}
	padded, transposed, swapped := Pad(1).On(adapter), Transpose().On(adapter), Swap(adapter)
	if padded.Targets[0].A.Rows != 3 || padded.Peers[0].Targets[0].A.Rows != 3 {
		t.Error("padding an adapter pads its peer, or not itself")
	}
	if transposed.Targets[0].A.Cols != 7 || transposed.Peers[0].Targets[0].A.Cols != 7 || adapter.Peers[0].Targets[0].A.Cols != 5 {
		t.Error("transposing an adapter does not transpose its peer, or changes the one given")
	}
	if swapped.Targets[0].A.Rows != 3 || swapped.Peers[0].Targets[0].A.Rows != 2 || swapped.Peers[0].Name != "peer" {
		t.Errorf("swapped they are %+v", swapped)
	}
	defer func() {
		if recover() == nil {
			t.Error("an adapter without a peer is swapped")
		}
	}()
	Swap(Adapter{})
}

// norms reports something of delta W, something of how it is written, and something of one side.
func norms(run *diag.Run) error {
	for _, target := range run.Targets() {
		values, err := target.DeltaValues()
		if err != nil {
			return err
		}
		target.Metric("sigma", values[0])
		target.Grid("values", 1, len(values), values)
		target.Metric("rank", float64(target.Rank))
		target.Metric("inputs", float64(target.In))
		target.Metric("outputs", float64(target.Out))
	}
	return nil
}

// The kit holds a diagnostic to what it should do, as an author would write it.
func TestInvariant(t *testing.T) {
	adapter := Adapter{Targets: []Target{sample(3)}}
	c := Comparison{Relative: 1e-12, Except: []string{"ra*"}}
	Invariant(t, adapter, norms, c, SameChange()...)
	c.Factors = map[string]float64{"sigma": 3, "values": 3}
	Invariant(t, adapter, norms, c, Rescale(-3))
	c.Factors, c.Rename = nil, strings.NewReplacer("inputs", "outputs", "outputs", "inputs").Replace
	Invariant(t, adapter, norms, c, Transpose())
	adapter.Targets[0].Base = Matrix{} // a target without a base stays one
	Invariant(t, adapter, norms, c, Transpose())
	c.Factors, c.Rename = map[string]float64{"sigma": 2, "values": 2}, nil
	Invariant(t, adapter, norms, c, RescaleAll(2))
}
