package adapter

import (
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

func TestUnbound(t *testing.T) {
	a := opened(t, adapterFolder(t, plainConfig(), with(plainTensors(), map[string]any{
		"base_model.model.model.layers.0.self_attn.q_proj.original_module.weight": f32(16, 16),
	})))
	binding, err := a.Unbound()
	if err != nil {
		t.Fatal(err)
	}
	bound, err := a.Bind(openedBase(t, llama, plainBase()))
	if err != nil {
		t.Fatal(err)
	}
	if binding.Base != nil || binding.Adapter != a || len(binding.Targets) != len(bound.Targets) {
		t.Fatalf("%+v", binding)
	}
	for i, target := range binding.Targets {
		want := bound.Targets[i]
		if target.Name != want.Name || target.In != want.In || target.Out != want.Out || target.Scale != want.Scale || target.Base.Shape != nil {
			t.Errorf("target %+v, bound it is %+v", target, want)
		}
	}
	if c := binding.Coverage; c.Applied != 4 || c.Ignored != 1 || c.Rejected != 0 {
		t.Errorf("coverage %+v", c)
	}
	if row := binding.Coverage.Tensors[0]; row.Disposition != report.Applied || row.Target != "model.layers.0.self_attn.q_proj.weight" {
		t.Errorf("row %+v", row)
	}
}

func TestUnboundRefusesEmbeddings(t *testing.T) {
	const embedding = "base_model.model.model.embed_tokens"
	a := opened(t, adapterFolder(t,
		with(plainConfig(), map[string]any{"target_modules": []string{"q_proj", "v_proj", "embed_tokens"}}),
		with(plainTensors(), map[string]any{embedding + ".lora_A.weight": f32(4, 16), embedding + ".lora_B.weight": f32(32, 4)})))
	binding, err := a.Unbound()
	expect(t, err, fault.ADUnsupported)
	if binding.Targets != nil || binding.Coverage.Rejected != 2 {
		t.Errorf("%+v", binding)
	}
}

// TestUnboundLeavesOut checks that changes that need a base are left out, and that a note says so.
func TestUnboundLeavesOut(t *testing.T) {
	for name, c := range map[string]struct {
		config  map[string]any
		tensors map[string]any
		targets int
		left    string
	}{
		"convolution":  {map[string]any{"target_modules": []string{"q_proj", "v_proj", "conv"}}, map[string]any{"conv.lora_A.weight": f32(4, 8, 3), "conv.lora_B.weight": f32(6, 4, 1)}, 3, ""},
		"saved module": {map[string]any{"modules_to_save": []string{"score"}}, map[string]any{"score.weight": f32(2, 16)}, 2, "1 tensor"},
		"bias":         {map[string]any{"bias": "lora_only"}, map[string]any{qProj + ".base_layer.bias": f32(16)}, 2, "1 tensor"},
		"PiSSA":        {map[string]any{"init_lora_weights": "pissa"}, nil, 0, "4 tensors"},
		"DoRA":         {map[string]any{"use_dora": true}, map[string]any{qProj + ".lora_magnitude_vector": f32(16), vProj + ".lora_magnitude_vector": f32(8)}, 0, "6 tensors"},
	} {
		t.Run(name, func(t *testing.T) {
			binding, err := opened(t, adapterFolder(t, with(plainConfig(), c.config), with(plainTensors(), c.tensors))).Unbound()
			if err != nil {
				t.Fatal(err)
			}
			if len(binding.Targets) != c.targets || (len(binding.Notes) > 0) != (c.left != "") || binding.Coverage.Rejected > 0 {
				t.Errorf("%d targets, notes %v, coverage %+v", len(binding.Targets), binding.Notes, binding.Coverage)
			}
			mention(t, binding.Notes.Error(), c.left)
		})
	}
}

func TestUnboundRealAdapters(t *testing.T) {
	a := opened(t, shared(t, "models/real/gpt2-tigrinya"))
	binding, err := a.Unbound()
	if err != nil {
		t.Fatal(err)
	}
	if len(binding.Targets) != 36 || !binding.Targets[0].FanInFanOut || binding.Targets[0].Name != "transformer.h.0.attn.c_attn.weight" ||
		binding.Targets[0].In != 768 || binding.Targets[0].Out != 2304 {
		t.Errorf("%d targets, the first %+v", len(binding.Targets), binding.Targets[0])
	}
}
