package adapter

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// plainBase is a base of one layer and width 16 that plainTensors fit.
func plainBase() map[string]stored {
	return map[string]stored{
		"model.embed_tokens.weight": f32(32, 16), "model.norm.weight": f32(16),
		"model.layers.0.self_attn.q_proj.weight": f32(16, 16), "model.layers.0.self_attn.k_proj.weight": f32(8, 16),
		"model.layers.0.self_attn.v_proj.weight": {tensor.BF16, []int{8, 16}},
	}
}

func openedBase(t *testing.T, config map[string]any, tensors map[string]stored) *base.Base {
	t.Helper()
	b, err := base.Open(folder(t, map[string][]byte{
		"config.json": configFile(t, config), "model.safetensors": weightsFile(t, tensors),
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

var llama = map[string]any{"model_type": "llama"}

func TestBind(t *testing.T) {
	a := opened(t, adapterFolder(t, plainConfig(), plainTensors()))
	binding, err := a.Bind(openedBase(t, llama, plainBase()))
	if err != nil {
		t.Fatal(err)
	}
	if len(binding.Targets) != 2 || len(binding.Notes) != 0 {
		t.Fatalf("targets %+v notes %v", binding.Targets, binding.Notes)
	}
	target := binding.Targets[1]
	if target.Name != "model.layers.0.self_attn.v_proj.weight" || target.In != 16 || target.Out != 8 || target.FanInFanOut ||
		target.Base.DType != tensor.BF16 || target.Pair.Scale != 2 || target.Base.Name != target.Name {
		t.Errorf("target %+v", target)
	}
	if c := binding.Coverage; c.Applied != 4 || c.Rejected+c.Ignored+c.Replaced != 0 || len(c.Tensors) != 4 {
		t.Errorf("coverage %+v", c)
	}
	if row := binding.Coverage.Tensors[0]; row != (report.Tensor{
		Name: qProj + ".lora_A.weight", Disposition: report.Applied, Target: "model.layers.0.self_attn.q_proj.weight",
	}) {
		t.Errorf("row %+v", row)
	}
}

func TestBindRefuses(t *testing.T) {
	const layer = "base_model.model.model.layers.0."
	other := func(module string) map[string]any { // the pair of q_proj under another module
		return map[string]any{
			qProj + ".lora_A.weight": nil, qProj + ".lora_B.weight": nil,
			module + ".lora_A.weight": f32(4, 16), module + ".lora_B.weight": f32(16, 4),
		}
	}
	for _, c := range []struct {
		name     string
		config   map[string]any // of the adapter
		tensors  map[string]any
		base     map[string]any // the base's configuration
		stored   map[string]any // the base's tensors
		codes    []fault.Code
		says     []string
		rejected int
	}{
		{name: "typo", tensors: other(layer + "self_attn.q_porj"), config: map[string]any{"target_modules": []string{"q_porj", "v_proj"}},
			codes: []fault.Code{fault.ADTarget}, rejected: 2,
			says: []string{`did you mean "model.layers.0.self_attn.q_proj.weight"`, "q_porj.weight"}},
		{name: "leading zeros", tensors: other("base_model.model.model.layers.00.self_attn.q_proj"),
			codes: []fault.Code{fault.ADTarget}, rejected: 2},
		{name: "layer beyond the last", tensors: other("base_model.model.model.layers.1.self_attn.q_proj"),
			codes: []fault.Code{fault.ADTarget}, says: []string{"in layer 0 only"}, rejected: 2},
		{name: "wider base", stored: map[string]any{"model.layers.0.self_attn.q_proj.weight": f32(32, 16)},
			codes: []fault.Code{fault.ADShape}, says: []string{"[32 16]", "[16 16]"}, rejected: 2},
		{name: "base stored the other way", stored: map[string]any{"model.layers.0.self_attn.v_proj.weight": f32(16, 8)},
			codes: []fault.Code{fault.ADShape}, says: []string{"fan_in_fan_out to true"}, rejected: 2},
		{name: "a norm", tensors: other("base_model.model.model.norm"), config: map[string]any{"target_modules": []string{"norm", "v_proj"}},
			codes: []fault.Code{fault.ADShape}, says: []string{"matrix"}, rejected: 2},
		{name: "doubles in the base", stored: map[string]any{"model.layers.0.self_attn.q_proj.weight": stored{tensor.F64, []int{16, 16}}},
			codes: []fault.Code{fault.ADDType}, says: []string{"F64"}, rejected: 2},
		{name: "tied head", tensors: other("base_model.model.lm_head"), config: map[string]any{"target_modules": []string{"lm_head", "v_proj"}},
			base: map[string]any{"tie_word_embeddings": true}, codes: []fault.Code{fault.ADTied}, rejected: 2},
		{name: "embedding", tensors: other("base_model.model.model.embed_tokens"),
			config: map[string]any{"target_modules": []string{"embed_tokens", "v_proj"}}, codes: []fault.Code{fault.ADUnsupported}, rejected: 2},
		{name: "square weights the wrong way round", config: map[string]any{"fan_in_fan_out": true, "target_modules": []string{"q_proj"}},
			tensors: map[string]any{vProj + ".lora_A.weight": nil, vProj + ".lora_B.weight": nil},
			codes:   []fault.Code{fault.ADShape}, says: []string{"llama model stores its weights out x in"}, rejected: 2},
		{name: "GPT-2 the wrong way round", config: map[string]any{"target_modules": []string{"c_attn"}}, base: map[string]any{"model_type": "gpt2"},
			tensors: map[string]any{qProj + ".lora_A.weight": nil, qProj + ".lora_B.weight": nil, vProj + ".lora_A.weight": nil,
				vProj + ".lora_B.weight": nil, layer + "c_attn.lora_A.weight": f32(4, 16), layer + "c_attn.lora_B.weight": f32(16, 4)},
			stored: map[string]any{"model.layers.0.c_attn.weight": f32(16, 16)}, codes: []fault.Code{fault.ADShape}, says: []string{"in x out"}, rejected: 2},
		{name: "adapter and base together", config: map[string]any{"target_modules": []string{"q_porj", "v_proj"}}, codes: []fault.Code{
			fault.ADTarget, fault.ADTargetModules, fault.ADPair}, rejected: 4,
			tensors: map[string]any{
				qProj + ".lora_A.weight": nil, qProj + ".lora_B.weight": nil, vProj + ".lora_B.weight": nil,
				layer + "self_attn.q_porj.lora_A.weight": f32(4, 16), layer + "self_attn.q_porj.lora_B.weight": f32(16, 4),
				"base_model.model.score.weight": f32(2, 16),
			}},
		{name: "the whole adapter", config: map[string]any{"use_qalora": true}, codes: []fault.Code{fault.ADUnsupported}, rejected: 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := openedBase(t, with(llama, c.base), with(plainBase(), c.stored))
			tensors := make(map[string]stored)
			for name, value := range plainTensors() {
				if change, changed := c.tensors[name]; !changed || change != nil {
					tensors[name] = value
				}
			}
			for name, value := range c.tensors {
				if value != nil {
					tensors[name] = value.(stored)
				}
			}
			binding, err := Load(adapterFolder(t, with(plainConfig(), c.config), tensors), b)
			expect(t, err, c.codes...)
			mention(t, err.Error(), c.says...)
			if binding.Targets != nil || binding.Coverage.Rejected != c.rejected || len(binding.Coverage.Tensors) != len(tensors) {
				t.Errorf("targets %v, coverage %+v", binding.Targets, binding.Coverage)
			}
			for _, row := range binding.Coverage.Tensors {
				if (row.Disposition == report.Rejected) != (row.Rule != "") {
					t.Errorf("row %+v", row)
				}
			}
		})
	}
}

func TestBindConv1D(t *testing.T) {
	tensors := map[string]stored{
		"base_model.model.transformer.h.0.c_attn.lora_A.weight": f32(4, 16), "base_model.model.transformer.h.0.c_attn.lora_B.weight": f32(48, 4),
	}
	config := with(plainConfig(), map[string]any{"fan_in_fan_out": true, "target_modules": []string{"c_attn"}})
	b := openedBase(t, map[string]any{"model_type": "gpt2"}, map[string]stored{"transformer.h.0.c_attn.weight": f32(16, 48)})
	binding, err := opened(t, adapterFolder(t, config, tensors)).Bind(b)
	if err != nil {
		t.Fatal(err)
	}
	if target := binding.Targets[0]; !target.FanInFanOut || target.In != 16 || target.Out != 48 {
		t.Errorf("target %+v", target)
	}
}

// TestBindConv1DBesideLinear adapts a Conv1D and the output head of a GPT-2: the flag is what PEFT corrected it to for the last of them.
func TestBindConv1DBesideLinear(t *testing.T) {
	tensors := map[string]stored{"h.0.c_attn.lora_A.weight": f32(4, 16), "h.0.c_attn.lora_B.weight": f32(16, 4),
		"score.lora_A.weight": f32(4, 16), "score.lora_B.weight": f32(16, 4)}
	for _, flag := range []bool{false, true} {
		a := opened(t, adapterFolder(t, with(plainConfig(), map[string]any{"fan_in_fan_out": flag, "target_modules": []string{"c_attn", "score"}}), tensors))
		binding, err := a.Bind(openedBase(t, map[string]any{"model_type": "gpt2"},
			map[string]stored{"h.0.c_attn.weight": f32(16, 16), "score.weight": f32(16, 16)}))
		if err != nil {
			t.Fatal(err)
		}
		if conv1D, linear := binding.Targets[0], binding.Targets[1]; !conv1D.FanInFanOut || linear.FanInFanOut {
			t.Errorf("flag %v: %v for the Conv1D, %v for the head", flag, conv1D.FanInFanOut, linear.FanInFanOut)
		}
	}
}

func TestBindIgnoresOriginalModule(t *testing.T) {
	untouched := map[string]any{"base_model.model.score.original_module.weight": f32(2, 16)}
	a := opened(t, adapterFolder(t, plainConfig(), with(plainTensors(), untouched)))
	binding, err := a.Bind(openedBase(t, llama, plainBase()))
	if err != nil {
		t.Fatal(err)
	}
	if c := binding.Coverage; c.Ignored != 1 || c.Applied != 4 || c.Tensors[4].Rule != ruleOriginalModule {
		t.Errorf("coverage %+v", c)
	}
}

func TestBindNotesUnadaptedModules(t *testing.T) {
	extra := map[string]any{
		"model.layers.1.self_attn.q_proj.weight": f32(16, 16), "model.layers.1.self_attn.v_proj.weight": f32(8, 16),
		"lm_head.weight": f32(32, 16),
	}
	for name, c := range map[string]struct {
		config map[string]any
		says   []string
	}{
		"list":       {nil, []string{"2 modules", "model.layers.1.self_attn.q_proj, model.layers.1.self_attn.v_proj"}},
		"one layer":  {map[string]any{"layers_to_transform": 0}, nil},
		"all-linear": {map[string]any{"target_modules": AllLinear}, []string{"3 modules", "model.layers.0.self_attn.k_proj"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := opened(t, adapterFolder(t, with(plainConfig(), c.config), plainTensors()))
			binding, err := a.Bind(openedBase(t, llama, with(plainBase(), extra)))
			if err != nil {
				t.Fatal(err)
			}
			if (len(binding.Notes) == 1) != (c.says != nil) {
				t.Fatalf("notes %v", binding.Notes)
			}
			if c.says != nil {
				mention(t, binding.Notes.Error(), c.says...)
			}
		})
	}
}

// TestSnapshotOutlivesItsFiles checks that what happens to the directory after Open does not matter.
func TestSnapshotOutlivesItsFiles(t *testing.T) {
	dir := adapterFolder(t, plainConfig(), plainTensors())
	a := opened(t, dir)
	if err := os.WriteFile(filepath.Join(dir, weightsName), []byte("gone"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := a.Weights.Bytes(a.Pairs[0].A); len(got) != 4*16*4 {
		t.Errorf("%d bytes", len(got))
	}
}
