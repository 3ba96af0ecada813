package adapter

import (
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// TestKeyPlaces takes wrappers out of paths.
func TestKeyPlaces(t *testing.T) {
	for _, c := range []struct {
		name, module, attention string
		depth                   int
		ok                      bool
	}{
		{"m.q.lora_A.weight", "m.q", "", 0, true},
		{"m.experts.base_layer.lora_A.weight", "m.experts", "", 1, true},
		{"m.experts.base_layer.base_layer.lora_A.weight", "m.experts", "", 2, true},
		{"m.attn.base_layer.out_proj.lora_A.weight", "m.attn.out_proj", "m.attn", 0, true},
		{"m.attn.base_layer.k_proj.lora_A.weight", "", "", 0, false},
		{"base_layer.out_proj.lora_A.weight", "", "", 0, false},
		{"m.base_layer.attn.base_layer.out_proj.lora_A.weight", "", "", 0, false},
	} {
		module, attention, depth, ok := ParseKey(c.name).place()
		if module != c.module || attention != c.attention && c.ok || depth != c.depth && c.ok || ok != c.ok {
			t.Errorf("%s: %q in %q, %d deep, %v", c.name, module, attention, depth, ok)
		}
	}
}

// TestKeyParameters takes prefixes, wrappers and the adapter's name out of the names of parameters.
func TestKeyParameters(t *testing.T) {
	for name, want := range map[string]string{
		"base_model.model.score.weight":                         "score.weight",
		"m.q.base_layer.bias":                                   "m.q.bias",
		"m.attn.base_layer.in_proj_bias":                        "m.attn.in_proj_bias",
		"m.attn.base_layer.out_proj.base_layer.bias":            "m.attn.out_proj.bias",
		"m.attn.base_layer.out_proj.bias":                       "m.attn.out_proj.bias",
		"score.modules_to_save.weight":                          "score.weight",
		"score.modules_to_save.default.weight":                  "score.weight",
		"base_model.model.score.modules_to_save.default.d.bias": "score.d.bias",
		"score.modules_to_save.dense.bias":                      "score.dense.bias",
		"m.wte.token_adapter.base_layer.weight":                 "m.wte.weight",
	} {
		named := Tensor{Tensor: safetensors.Tensor{Ref: tensor.Ref{Name: name}}, Key: ParseKey(name)}
		if got := named.parameter(""); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

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
		"m.q.lora_magnitude_vector.x.weight", "a.base_layer.out_proj.lora_A.weight", "m.experts.base_layer.base_layer.lora_B.weight",
		"a.base_layer.out_proj.base_layer.bias", "s.modules_to_save.default.dense.weight", "e.token_adapter.base_layer.weight", "e.token_adapter.trainable_tokens_delta", "m.q.base_layer.weight", "score.weight", "a..b",
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
		named := Tensor{Tensor: safetensors.Tensor{Ref: tensor.Ref{Name: name}}, Key: key}
		parameter := named.parameter(key.Adapter)
		if lastElement(parameter) != lastElement(name) || len(parameter) > len(name)-len(key.Prefix) {
			t.Fatalf("%q is of the parameter %q", name, parameter)
		}
		if module, attention, depth, ok := key.place(); ok && (module == "" || attention == module || !strings.HasPrefix(module+".", attention+".") &&
			attention != "" || attention == "" && len(module)+depth*len(".base_layer") != len(key.Module)) {
			t.Fatalf("%q is at %q in %q, %d deep", name, module, attention, depth)
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
