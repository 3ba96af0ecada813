package adapter

import (
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

func TestBindTied(t *testing.T) {
	tied := map[string]any{"tie_word_embeddings": true}
	embedding := map[string]stored{"m.wte.lora_embedding_A": f32(4, 32), "m.wte.lora_embedding_B": f32(16, 4)}
	head := map[string]any{"lm_head.lora_A.weight": f32(4, 16), "lm_head.lora_B.weight": f32(32, 4)}
	weights := map[string]stored{"m.wte.weight": f32(32, 16), "m.wpe.weight": f32(32, 16)}
	ensured := func(targets ...string) map[string]any {
		return with(formsConfig(targets...), map[string]any{"ensure_weight_tying": true})
	}
	saved := func(ensure bool, names ...string) map[string]any {
		return with(formsConfig("wpe"), map[string]any{"modules_to_save": names, "ensure_weight_tying": ensure})
	}
	wpe := map[string]stored{"m.wpe.lora_embedding_A": f32(4, 32), "m.wpe.lora_embedding_B": f32(16, 4)}
	bindForms(t, []formsCase{
		{name: "one side", config: formsConfig("wte"), tensors: embedding, base: weights, model: tied, codes: []fault.Code{fault.ADTied}},
		{name: "both, for each its own", config: formsConfig("wte", "lm_head"), tensors: with(embedding, head), base: weights, model: tied,
			codes: []fault.Code{fault.ADTied, fault.ADTied}},
		{name: "positions are not tied", config: formsConfig("wpe"), tensors: wpe, base: weights, model: tied, targets: []string{"m.wpe.weight"}},
		{name: "for both", config: ensured("wte"), tensors: embedding, base: weights, model: tied, targets: []string{"m.wte.weight"}},
		{name: "for both, with the head's views", config: ensured("wte"), tensors: with(embedding, head), base: weights, model: tied,
			targets: []string{"m.wte.weight"}, where: map[string]report.Disposition{
				"lm_head.lora_A.weight": report.Ignored, "lm_head.lora_B.weight": report.Ignored}},
		{name: "for both, with a head of another rank", config: with(ensured("wte"), map[string]any{"rank_pattern": map[string]any{"lm_head": 2}}),
			tensors: with(embedding, map[string]any{"lm_head.lora_A.weight": f32(2, 16), "lm_head.lora_B.weight": f32(32, 2)}), base: weights, model: tied,
			codes: []fault.Code{fault.ADTied}},
		{name: "for both, and both stored", config: ensured("wte"), tensors: embedding, base: with(weights, map[string]any{"lm_head.weight": f32(32, 16)}),
			model: tied, codes: []fault.Code{fault.ADTied}, says: []string{"stores both"}},
		{name: "for both, with a head of another scale", config: with(ensured("wte"), map[string]any{"alpha_pattern": map[string]any{"lm_head": 2}}),
			tensors: with(embedding, head), base: weights, model: tied, codes: []fault.Code{fault.ADTied}},
		{name: "for both with DoRA", config: with(ensured("wte"), map[string]any{"use_dora": true}), base: weights, model: tied,
			tensors: with(embedding, map[string]any{"m.wte.lora_magnitude_vector": f32(16)}), codes: []fault.Code{fault.ADTied}},
		{name: "for both with PiSSA", config: with(ensured("wte"), map[string]any{"init_lora_weights": "pissa"}), tensors: embedding, base: weights, model: tied,
			codes: []fault.Code{fault.ADTied}},
		{name: "tied though the configuration is silent", config: formsConfig("wte"), tensors: embedding, base: weights,
			model: map[string]any{"model_type": "x", "architectures": []string{"XForCausalLM"}}, codes: []fault.Code{fault.ADTied}},
		{name: "no head at all", config: formsConfig("wte"), tensors: embedding, base: weights,
			model: map[string]any{"model_type": "x", "architectures": []string{"XModel"}}, targets: []string{"m.wte.weight"}},
		{name: "saved for both", config: saved(true, "wte"), tensors: with(wpe, map[string]any{"m.wte.weight": f32(32, 16)}), base: weights, model: tied,
			targets: []string{"m.wpe.weight"}, where: map[string]report.Disposition{"m.wte.weight": report.Ignored}},
		{name: "the head saved, as the base has it", config: saved(false, "lm_head"), tensors: with(wpe, map[string]any{"lm_head.weight": f32(32, 16)}), base: weights,
			model: tied, targets: []string{"m.wpe.weight"}, where: map[string]report.Disposition{"lm_head.weight": report.Ignored}},
	})
}

// TestBindTiedReplaced replaces the values of a tied embedding.
func TestBindTiedReplaced(t *testing.T) {
	const embedding, head = "m.wte.weight", "lm_head.weight"
	for _, c := range []struct {
		name    string
		config  map[string]any
		values  map[string]byte // what the first entry of each has in its highest byte
		code    fault.Code
		ignored string
	}{
		{"one side", map[string]any{"modules_to_save": []string{"wte"}}, map[string]byte{embedding: 1}, fault.ADTied, ""},
		{"for both", map[string]any{"modules_to_save": []string{"wte"}, "ensure_weight_tying": true}, map[string]byte{embedding: 1}, "", ""},
		{"both, alike", map[string]any{"modules_to_save": []string{"wte", "lm_head"}, "ensure_weight_tying": true}, map[string]byte{embedding: 1, head: 1}, "", head},
		{"both, each its own", map[string]any{"modules_to_save": []string{"wte", "lm_head"}, "ensure_weight_tying": true},
			map[string]byte{embedding: 1, head: 2}, fault.ADTied, ""},
		{"the head only", map[string]any{"modules_to_save": []string{"lm_head"}, "ensure_weight_tying": true}, map[string]byte{head: 1}, fault.ADTied, ""},
		{"copies of another base", nil, map[string]byte{embedding: 1, head: 1}, "", head},
	} {
		t.Run(c.name, func(t *testing.T) {
			tensors, weights := oneLinear()
			for name := range c.values {
				tensors[name] = f32(32, 16)
			}
			dir := adapterFolder(t, with(formsConfig("q"), c.config), tensors)
			for name, value := range c.values {
				poke(t, dir+"/"+weightsName, name, 3, value)
			}
			weights[embedding] = f32(32, 16)
			binding, err := Load(dir, openedBase(t, map[string]any{"tie_word_embeddings": true}, weights))
			if c.code != "" {
				expect(t, err, c.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer binding.Close()
			if len(binding.Targets) != 2 || binding.Targets[1].Start.Name != embedding {
				t.Errorf("%+v", binding.Targets)
			}
			for _, row := range binding.Coverage.Tensors {
				if (row.Disposition == report.Ignored) != (row.Name == c.ignored) || row.Name == c.ignored && row.Rule != ruleTied {
					t.Errorf("row %+v", row)
				}
			}
		})
	}
}
