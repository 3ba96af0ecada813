package moduletest

import (
	"fmt"
	"math"
	"strings"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// trickyAdapter is one of the adapters of the conformance kit.
type trickyAdapter struct {
	name    string
	what    string // what is special about it, for an author who never met one
	adapter *Adapter
}

// Sizes of the kit's ordinary adapter: three weights of different shapes.
const (
	plainRank = 4
	trickyIn  = 24
	trickyOut = 16
	many      = 300
)

// tricky are the adapters that a module meets sooner or later, the ordinary one first.
func tricky() []trickyAdapter {
	plain := func(change func(i int, t *Target)) *Adapter {
		a := &Adapter{}
		for i := range 3 {
			t := weight(fmt.Sprintf("model.layers.%d.self_attn.q_proj.weight", i), plainRank, trickyIn+8*i, trickyOut)
			if change != nil {
				change(i, &t)
			}
			a.Targets = append(a.Targets, t)
		}
		return a
	}
	list := []trickyAdapter{
		{"ordinary", "three weights of rank 4 in F32", plain(nil)},
		{"no targets", "an adapter that adapts nothing", &Adapter{}},
		{"rank 1", "factors of one row and one column", plain(func(_ int, t *Target) { *t = weight(t.Name, 1, trickyIn, trickyOut) })},
		{"rank above dimension", "rank 12 on weights of 4 x 6", plain(func(_ int, t *Target) { *t = weight(t.Name, 12, 6, 4) })},
		{"one by one", "weights of a single number", plain(func(_ int, t *Target) { *t = weight(t.Name, 1, 1, 1) })},
		{"zero B", "factor B all zeros, as before training", plain(func(_ int, t *Target) { clear(t.B.Values) })},
		{"zero everything", "both factors, the base and the scale zero", plain(func(_ int, t *Target) {
			clear(t.A.Values)
			clear(t.B.Values)
			clear(t.Base.Values)
			t.Scale, t.Alpha = 0, 0
		})},
		{"NaN factors", "a NaN in factor A of the first weight", plain(func(i int, t *Target) {
			if i == 0 {
				t.A.Values[3] = math.NaN()
			}
		})},
		{"Inf factors", "an infinity in factor B of the second weight", plain(func(i int, t *Target) {
			if i == 1 {
				t.B.Values[2] = math.Inf(-1)
			}
		})},
		{"huge values", "finite factors whose product overflows F32", plain(func(_ int, t *Target) {
			for j := range t.A.Values {
				t.A.Values[j] *= 1e30
			}
			for j := range t.B.Values {
				t.B.Values[j] *= 1e30
			}
		})},
		{"no base", "weights that the base does not have", plain(func(_ int, t *Target) { t.Base = Matrix{} })},
		{"fan_in_fan_out", "a checkpoint that stores its weights transposed", plain(func(_ int, t *Target) { t.FanInFanOut = true })},
		{"bf16", "factors and base stored in BF16", plain(func(_ int, t *Target) { t.FactorDType, t.BaseDType = tensor.BF16, tensor.BF16 })},
		{"long names", "names of 500 bytes that are not ASCII", plain(func(i int, t *Target) {
			t.Name = strings.Repeat("gewölbe.", 55) + fmt.Sprintf("%0*d", 500-55*len("gewölbe."), i)
		})},
		{"300 targets", "an adapter of 300 small weights", &Adapter{}},
	}
	for i := range many {
		all := list[len(list)-1].adapter
		all.Targets = append(all.Targets, weight(fmt.Sprintf("model.layers.%03d.mlp.down_proj.weight", i), 2, 6, 5))
	}
	with := plain(nil)
	other, nothing := plain(nil).Targets[:1], Target{}
	other[0].Scale = -other[0].Scale
	nothing = weight("model.layers.0.self_attn.k_proj.weight", 2, trickyIn, trickyOut)
	with.Peers = []Peer{
		{Name: "sha256:" + strings.Repeat("1", 64), Targets: plain(nil).Targets},
		{Name: "sha256:" + strings.Repeat("2", 64), Targets: other},
		{Name: "sha256:" + strings.Repeat("3", 64), Targets: []Target{nothing}},
	}
	return append(list, trickyAdapter{"peers", "three peers: one alike, one that lacks two targets, one that lacks all", with})
}

// weight makes a target of numbers that look random and are the same everywhere.
func weight(name string, rank, in, out int) Target {
	state := uint64(rank)<<40 + uint64(in)<<20 + uint64(out)
	for _, c := range []byte(name) {
		state = state*31 + uint64(c)
	}
	fill := func(rows, cols int, size float64) Matrix {
		m := Matrix{Rows: rows, Cols: cols, Values: make([]float64, rows*cols)}
		for i := range m.Values {
			state = state*6364136223846793005 + 1442695040888963407
			m.Values[i] = size * (float64(state>>40)/(1<<23) - 1)
		}
		return m
	}
	return Target{Name: name, A: fill(rank, in, 0.5), B: fill(out, rank, 0.1), Base: fill(out, in, 1), Scale: 2, Alpha: 2 * float64(rank),
		BaseDType: tensor.F32, FactorDType: tensor.F32}
}
