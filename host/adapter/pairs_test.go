package adapter

import (
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func TestOpenRefusesTensors(t *testing.T) {
	const (
		a = qProj + ".lora_A.weight"
		b = qProj + ".lora_B.weight"
	)
	for _, c := range []struct {
		name    string
		tensors map[string]any
		config  map[string]any
		codes   []fault.Code
		says    []string
	}{
		{"no B", map[string]any{b: nil}, nil, []fault.Code{fault.ADPair}, []string{"no lora_B"}},
		{"no A, no B", map[string]any{b: nil, vProj + ".lora_A.weight": nil}, nil, []fault.Code{fault.ADPair, fault.ADPair}, nil},
		{"rank of the configuration", nil, map[string]any{"r": 8}, []fault.Code{fault.ADRankMismatch, fault.ADRankMismatch},
			[]string{"rank 8", "rank 4"}},
		{"mixed ranks without a pattern", map[string]any{a: f32(2, 16), b: f32(16, 2)}, nil, []fault.Code{fault.ADRankMismatch}, nil},
		{"B of another rank", map[string]any{b: f32(16, 5)}, nil, []fault.Code{fault.ADRankMismatch}, []string{"[16 5]"}},
		{"swapped", map[string]any{a: f32(16, 4), b: f32(4, 16)}, nil, []fault.Code{fault.ADRankMismatch}, []string{"swapped"}},
		{"swapped, not square", map[string]any{a: f32(8, 4), b: f32(4, 16)}, nil, []fault.Code{fault.ADRankMismatch}, []string{"swapped"}},
		{"one transposed", map[string]any{a: f32(16, 4)}, nil, []fault.Code{fault.ADRankMismatch}, nil},
		{"integers", map[string]any{a: stored{tensor.I8, []int{4, 16}}}, nil, []fault.Code{fault.ADDType}, []string{"I8"}},
		{"doubles", map[string]any{a: stored{tensor.F64, []int{4, 16}}}, nil, []fault.Code{fault.ADDType}, nil},
		{"half a convolution", map[string]any{a: f32(4, 16, 3, 3)}, nil, []fault.Code{fault.ADShape}, []string{"convolution"}},
		{"six dimensions", map[string]any{a: f32(4, 16, 1, 1, 1, 1), b: f32(16, 4, 1, 1, 1, 1)}, nil, []fault.Code{fault.ADShape, fault.ADShape}, nil},
		{"kernel in B", map[string]any{a: f32(4, 16, 3), b: f32(16, 4, 3)}, nil, []fault.Code{fault.ADShape}, []string{"1 in every dimension"}},
		{"convolution of groups", map[string]any{a: f32(4, 16, 3), b: f32(16, 2, 1)}, nil, []fault.Code{fault.ADUnsupported}, []string{"2 groups"}},
		{"vector", map[string]any{a: f32(4)}, nil, []fault.Code{fault.ADShape}, nil},
		{"empty side", map[string]any{a: f32(4, 0)}, nil, []fault.Code{fault.ADShape}, nil},
		{"twice", map[string]any{"model.layers.0.self_attn.q_proj.lora_A.weight": f32(4, 16),
			"model.layers.0.self_attn.q_proj.lora_B.weight": f32(16, 4)}, nil, []fault.Code{fault.ADTwice, fault.ADTwice}, []string{"twice"}},
		{"two adapters", map[string]any{qProj + ".lora_A.weight": nil, qProj + ".lora_A.other.weight": f32(4, 16)}, nil,
			[]fault.Code{fault.ADKey}, []string{"other"}},
		{"unknown part", map[string]any{qProj + ".lora_C.weight": f32(4, 4)}, nil, []fault.Code{fault.ADKey}, nil},
		{"Kohya's name", map[string]any{"lora_unet_q.lora_down.weight": f32(4, 4)}, nil, []fault.Code{fault.ADKey}, []string{"Kohya"}},
		{"DoRA in part", map[string]any{qProj + ".lora_magnitude_vector": f32(16)}, map[string]any{"use_dora": true},
			[]fault.Code{fault.ADPair}, []string{"v_proj has no lora_magnitude_vector"}},
		{"DoRA unannounced", map[string]any{qProj + ".lora_magnitude_vector": f32(16)}, nil, []fault.Code{fault.ADPair}, []string{"use_dora"}},
		{"magnitude by itself", map[string]any{"m.lora_magnitude_vector": f32(16)}, nil, []fault.Code{fault.ADPair, fault.ADTargetModules},
			[]string{"no lora_A and lora_B"}},
		{"magnitude of two sides", map[string]any{qProj + ".lora_magnitude_vector": f32(4, 4)}, nil, []fault.Code{fault.ADShape, fault.ADPair},
			[]string{"vector"}},
		{"bias of B", map[string]any{qProj + ".lora_B.bias": f32(16)}, nil, []fault.Code{fault.ADPair}, []string{"lora_bias"}},
		{"KaSA", map[string]any{qProj + ".lora_diag": f32(4)}, nil, []fault.Code{fault.ADUnsupported}, []string{"KaSA"}},
		{"embedding that is not selected", map[string]any{"base_model.model.model.embed_tokens.lora_embedding_A": f32(4, 32),
			"base_model.model.model.embed_tokens.lora_embedding_B": f32(16, 4)}, nil,
			[]fault.Code{fault.ADTargetModules, fault.ADTargetModules}, []string{"embed_tokens"}},
		{"half an embedding", map[string]any{a: nil, qProj + ".lora_embedding_A": f32(4, 16)}, nil, []fault.Code{fault.ADPair}, []string{"of an embedding and one of a linear"}},
		{"token rows of no token", map[string]any{"base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta": f32(2, 16)}, nil,
			[]fault.Code{fault.ADPair}, []string{"trainable_token_indices"}},
		{"token rows of more tokens", map[string]any{"base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta": f32(2, 16)},
			map[string]any{"trainable_token_indices": []int{1, 2, 3}}, []fault.Code{fault.ADShape}, []string{"2 rows", "lists 3"}},
		{"token rows and factors", map[string]any{qProj + ".token_adapter.trainable_tokens_delta": f32(2, 16)},
			map[string]any{"trainable_token_indices": []int{1, 2}}, []fault.Code{fault.ADUnsupported}, []string{"not defined"}},
		{"token rows and the whole", map[string]any{"wte.token_adapter.trainable_tokens_delta": f32(2, 16), "wte.weight": f32(32, 16)},
			map[string]any{"trainable_token_indices": []int{1, 2}, "modules_to_save": []string{"wte"}}, []fault.Code{fault.ADTwice}, nil},
		{"head that nothing names", map[string]any{"base_model.model.score.weight": f32(2, 16)}, nil,
			[]fault.Code{fault.ADTargetModules}, []string{"modules_to_save"}},
		{"bias that nothing names", map[string]any{qProj + ".base_layer.bias": f32(16)}, nil, []fault.Code{fault.ADTargetModules}, []string{"bias"}},
		{"bias of a module that is not adapted", map[string]any{"model.norm.bias": f32(16)}, map[string]any{"bias": "lora_only"},
			[]fault.Code{fault.ADTargetModules}, []string{"bias"}},
		{"bias in both spellings", map[string]any{qProj + ".base_layer.bias": f32(16), qProj + ".bias": f32(16)}, map[string]any{"bias": "lora_only"},
			[]fault.Code{fault.ADTwice}, []string{"replaced twice"}},
		{"wrapper in a wrapper", map[string]any{"m.experts.base_layer.lora_A.weight": f32(4, 16), "m.experts.base_layer.lora_B.weight": f32(16, 4)},
			map[string]any{"target_modules": []string{"q_proj", "v_proj", "experts"}}, []fault.Code{fault.ADUnsupported, fault.ADUnsupported},
			[]string{"target_parameters"}},
		{"wrapper in the middle", map[string]any{"m.base_layer.x.lora_A.weight": f32(4, 16)}, nil, []fault.Code{fault.ADUnsupported}, []string{"base_layer"}},
		{"parameter that nothing adapts", nil, map[string]any{"target_parameters": []string{"experts.down_proj"}}, []fault.Code{fault.ADTargetModules},
			[]string{"experts.down_proj", "#/target_parameters"}},
		{"nothing", map[string]any{a: nil, b: nil, vProj + ".lora_A.weight": nil, vProj + ".lora_B.weight": nil}, nil,
			[]fault.Code{fault.ADNoEffect}, nil},
		{"scale beyond f32", nil, map[string]any{"lora_alpha": 1e300}, []fault.Code{fault.ADAlpha}, []string{"f32"}},
		{"everything at once", map[string]any{b: nil, "x": f32(1)}, map[string]any{"r": 0, "use_qalora": true},
			[]fault.Code{fault.ADPair, fault.ADKey, fault.ADRank, fault.ADUnsupported}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := adapterFolder(t, with(plainConfig(), c.config), with(plainTensors(), c.tensors))
			got, err := Open(dir)
			if got != nil {
				t.Fatal("there is an adapter")
			}
			expect(t, err, c.codes...)
			mention(t, err.Error(), c.says...)
			inspection, err := Inspect(dir)
			if err != nil {
				t.Fatal(err)
			}
			if len(inspection.Problems) != len(c.codes) || len(inspection.Tensors) != len(with(plainTensors(), c.tensors)) {
				t.Errorf("inspection: %d tensors, %v", len(inspection.Tensors), inspection.Problems)
			}
		})
	}
}
