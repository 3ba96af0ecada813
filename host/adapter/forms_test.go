package adapter

import (
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// formsConfig is a configuration that selects the modules of formsCase by their last elements.
func formsConfig(targets ...string) map[string]any {
	return map[string]any{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": targets}
}

// formsCase is an adapter of zeros on a base of zeros, and what becomes of them.
type formsCase struct {
	name    string
	config  map[string]any
	tensors map[string]stored
	model   map[string]any // the base's configuration; nil for one that says nothing
	base    map[string]stored
	codes   []fault.Code
	says    []string
	targets []string                      // by name
	where   map[string]report.Disposition // of some tensors that are not applied
	check   func(t *testing.T, b *Binding)
}

// bindForms binds each case, and checks that every tensor is accounted for.
func bindForms(t *testing.T, cases []formsCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.model == nil {
				c.model = map[string]any{"model_type": "x"}
			}
			binding, err := Load(adapterFolder(t, c.config, c.tensors), openedBase(t, c.model, c.base))
			expect(t, err, c.codes...)
			if err != nil {
				mention(t, err.Error(), c.says...)
				if binding != nil && binding.Targets != nil {
					t.Error("there are targets")
				}
				return
			}
			t.Cleanup(func() { binding.Close() })
			mention(t, binding.Notes.Error(), c.says...)
			var names []string
			for _, target := range binding.Targets {
				names = append(names, target.Name)
			}
			if !slices.Equal(names, c.targets) {
				t.Errorf("targets %q, want %q", names, c.targets)
			}
			if len(binding.Coverage.Tensors) != len(c.tensors) || binding.Coverage.Rejected > 0 {
				t.Errorf("coverage %+v", binding.Coverage)
			}
			for _, row := range binding.Coverage.Tensors {
				want, special := c.where[row.Name]
				if !special {
					want = report.Applied
				}
				if row.Disposition != want || (row.Target == "") != (row.Rule == ruleOriginalModule) || (row.Rule != "") != (want == report.Ignored) {
					t.Errorf("row %+v, want it %s", row, want)
				}
			}
			if c.check != nil {
				c.check(t, binding)
			}
		})
	}
}

func TestBindEmbedding(t *testing.T) {
	factors := map[string]stored{"wpe.lora_embedding_A": f32(4, 32), "wpe.lora_embedding_B": f32(16, 4)}
	bindForms(t, []formsCase{
		{name: "embedding", config: formsConfig("wpe"), tensors: factors, base: map[string]stored{"wpe.weight": f32(32, 16)},
			targets: []string{"wpe.weight"}, check: func(t *testing.T, b *Binding) {
				if x := b.Targets[0]; !x.FanInFanOut || x.In != 32 || x.Out != 16 || x.Rank != 4 || x.Scale != 2 || !x.Plain() {
					t.Errorf("%+v", x)
				}
			}},
		{name: "of another size", config: formsConfig("wpe"), tensors: factors, base: map[string]stored{"wpe.weight": f32(31, 16)},
			codes: []fault.Code{fault.ADShape}, says: []string{"[31 16]", "[32 16]"}},
		{name: "stored the other way round", config: formsConfig("wpe"), tensors: factors, base: map[string]stored{"wpe.weight": f32(16, 32)},
			codes: []fault.Code{fault.ADShape}},
		{name: "missing", config: formsConfig("wpe"), tensors: factors, base: map[string]stored{"wte.weight": f32(32, 16)},
			codes: []fault.Code{fault.ADTarget}},
		{name: "on an output head", config: formsConfig("lm_head"), base: map[string]stored{"lm_head.weight": f32(32, 16)},
			tensors: map[string]stored{"lm_head.lora_embedding_A": f32(4, 32), "lm_head.lora_embedding_B": f32(16, 4)},
			codes:   []fault.Code{fault.ADUnsupported}, says: []string{"output head"}},
		{name: "DoRA", config: with(formsConfig("wpe"), map[string]any{"use_dora": true}), base: map[string]stored{"wpe.weight": f32(32, 16)},
			tensors: with(factors, map[string]any{"wpe.lora_magnitude_vector": f32(16)}), targets: []string{"wpe.weight"}},
		{name: "DoRA by rows", config: with(formsConfig("wpe"), map[string]any{"use_dora": true}), base: map[string]stored{"wpe.weight": f32(32, 16)},
			tensors: with(factors, map[string]any{"wpe.lora_magnitude_vector": f32(32)}), codes: []fault.Code{fault.ADShape}, says: []string{"16 outputs"}},
		{name: "lora_bias", config: with(formsConfig("wpe"), map[string]any{"lora_bias": true}), tensors: factors,
			base: map[string]stored{"wpe.weight": f32(32, 16)}, codes: []fault.Code{fault.ADUnsupported}, says: []string{"lora_bias"}},
		{name: "PiSSA, which leaves embeddings as they are", config: with(formsConfig("wpe"), map[string]any{"init_lora_weights": "pissa"}),
			tensors: factors, base: map[string]stored{"wpe.weight": f32(32, 16)}, targets: []string{"wpe.weight"}, check: func(t *testing.T, b *Binding) {
				if x := b.Targets[0]; x.Rank != 4 || b.Derived != nil {
					t.Errorf("%+v", x)
				}
			}},
	})
}

