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
