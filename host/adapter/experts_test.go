package adapter

import (
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
)

func TestBindExperts(t *testing.T) {
	config := func(parameters ...string) map[string]any {
		return with(formsConfig(), map[string]any{"target_modules": []string{}, "target_parameters": parameters})
	}
	both := config("experts.gate_up_proj", "experts.down_proj")
	wrapper := func(depth, in, out, experts int) map[string]any {
		name := "m.experts."
		for range depth {
			name += "base_layer."
		}
		return map[string]any{name + "lora_A.weight": f32(4*experts, in), name + "lora_B.weight": f32(out, 4*experts)}
	}
	one := func(in, out int) map[string]stored { return with(map[string]stored{}, wrapper(0, in, out, 3)) }
	two := with(one(10, 16), wrapper(1, 16, 20, 3))
	straight := map[string]stored{"m.experts.gate_up_proj": f32(3, 20, 16), "m.experts.down_proj": f32(3, 16, 10)}
	bindForms(t, []formsCase{
		{name: "two", config: both, tensors: two, base: straight, targets: []string{"m.experts.down_proj", "m.experts.gate_up_proj"},
			check: func(t *testing.T, b *Binding) {
				x := b.Targets[0]
				if x.Blocks != 3 || x.In != 10 || x.Out != 16 || x.FanInFanOut || !slices.Equal(x.A.Shape, []int{12, 10}) || !slices.Equal(x.B.Shape, []int{48, 4}) ||
					x.B.File != InDerived || x.A.File != InWeights || x.Scale != 2 {
					t.Errorf("%+v", x)
				}
			}},
		{name: "transposed", config: both, tensors: two, base: map[string]stored{"m.experts.gate_up_proj": f32(3, 16, 20), "m.experts.down_proj": f32(3, 10, 16)},
			targets: []string{"m.experts.down_proj", "m.experts.gate_up_proj"}, check: func(t *testing.T, b *Binding) {
				if x := b.Targets[1]; !x.FanInFanOut || x.In != 16 || x.Out != 20 {
					t.Errorf("%+v", x)
				}
			}},
		{name: "rank and alpha of one", tensors: one(10, 16), base: straight, targets: []string{"m.experts.down_proj"}, config: with(config("experts.down_proj"),
			map[string]any{"r": 9, "rank_pattern": map[string]any{"down_proj": 4}, "alpha_pattern": map[string]any{`experts\.down_proj`: 2}}),
			check: func(t *testing.T, b *Binding) {
				if x := b.Targets[0]; x.Rank != 4 || x.Alpha != 2 || x.Scale != 0.5 {
					t.Errorf("%+v", x)
				}
			}},
		{name: "a matrix", config: config("m.experts.down_proj"), base: map[string]stored{"m.experts.down_proj": f32(16, 10)},
			tensors: with(map[string]stored{}, wrapper(0, 10, 16, 1)), targets: []string{"m.experts.down_proj"}, check: func(t *testing.T, b *Binding) {
				if x := b.Targets[0]; x.Blocks != 1 || !x.Plain() || b.Derived != nil {
					t.Errorf("%+v", x)
				}
			}},
		{name: "both orders fit", config: both, tensors: with(one(16, 16), wrapper(1, 16, 16, 3)), model: map[string]any{"model_type": "gpt_oss"},
			base:  map[string]stored{"m.experts.gate_up_proj": f32(3, 16, 16), "m.experts.down_proj": f32(3, 16, 16)},
			codes: []fault.Code{fault.ADUnsupported, fault.ADUnsupported}, says: []string{"more than one way", "down_proj, gate_up_proj"}},
		{name: "square of an unknown model", config: config("experts.down_proj"), tensors: one(16, 16), base: map[string]stored{"m.experts.down_proj": f32(3, 16, 16)},
			codes: []fault.Code{fault.ADUnsupported}, says: []string{"square"}},
		{name: "square of a known model", config: config("experts.down_proj"), tensors: one(16, 16), base: map[string]stored{"m.experts.down_proj": f32(3, 16, 16)},
			model: map[string]any{"model_type": "gpt_oss"}, targets: []string{"m.experts.down_proj"}, check: func(t *testing.T, b *Binding) {
				if !b.Targets[0].FanInFanOut {
					t.Error("it is not transposed")
				}
			}},
		{name: "square of another known model", config: config("experts.down_proj"), tensors: one(16, 16), base: map[string]stored{"m.experts.down_proj": f32(3, 16, 16)},
			model: map[string]any{"model_type": "qwen3_moe"}, targets: []string{"m.experts.down_proj"}, check: func(t *testing.T, b *Binding) {
				if b.Targets[0].FanInFanOut {
					t.Error("it is transposed")
				}
			}},
		{name: "another shape", config: both, tensors: two, base: map[string]stored{"m.experts.gate_up_proj": f32(3, 20, 16), "m.experts.down_proj": f32(3, 16, 9)},
			codes: []fault.Code{fault.ADShape, fault.ADShape}, says: []string{"in no order"}},
		{name: "another rank", config: with(both, map[string]any{"r": 6}), tensors: two, base: straight,
			codes: []fault.Code{fault.ADRankMismatch, fault.ADRankMismatch}, says: []string{"rank 6", "rank 4 for each of 3 experts"}},
		{name: "other experts", config: both, tensors: two, base: map[string]stored{"m.experts.gate_up_proj": f32(5, 20, 16), "m.experts.down_proj": f32(5, 16, 10)},
			codes: []fault.Code{fault.ADShape, fault.ADShape}},
		{name: "one of two", config: both, tensors: one(10, 16), base: straight, codes: []fault.Code{fault.ADPair}, says: []string{"factors for 1"}},
		{name: "none in the base", config: both, tensors: two, base: map[string]stored{"m.experts.0.w1.weight": f32(10, 16)},
			codes: []fault.Code{fault.ADTarget, fault.ADTarget}},
		{name: "four dimensions", config: config("experts.down_proj"), tensors: one(10, 16), base: map[string]stored{"m.experts.down_proj": f32(3, 16, 10, 1)},
			codes: []fault.Code{fault.ADShape}},
		{name: "DoRA", config: with(both, map[string]any{"use_dora": true}), tensors: two, base: straight,
			codes: []fault.Code{fault.ADUnsupported, fault.ADUnsupported}, says: []string{"use_dora"}},
	})
}

