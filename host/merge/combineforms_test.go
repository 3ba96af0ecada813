package merge_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// named are the forms of these names.
func named(names ...string) (some []form) {
	for _, f := range forms {
		if slices.Contains(names, f.name) {
			some = append(some, f)
		}
	}
	return some
}

// The forms of two adapters of one base, in which the same tensors change in other ways.
var (
	someForms = named("plain.weight", "conv.weight", "vector.bias", "experts.weight", "experts.transposed", "dense.weight", "dense.conv", "norm.weight",
		"saved.weight", "tokens.weight")
	otherForms = append(named("conv.weight", "experts.weight", "experts.transposed", "vector.bias"),
		form{stored: stored{"plain.weight", tensor.BF16, []int{8, 12}}, rank: 5, in: 12, out: 8},
		form{stored: stored{"dense.weight", tensor.BF16, []int{8, 12}}, rank: 3, in: 12, out: 8},
		form{stored: stored{"dense.conv", tensor.F32, []int{6, 4, 3, 3}}, rank: 1, in: 36, out: 6},
		form{stored: stored{"norm.weight", tensor.BF16, []int{300}}, dense: []int{300}},
		form{stored: stored{"saved.weight", tensor.BF16, []int{8, 12}}, dense: []int{8, 12}},
		form{stored: stored{"tokens.weight", tensor.BF16, []int{10, 8}}, rank: 2, in: 8, out: 10},
	)
)

// TestCombineForms adds changes of different forms. Methods that leave nothing out must give the sum.
func TestCombineForms(t *testing.T) {
	weights := []float64{0.5, -1.25}
	for _, m := range []merge.Mixture{
		{Method: merge.Linear}, {Method: merge.Cat}, {Method: merge.SVD, Rank: 300}, {Method: merge.MagnitudePrune, Density: 1}, {Method: merge.DARELinear, Density: 1},
	} {
		t.Run(string(m.Method), func(t *testing.T) {
			b := newFormedBase(t, 2, forms)
			made := []formed{newAdapterOf(t, b, 1, someForms, added), newAdapterOf(t, b, 2, otherForms, nil)}
			p, err := merge.Combine(t.Context(), []merge.Portion{{Binding: made[0].binding, Scale: weights[0]}, {Binding: made[1].binding, Scale: weights[1]}}, m)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			client := newClient(t, p)
			staged, err := p.Stage(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "merged")
			if _, err := p.Write(t.Context(), client, merge.Output{Gate: admitted, Dir: out}); err != nil {
				t.Fatal(err)
			}
			if len(staged.Digests) != len(someForms) || len(p.Added) != len(added) || len(p.Notes) != len(added)+1 {
				t.Errorf("%d tensors, %d added, notes %v", len(staged.Digests), len(p.Added), p.Notes)
			}
			for _, x := range someForms {
				weight := baseEntries(t, b, x)
				want := made[0].start(x, weight)
				for i, d := range made[0].delta(x, len(want)) {
					want[i] += weights[0] * d
				}
				y := otherForms[slices.IndexFunc(otherForms, func(f form) bool { return f.name == x.name })]
				for i, d := range made[1].delta(y, len(want)) {
					want[i] += weights[1] * d
				}
				x.compare(t, wide(t, readTensor(t, out, x.name), x.dtype), weight, want)
			}
		})
	}
}

// TestCombineRefusesForms gives adapters that are no part of a sum, or do not go together.
func TestCombineRefusesForms(t *testing.T) {
	b := newFormedBase(t, 1, forms)
	one := func(seed byte, added []stored, names ...string) *adapter.Binding {
		return newAdapterOf(t, b, seed, named(names...), added).binding
	}
	unlike := one(9, nil, "experts.weight")
	unlike.Targets[0].Blocks, unlike.Targets[0].Out, unlike.Targets[0].In = 1, 24, 12
	unlike.Targets[0].FanInFanOut = true
	lost, grown := one(7, nil, "conv.weight"), one(8, nil, "conv.weight")
	lost.Targets[0].Base.Shape = nil
	grown.Targets[0].Base.Shape = []int{7, 4, 3, 3}
	for _, c := range []struct {
		name   string
		a, b   *adapter.Binding
		want   fault.Code // "" where they go together
		tensor string
	}{
		{"two with magnitudes", one(1, nil, "dora.weight"), one(2, nil, "dora.weight"), fault.ADUnsupported, "dora.weight"},
		{"one with magnitudes", one(1, nil, "plain.weight"), one(2, nil, "dora.conv"), fault.ADUnsupported, "dora.conv"},
		{"two replacements", one(1, nil, "plain.weight", "saved.weight"), one(2, nil, "plain.weight", "saved.weight"), fault.ADTwice, "saved.weight"},
		{"two replacements of rows", one(1, nil, "plain.weight", "tokens.weight"), one(2, nil, "plain.weight", "tokens.weight"), fault.ADTwice, "tokens.weight"},
		{"two new parameters", one(1, added[:1], "plain.weight"), one(2, added[:1], "plain.weight"), fault.ADTwice, added[0].name},
		{"one replacement, twice the same", one(1, nil, "plain.weight", "saved.weight"), one(1, nil, "plain.weight", "saved.weight"), "", ""},
		{"one new parameter, twice the same", one(1, added, "plain.weight"), one(1, added, "plain.weight"), "", ""},
		{"a change of a weight that is not there", one(1, nil, "plain.weight"), lost, fault.ADTarget, "conv.weight"},
		{"a change of a weight of another size", one(1, nil, "plain.weight"), grown, fault.ADShape, "conv.weight"},
		{"matrices of two shapes", one(1, nil, "experts.weight"), unlike, fault.ADUnsupported, "experts.weight"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := merge.Combine(t.Context(), []merge.Portion{{Binding: c.a, Scale: 1}, {Binding: c.b, Scale: 1}}, merge.Mixture{})
			if c.want == "" {
				if err != nil {
					t.Error(err)
					return
				}
				p.Close()
				return
			}
			list := fault.All(err)
			if len(list) != 1 || list[0].Code != c.want || list[0].Tensor != c.tensor {
				t.Fatalf("%v, want %s of %s", err, c.want, c.tensor)
			}
			if c.want == fault.ADTwice && !(strings.Contains(list[0].Cause, "forms-1") && strings.Contains(list[0].Cause, "forms-2")) {
				t.Errorf("%v names not both", err)
			}
		})
	}
}

// TestCombineRefusesNumbers gives a change that is not finite to every method that looks at it.
func TestCombineRefusesNumbers(t *testing.T) {
	b := newFormedBase(t, 1, forms)
	for _, method := range []merge.Method{merge.SVD, merge.TIES, merge.DARETIES, merge.DARELinear, merge.MagnitudePrune} {
		t.Run(string(method), func(t *testing.T) {
			sound, huge := newAdapterOf(t, b, 1, named("dense.weight"), nil), newAdapterOf(t, b, 2, named("dense.weight"), nil)
			huge.binding.Targets[0].Pair.Scale = 3e38 // of entries of which some are above 1.2
			_, err := merge.Combine(t.Context(), []merge.Portion{{Binding: sound.binding, Scale: 1}, {Binding: huge.binding, Scale: 1}}, merge.Mixture{Method: method, Rank: 2})
			if list := fault.All(err); len(list) != 1 || list[0].Code != fault.ADNonFinite {
				t.Errorf("%v, want %s", err, fault.ADNonFinite)
			}
		})
	}
}