func TestBindConvolution(t *testing.T) {
	factors := map[string]stored{"conv.lora_A.weight": f32(4, 6, 3, 5), "conv.lora_B.weight": f32(8, 4, 1, 1)}
	weight := map[string]stored{"conv.weight": f32(8, 6, 3, 5), "conv.bias": f32(8)}
	bindForms(t, []formsCase{
		{name: "two dimensions", config: formsConfig("conv"), tensors: factors, base: weight, targets: []string{"conv.weight"},
			check: func(t *testing.T, b *Binding) {
				x := b.Targets[0]
				if x.In != 90 || x.Out != 8 || !slices.Equal(x.A.Shape, []int{4, 90}) || !slices.Equal(x.B.Shape, []int{8, 4}) || x.FanInFanOut {
					t.Errorf("%+v", x)
				}
			}},
		{name: "fan_in_fan_out is not for it", config: with(formsConfig("conv"), map[string]any{"fan_in_fan_out": true}), tensors: factors, base: weight,
			targets: []string{"conv.weight"}, check: func(t *testing.T, b *Binding) {
				if b.Targets[0].FanInFanOut {
					t.Error("it is transposed")
				}
			}},
		{name: "DoRA with lora_bias", config: with(formsConfig("conv"), map[string]any{"use_dora": true, "lora_bias": true}), base: weight,
			tensors: with(factors, map[string]any{"conv.lora_magnitude_vector": f32(1, 8, 1, 1), "conv.lora_B.bias": f32(8)}),
			targets: []string{"conv.bias", "conv.weight"}, check: func(t *testing.T, b *Binding) {
				if x := b.Targets[1]; !slices.Equal(x.Magnitude.Shape, []int{8}) || x.MagnitudeOfInputs {
					t.Errorf("%+v", x)
				}
				x := b.Targets[0]
				if one := b.File(x.A).Bytes(x.A); x.Rank != 1 || x.In != 1 || x.Out != 8 || x.Scale != 2 || !slices.Equal(one, []byte{0, 0, 128, 63}) {
					t.Errorf("%+v", x)
				}
			}},
		{name: "another kernel", config: formsConfig("conv"), tensors: factors, base: map[string]stored{"conv.weight": f32(8, 6, 5, 3)},
			codes: []fault.Code{fault.ADShape}, says: []string{"[8 6 3 5]"}},
		{name: "of groups in the base", config: formsConfig("conv"), tensors: factors, base: map[string]stored{"conv.weight": f32(8, 3, 3, 5)},
			codes: []fault.Code{fault.ADShape}},
		{name: "linear in the base", config: formsConfig("conv"), tensors: factors, base: map[string]stored{"conv.weight": f32(8, 90)},
			codes: []fault.Code{fault.ADShape}},
		{name: "linear factors", config: formsConfig("conv"), base: weight, codes: []fault.Code{fault.ADShape},
			tensors: map[string]stored{"conv.lora_A.weight": f32(4, 90), "conv.lora_B.weight": f32(8, 4)}},
		{name: "PiSSA", config: with(formsConfig("conv"), map[string]any{"init_lora_weights": "pissa"}), tensors: factors, base: weight,
			codes: []fault.Code{fault.ADUnsupported}, says: []string{"no linear module"}},
	})
}

func TestBindLoRABias(t *testing.T) {
	config := with(formsConfig("q"), map[string]any{"lora_bias": true})
	tensors := map[string]stored{"a.q.lora_A.weight": f32(4, 16), "a.q.lora_B.weight": f32(8, 4), "a.q.lora_B.bias": f32(8)}
	bindForms(t, []formsCase{
		{name: "added", config: config, tensors: tensors, base: map[string]stored{"a.q.weight": f32(8, 16), "a.q.bias": f32(8)},
			targets: []string{"a.q.bias", "a.q.weight"}},
		{name: "no bias in the base", config: config, tensors: tensors, base: map[string]stored{"a.q.weight": f32(8, 16)},
			codes: []fault.Code{fault.ADTarget}, says: []string{`"a.q.bias"`, "lora_bias"}},
		{name: "of another length", config: config, tensors: with(tensors, map[string]any{"a.q.lora_B.bias": f32(4)}),
			base: map[string]stored{"a.q.weight": f32(8, 16), "a.q.bias": f32(8)}, codes: []fault.Code{fault.ADShape}},
		{name: "replaced too", config: with(config, map[string]any{"bias": "all"}), tensors: with(tensors, map[string]any{"a.q.base_layer.bias": f32(8)}),
			base: map[string]stored{"a.q.weight": f32(8, 16), "a.q.bias": f32(8)}, targets: []string{"a.q.bias", "a.q.weight"},
			where: map[string]report.Disposition{"a.q.base_layer.bias": report.Replaced}, check: func(t *testing.T, b *Binding) {
				if x := b.Targets[0]; !x.LowRank() || !slices.Equal(x.Start.Shape, []int{8}) {
					t.Errorf("%+v", x)
				}
			}},
	})
}

