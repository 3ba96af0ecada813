package convert

import (
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// with is a family with other values in its configuration, and without some tensors.
func (f family) with(config map[string]any, missing ...string) family {
	changed := family{config: map[string]any{}, tensors: merged(f.tensors)}
	for key, value := range f.config {
		changed.config[key] = value
	}
	for key, value := range config {
		changed.config[key] = value
	}
	for _, name := range missing {
		delete(changed.tensors, name)
	}
	return changed
}

func TestNoFormInGGUF(t *testing.T) {
	l, g := llama("llama"), gpt2()
	q := l.pairs(2, tensor.F32, "model.layers.0.self_attn.q_proj")
	biased := llama("qwen2")
	biased.tensors["model.layers.0.self_attn.q_proj.bias"] = f32(16)
	for _, c := range []struct {
		name   string
		family family
		peft   peft
		want   fault.Code
	}{
		{"DoRA", l, peft{map[string]any{"use_dora": true}, merged(q, map[string]matrix{
			"model.layers.0.self_attn.q_proj.lora_magnitude_vector": f32(16)})}, fault.ADUnsupported},
		{"a replaced head", l, peft{map[string]any{"modules_to_save": []string{"lm_head"}}, merged(q, map[string]matrix{
			"lm_head.weight": f32(20, 16)})}, fault.ADUnsupported},
		{"rows of an embedding", l, peft{map[string]any{"trainable_token_indices": []int{1, 2}}, merged(q, map[string]matrix{
			"model.embed_tokens.token_adapter.trainable_tokens_delta": f32(2, 16)})}, fault.ADUnsupported},
		{"a bias", biased, peft{map[string]any{"lora_bias": true}, merged(q, map[string]matrix{
			"model.layers.0.self_attn.q_proj.lora_B.bias": f32(16)})}, fault.ADUnsupported},
		{"the embedding of positions", g, peft{map[string]any{"fan_in_fan_out": true, "target_modules": []string{"wpe"}}, map[string]matrix{
			"transformer.wpe.lora_embedding_A": f32(2, 32), "transformer.wpe.lora_embedding_B": f32(16, 2)}}, fault.ADUnsupported},
		{"a family that is not known", l.with(map[string]any{"model_type": "gemma2"}), peft{tensors: q}, fault.BSArch},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ToGGUF(c.peft.bind(t, c.family.open(t)), Options{})
			refused(t, err, c.want)
		})
	}
}

// TestTiedEmbeddingHasNoForm: llama.cpp looks the adapter up by the name of the weight, which the head has too, and wants another A there.
func TestTiedEmbeddingHasNoForm(t *testing.T) {
	f := llama("llama").with(map[string]any{"tie_word_embeddings": true}, "lm_head.weight")
	tied := peft{map[string]any{"target_modules": []string{"embed_tokens"}, "ensure_weight_tying": true}, map[string]matrix{
		"model.embed_tokens.lora_embedding_A": f32(2, 20), "model.embed_tokens.lora_embedding_B": f32(16, 2),
	}}
	_, err := ToGGUF(tied.bind(t, f.open(t)), Options{})
	refused(t, err, fault.ADTied)
}

func TestHeadsThatDoNotFit(t *testing.T) {
	f := llama("llama")
	f.config["num_attention_heads"] = 3
	_, err := ToGGUF(peft{tensors: f.pairs(2, tensor.F32, "model.layers.0.self_attn.q_proj")}.bind(t, f.open(t)), Options{})
	refused(t, err, fault.ADShape)
}

func TestBaseThatIsGGUF(t *testing.T) {
	b, err := base.Open(shared(t, "models/stories260K/base.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	refused(t, CheckBase(b), fault.UsageFlag)
	a, err := adapter.Open(shared(t, "models/stories260K/adapter.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	_, err = ToPEFT(a, b, Options{})
	refused(t, err, fault.UsageFlag)
}

func TestNoFormInPEFT(t *testing.T) {
	l := llama("llama")
	_, path := toGGUF(t, peft{tensors: l.pairs(2, tensor.F32, llamaModules...)}.bind(t, l.open(t)), Options{})
	_, embedding := toGGUF(t, peft{map[string]any{"target_modules": []string{"embed_tokens"}}, map[string]matrix{
		"model.embed_tokens.lora_embedding_A": f32(2, 20), "model.embed_tokens.lora_embedding_B": f32(16, 2),
	}}.bind(t, l.open(t)), Options{})
	narrow := l.with(nil)
	narrow.tensors["model.layers.1.mlp.down_proj.weight"] = f32(16, 10)
	for _, c := range []struct {
		name   string
		ref    string
		family family
		want   fault.Code
	}{
		{"a PEFT adapter", peft{tensors: l.pairs(2, tensor.F32, llamaModules...)}.write(t), l, fault.UsageFlag},
		{"another architecture", path, llama("qwen2"), fault.ADBase},
		{"a family that is not known", path, l.with(map[string]any{"model_type": "gemma2"}), fault.ADBase},
		{"a base without the weight", path, l.with(nil, "model.layers.1.self_attn.v_proj.weight"), fault.ADTarget},
		{"a base of another shape", path, narrow, fault.ADShape},
		{"a tied embedding", embedding, l.with(map[string]any{"tie_word_embeddings": true}, "lm_head.weight"), fault.ADTied},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := adapter.Open(c.ref)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			_, err = ToPEFT(a, c.family.open(t), Options{})
			refused(t, err, c.want)
		})
	}
}
