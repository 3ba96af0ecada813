package adapter

import (
	"strings"
	"testing"
)

func TestParseKey(t *testing.T) {
	for _, c := range []struct {
		name string
		want Key
	}{
		{"base_model.model.m.q.lora_A.weight", Key{Prefix: "base_model.model.", Module: "m.q", Part: FactorA}},
		{"base_model.model.m.q.lora_B.weight", Key{Prefix: "base_model.model.", Module: "m.q", Part: FactorB}},
		{"base_model.model.m.q.lora_A.default.weight", Key{Prefix: "base_model.model.", Module: "m.q", Part: FactorA, Adapter: "default"}},
		{"base_model.m.q.lora_B.weight", Key{Prefix: "base_model.", Module: "m.q", Part: FactorB}},
		{"m.q.lora_B.weight", Key{Module: "m.q", Part: FactorB}},
		{"m.q.lora_B.bias", Key{Module: "m.q", Part: FactorBias}},
		{"m.q.lora_B.x.bias", Key{Module: "m.q", Part: FactorBias, Adapter: "x"}},
		{"e.lora_embedding_A", Key{Module: "e", Part: EmbeddingA}},
		{"e.lora_embedding_B.default", Key{Module: "e", Part: EmbeddingB, Adapter: "default"}},
		{"m.q.lora_magnitude_vector", Key{Module: "m.q", Part: Magnitude}},
		{"m.q.lora_magnitude_vector.x.weight", Key{Module: "m.q", Part: Magnitude, Adapter: "x"}},
		{"m.q.lora_diag", Key{Module: "m.q", Part: Diagonal}},
		{"e.token_adapter.trainable_tokens_delta", Key{Module: "e", Part: TokenRows}},
		{"m.q.base_layer.weight", Key{Module: "m.q", Part: BaseCopy, Parameter: "weight"}},
		{"m.experts.base_layer.lora_A.weight", Key{Module: "m.experts.base_layer", Part: FactorA}},
		{"s.modules_to_save.default.weight", Key{Module: "s", Part: SavedModule, Parameter: "weight"}},
		{"s.original_module.weight", Key{Module: "s", Part: OriginalModule, Parameter: "weight"}},
		{"base_model.model.score.weight", Key{Prefix: "base_model.model.", Module: "score", Part: Parameter, Parameter: "weight"}},
		{"m.q.lora_A", Key{Part: Unknown}},
		{"m.q.lora_A.bias", Key{Part: Unknown}},
		{"m.q.lora_A.a.b.weight", Key{Part: Unknown}},
		{"m.q.lora_C.weight", Key{Part: Unknown}},
		{"m.q.lora_down.weight", Key{Part: Unknown}},
		{"lora_unet_down.lora_down.weight", Key{Part: Unknown}},
		{"lora_A.weight", Key{Part: Unknown}},
		{"base_model.model.lora_A.weight", Key{Prefix: "base_model.model.", Part: Unknown}},
		{"m..q.lora_A.weight", Key{Part: Unknown}},
		{"m.q\n.lora_A.weight", Key{Part: Unknown}},
		{"m.token_adapter.x.trainable_tokens_delta", Key{Module: "m.token_adapter.x", Part: Parameter, Parameter: "trainable_tokens_delta"}},
		{"weight", Key{Part: Unknown}},
		{"", Key{Part: Unknown}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ParseKey(c.name); got != c.want {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// FuzzKey checks that a name taken apart can be put together again: nothing of it is lost or made up.
func FuzzKey(f *testing.F) {
	for _, name := range []string{
		"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "m.q.lora_B.default.bias", "e.lora_embedding_A",
		"m.q.lora_magnitude_vector.x.weight", "e.token_adapter.trainable_tokens_delta", "m.q.base_layer.weight", "score.weight", "a..b",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		key := ParseKey(name)
		if key.Part == Unknown {
			if key.Module != "" || key.Adapter != "" || key.Parameter != "" {
				t.Fatalf("an unknown name has parts: %+v", key)
			}
			return
		}
		if key.Module == "" || !strings.HasPrefix(name, key.Prefix+key.Module+".") {
			t.Fatalf("%q does not begin with the prefix and module of %+v", name, key)
		}
		rest := name[len(key.Prefix)+len(key.Module)+1:]
		if key.Adapter != "" && !strings.Contains(rest, "."+key.Adapter) {
			t.Fatalf("%q does not hold the adapter of %+v", name, key)
		}
		if key.Part == FactorA || key.Part == FactorB {
			want := string(key.Part) + ".weight"
			if key.Adapter != "" {
				want = string(key.Part) + "." + key.Adapter + ".weight"
			}
			if rest != want {
				t.Fatalf("%q is read as %+v", name, key)
			}
		}
	})
}
