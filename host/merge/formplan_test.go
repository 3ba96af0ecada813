package merge_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// TestScaledForms multiplies what has a scale, and what has none.
func TestScaledForms(t *testing.T) {
	for _, c := range []struct {
		name  string
		forms []form
		added []stored
		notes int // -1: refused
	}{
		{"what is added", named("conv.weight", "dense.weight", "experts.weight"), nil, 0},
		{"what is replaced, beside what is added", named("saved.weight", "tokens.weight", "dense.weight"), nil, 1},
		{"a replacement with a change of its own", named("copied.weight"), nil, 1},
		{"replacements alone", named("saved.weight", "tokens.weight"), nil, -1},
		{"a new parameter alone", nil, added, -1},
		{"a new parameter beside what is added", named("plain.weight"), added, 1 + len(added)},
		{"magnitudes", named("plain.weight", "dora.weight"), nil, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFormed(t, 1, c.forms, c.added)
			p, err := merge.NewPlan(f.binding, 0.5)
			if c.notes < 0 {
				if list := fault.All(err); len(list) != 1 || list[0].Code != fault.MergeScale {
					t.Errorf("%v, want %s", err, fault.MergeScale)
				}
				if _, err := merge.NewPlan(f.binding, 1); err != nil {
					t.Errorf("at scale 1: %v", err)
				}
				return
			}
			if err != nil || len(p.Notes) != c.notes {
				t.Fatalf("%v, notes %v", err, p.Notes)
			}
			for _, item := range p.Items {
				if want := 0.5 * item.Pair.Scale; item.Scale != want {
					t.Errorf("%s: scale %v, want %v", item.Name, item.Scale, want)
				}
			}
		})
	}
}

// TestFormsHaveDigests gives each form something else that decides its bytes, and expects another plan.
func TestFormsHaveDigests(t *testing.T) {
	f := newFormed(t, 1, forms, added)
	digest := func(t *testing.T) [32]byte {
		t.Helper()
		p, err := merge.NewPlan(f.binding, 1)
		if err != nil {
			t.Fatal(err)
		}
		return p.Digest
	}
	first := digest(t)
	at := func(name string) *adapter.Target {
		return &f.binding.Targets[slices.IndexFunc(f.binding.Targets, func(t adapter.Target) bool { return t.Name == name })]
	}
	for _, c := range []struct {
		name  string
		alter func()
	}{
		{"blocks", func() { at("experts.weight").Blocks = 1 }},
		{"a scale", func() { at("dense.weight").Pair.Scale = 2 }},
		{"rows", func() { at("tokens.weight").StartRows = []int64{2, 7, 3, 9} }},
		{"a start", func() { at("saved.weight").Start = at("copied.weight").Start }},
		{"a magnitude", func() { at("dora.weight").Magnitude.Offset += 4 }},
		{"a magnitude's outputs", func() { at("dora.inputs").MagnitudeOfInputs = false }},
		{"a factor's dtype", func() { at("conv.weight").A.DType = tensor.F16 }},
		{"a file", func() { at("conv.weight").A.File = 0 }},
		{"a new parameter", func() { f.binding.Targets = f.binding.Targets[:len(f.binding.Targets)-1] }},
		{"the adapter", func() { f.binding.Adapter.Digest[0]++ }},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept, digestBefore := slices.Clone(f.binding.Targets), f.binding.Adapter.Digest
			defer func() { f.binding.Targets, f.binding.Adapter.Digest = kept, digestBefore }()
			f.binding.Targets = slices.Clone(kept)
			c.alter()
			if digest(t) == first {
				t.Error("the plan is the same")
			}
		})
	}
	if digest(t) != first {
		t.Error("the same adapter has another plan")
	}
}

// TestFormsThatDoNotFit gives tensors of other sizes than what they change: nothing is merged.
func TestFormsThatDoNotFit(t *testing.T) {
	for _, c := range []struct {
		name  string
		alter func(t *adapter.Target)
	}{
		{"conv.weight", func(t *adapter.Target) { t.Out = 7 }},
		{"dense.weight", func(t *adapter.Target) { t.Dense.Shape = []int{7, 12} }},
		{"saved.weight", func(t *adapter.Target) { t.Start.Shape = []int{7, 12} }},
		{"tokens.weight", func(t *adapter.Target) { t.StartRows = t.StartRows[1:] }},
		{"dora.weight", func(t *adapter.Target) { t.Magnitude.Shape = []int{7} }},
		{"dora.transposed", func(t *adapter.Target) { t.Magnitude.Shape = []int{4} }},
		{"dora.inputs", func(t *adapter.Target) { t.Magnitude.Shape = []int{5} }},
		{"dora.inputs", func(t *adapter.Target) { t.Magnitude.Shape = []int{0} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFormed(t, 1, named(c.name), nil)
			c.alter(&f.binding.Targets[0])
			p, err := merge.NewPlan(f.binding, 1)
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "merged")
			if _, err := p.Write(t.Context(), newClient(t, p), merge.Output{Gate: admitted, Dir: out}); err == nil {
				t.Error("it was merged")
			}
			if names := left(t, filepath.Dir(out)); len(names) != 0 {
				t.Errorf("%v was left behind", names)
			}
		})
	}
}