// TestBindUnfusedExperts binds factors of the parameters of transformers 5 to checkpoints with a module for each expert.
func TestBindUnfusedExperts(t *testing.T) {
	config := with(formsConfig(), map[string]any{"target_modules": []string{}, "target_parameters": []string{"mlp.experts.gate_up_proj"}})
	tensors := map[string]stored{"model.l.mlp.experts.lora_A.weight": f32(8, 16), "model.l.mlp.experts.lora_B.weight": f32(20, 8)}
	qwen := map[string]any{"model_type": "qwen3_moe"}
	experts := map[string]stored{
		"model.l.mlp.experts.0.gate_proj.weight": f32(10, 16), "model.l.mlp.experts.0.up_proj.weight": f32(10, 16),
		"model.l.mlp.experts.1.gate_proj.weight": f32(10, 16), "model.l.mlp.experts.1.up_proj.weight": f32(10, 16),
	}
	bindForms(t, []formsCase{
		{name: "by expert and part", config: config, tensors: tensors, model: qwen, base: experts, targets: []string{
			"model.l.mlp.experts.0.gate_proj.weight", "model.l.mlp.experts.0.up_proj.weight",
			"model.l.mlp.experts.1.gate_proj.weight", "model.l.mlp.experts.1.up_proj.weight"},
			check: func(t *testing.T, b *Binding) {
				x, first := b.Targets[3], b.Targets[0]
				if x.Rank != 4 || x.In != 16 || x.Out != 10 || !slices.Equal(x.A.Shape, []int{4, 16}) || !slices.Equal(x.B.Shape, []int{10, 4}) || !x.Plain() {
					t.Errorf("%+v", x)
				}
				if x.A.Offset-first.A.Offset != 4*16*4 || x.B.Offset-first.B.Offset != 30*4*4 || x.B.Length != 10*4*4 {
					t.Errorf("A at %d and B at %d, the first at %d and %d", x.A.Offset, x.B.Offset, first.A.Offset, first.B.Offset)
				}
			}},
		{name: "an expert of another shape", config: config, tensors: tensors, model: qwen,
			base: with(experts, map[string]any{"model.l.mlp.experts.1.up_proj.weight": f32(10, 12)}), codes: []fault.Code{fault.ADTarget}},
		{name: "an expert without a part", config: config, tensors: tensors, model: qwen,
			base: with(experts, map[string]any{"model.l.mlp.experts.1.up_proj.weight": nil}), codes: []fault.Code{fault.ADTarget}},
		{name: "an unknown model", config: config, tensors: tensors, base: experts, codes: []fault.Code{fault.ADTarget}},
	})
}
