package adapter

import (
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
)

// TestBindResidualRefuses are residual bases that do not follow from the base: what is derived is held against the oracle elsewhere.
func TestBindResidualRefuses(t *testing.T) {
	tensors, weights := oneLinear() // a base of zeros: nothing follows from it
	init := func(method string, more map[string]any) map[string]any {
		return with(with(formsConfig("q"), map[string]any{"init_lora_weights": method}), more)
	}
	bindForms(t, []formsCase{
		{name: "dependent columns", config: init("olora", nil), tensors: tensors, base: weights, codes: []fault.Code{fault.ADUnsupported},
			says: []string{"column 0 depends", "#/init_lora_weights"}},
		{name: "Conv1D", config: init("olora", map[string]any{"fan_in_fan_out": true}), tensors: tensors, base: map[string]stored{"a.q.weight": f32(16, 8)},
			codes: []fault.Code{fault.ADUnsupported}, says: []string{"the other way round"}},
		{name: "rank above the weight's", config: init("pissa", nil), base: map[string]stored{"a.q.weight": f32(8, 3)}, codes: []fault.Code{fault.ADUnsupported},
			tensors: map[string]stored{"a.q.lora_A.weight": f32(4, 3), "a.q.lora_B.weight": f32(8, 4)}, says: []string{"rank is 4"}},
		{name: "negative scale", config: init("pissa", map[string]any{"lora_alpha": -8}), tensors: tensors, base: weights,
			codes: []fault.Code{fault.ADUnsupported}, says: []string{"square root"}},
		{name: "experts", config: init("pissa", map[string]any{"target_modules": []string{}, "target_parameters": []string{"q.weight"}}), tensors: tensors, base: weights,
			codes: []fault.Code{fault.ADUnsupported}, says: []string{"no linear module"}},
	})
	t.Run("equal singular values", func(t *testing.T) {
		dir := folder(t, map[string][]byte{"config.json": []byte(`{}`), "model.safetensors": weightsFile(t, map[string]stored{"a.q.weight": f32(8, 16)})})
		for i := range 8 { // an identity
			poke(t, filepath.Join(dir, "model.safetensors"), "a.q.weight", int64(4*17*i), 0, 0, 0x80, 0x3f)
		}
		b, err := base.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		_, err = Load(adapterFolder(t, init("pissa", nil), tensors), b)
		expect(t, err, fault.ADUnsupported)
		mention(t, err.Error(), "singular values 4 and 5 are 1 and 1")
		binding, err := Load(adapterFolder(t, init("olora", nil), tensors), b)
		if err != nil {
			t.Fatal(err)
		}
		defer binding.Close()
		if x := binding.Targets[0]; x.Rank != 8 || x.Scale != 1 || x.A.File != InDerived || binding.Adapter.Pairs[0].Rank != 4 {
			t.Errorf("%+v", x)
		}
	})
}