func TestBindAttention(t *testing.T) {
	tensors := map[string]stored{"x.attn.lora_A.weight": f32(4, 8), "x.attn.lora_B.weight": f32(24, 4),
		"x.attn.base_layer.out_proj.lora_A.weight": f32(4, 8), "x.attn.base_layer.out_proj.lora_B.weight": f32(8, 4)}
	weights := map[string]stored{"x.attn.in_proj_weight": f32(24, 8), "x.attn.in_proj_bias": f32(24), "x.attn.out_proj.weight": f32(8, 8), "x.attn.out_proj.bias": f32(8)}
	bindForms(t, []formsCase{
		{name: "both projections", config: formsConfig("attn"), tensors: tensors, base: weights, targets: []string{"x.attn.in_proj_weight", "x.attn.out_proj.weight"}},
		{name: "biases", config: with(formsConfig("attn"), map[string]any{"bias": "all"}), base: weights,
			tensors: with(tensors, map[string]any{"x.attn.base_layer.in_proj_bias": f32(24), "x.attn.base_layer.out_proj.base_layer.bias": f32(8)}),
			targets: []string{"x.attn.in_proj_bias", "x.attn.in_proj_weight", "x.attn.out_proj.bias", "x.attn.out_proj.weight"},
			where: map[string]report.Disposition{"x.attn.base_layer.in_proj_bias": report.Replaced,
				"x.attn.base_layer.out_proj.base_layer.bias": report.Replaced}},
		{name: "not selected", config: formsConfig("out_proj"), tensors: tensors, base: weights,
			codes: []fault.Code{fault.ADTargetModules, fault.ADTargetModules, fault.ADTargetModules, fault.ADTargetModules, fault.ADTargetModules}},
		{name: "DoRA", config: with(formsConfig("attn"), map[string]any{"use_dora": true}), base: weights, codes: []fault.Code{fault.ADUnsupported},
			tensors: with(tensors, map[string]any{"x.attn.lora_magnitude_vector": f32(24), "x.attn.base_layer.out_proj.lora_magnitude_vector": f32(8)}),
			says:    []string{"MultiheadAttention"}},
		{name: "PiSSA", config: with(formsConfig("attn"), map[string]any{"init_lora_weights": "pissa"}), base: weights, tensors: tensors,
			codes: []fault.Code{fault.ADUnsupported}, says: []string{"no linear module"}},
		{name: "one weight under two names", config: formsConfig("attn", "out_proj"), base: weights,
			tensors: with(tensors, map[string]any{"x.attn.out_proj.lora_A.weight": f32(4, 8), "x.attn.out_proj.lora_B.weight": f32(8, 4)}),
			codes:   []fault.Code{fault.ADTwice, fault.ADTwice, fault.ADTargetModules}},
	})
}

func TestBindDoRA(t *testing.T) {
	config := with(formsConfig("q"), map[string]any{"use_dora": true})
	tensors := map[string]stored{"a.q.lora_A.weight": f32(4, 16), "a.q.lora_B.weight": f32(8, 4), "a.q.lora_magnitude_vector.weight": f32(8)}
	bindForms(t, []formsCase{
		{name: "linear", config: config, tensors: tensors, base: map[string]stored{"a.q.weight": f32(8, 16)}, targets: []string{"a.q.weight"},
			check: func(t *testing.T, b *Binding) {
				if x := b.Targets[0]; !slices.Equal(x.Magnitude.Shape, []int{8}) || x.Plain() {
					t.Errorf("%+v", x)
				}
			}},
		{name: "of inputs", config: config, tensors: with(tensors, map[string]any{"a.q.lora_magnitude_vector.weight": f32(16)}),
			base: map[string]stored{"a.q.weight": f32(8, 16)}, codes: []fault.Code{fault.ADShape}, says: []string{"8 outputs"}},
		{name: "integers", config: config, tensors: with(tensors, map[string]any{"a.q.lora_magnitude_vector.weight": stored{tensor.I8, []int{8}}}),
			base: map[string]stored{"a.q.weight": f32(8, 16)}, codes: []fault.Code{fault.ADDType}},
	})
}
