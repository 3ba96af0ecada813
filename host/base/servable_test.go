package base

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// TestNotServable changes one thing of a servable model. Each still opens.
func TestNotServable(t *testing.T) {
	model := single(t)
	const norm, up = "model.norm.weight", "model.layers.1.mlp.up_proj.weight"
	config := func(old, new string) files { return model.edit(t, "config.json", old, new) }
	tensors := func(name string, e safetensors.Entry) files {
		return model.with(files{"model.safetensors": weights(t, replaced(name, e))})
	}
	more := func(e safetensors.Entry) files {
		return model.with(files{"model.safetensors": weights(t, append(llamaTensors(), e))})
	}
	tests := []struct {
		name  string
		files files
		code  fault.Code
		parts []string
	}{
		{"other model", config(`"llama"`, `"phi"`), fault.BSArch, []string{`"phi"`, "gpt2, llama, mistral, qwen2, qwen3", "#/model_type"}},
		{"no model type", config(`"model_type":"llama",`, ``), fault.BSArch, []string{`""`}},
		{"other architecture", config(`LlamaForCausalLM`, `LlamaForSequenceClassification`), fault.BSArch, []string{"#/architectures"}},
		{"activation", config(`"silu"`, `"gelu"`), fault.BSArch, []string{`"gelu"`, "#/hidden_act"}},
		{"rope parameters", config(`{`, `{"rope_parameters":{"rope_type":"yarn"},`), fault.BSArch, []string{`"yarn"`, "#/rope_parameters"}},
		{"rope a string", config(`"rope_scaling":null`, `"rope_scaling":"x"`), fault.BSConfig, []string{"#/rope_scaling"}},
		{"two thetas", config(`{`, `{"rope_parameters":{"rope_theta":10000},`), fault.BSConfig, []string{"#/rope_parameters/rope_theta"}},
		{"partial rotary", config(`{`, `{"partial_rotary_factor":0.5,`), fault.BSArch, []string{"#/partial_rotary_factor"}},
		{"hidden size missing", config(`"hidden_size":8,`, ``), fault.BSTensor, []string{embeddingName, "must be [10 4096]"}},
		{"hidden size 0", config(`"hidden_size":8`, `"hidden_size":0`), fault.BSConfig, []string{"#/hidden_size"}},
		{"hidden size negative", config(`"hidden_size":8`, `"hidden_size":-8`), fault.BSConfig, []string{"#/hidden_size", "is -8"}},
		{"hidden size a float", config(`"hidden_size":8`, `"hidden_size":8.0`), fault.BSConfig, []string{"#/hidden_size", "is 8.0"}},
		{"hidden size a string", config(`"hidden_size":8`, `"hidden_size":"8"`), fault.BSConfig, []string{"#/hidden_size"}},
		{"hidden size beyond 31 bits", config(`"hidden_size":8`, `"hidden_size":2147483648`), fault.BSConfig, []string{"#/hidden_size"}},
		{"layers a million", config(`"num_hidden_layers":2`, `"num_hidden_layers":1000000`), fault.BSTensor, []string{"#/num_hidden_layers"}},
		{"heads do not group", config(`"num_key_value_heads":1`, `"num_key_value_heads":3`), fault.BSConfig, []string{"#/num_key_value_heads"}},
		{"odd heads", config(`{`, `{"head_dim":3,`), fault.BSConfig, []string{"#/head_dim"}},
		{"head dim fits no tensor", config(`{`, `{"head_dim":2,`), fault.BSTensor, []string{"q_proj", "must be [4 8]"}},
		{"epsilon 0", config(`1e-5`, `0`), fault.BSConfig, []string{"#/rms_norm_eps"}},
		{"epsilon infinite", config(`1e-5`, `1e999`), fault.BSConfig, []string{"#/rms_norm_eps"}},
		{"theta a string", config(`500000`, `"500000"`), fault.BSConfig, []string{"#/rope_theta"}},
		{"tie a number", config(`"tie_word_embeddings":false`, `"tie_word_embeddings":0`), fault.BSConfig, []string{"#/tie_word_embeddings"}},
		{"end token a float", config(`"eos_token_id":2`, `"eos_token_id":2.5`), fault.BSConfig, []string{"#/eos_token_id"}},
		{"end token past the vocabulary", config(`"eos_token_id":2`, `"eos_token_id":[2,10]`), fault.BSConfig, []string{"10"}},
		{"architectures a string", config(`["LlamaForCausalLM"]`, `"LlamaForCausalLM"`), fault.BSConfig, []string{"#/architectures"}},
		{"tensor missing", tensors(up, safetensors.Entry{}), fault.BSTensor, []string{up, "lacks"}},
		{"tensor transposed", tensors(up, safetensors.Entry{Name: up, DType: tensor.BF16, Shape: []int{8, 12}}), fault.BSTensor,
			[]string{up, "[8 12]", "[12 8]"}},
		{"tensor of another dtype", tensors(norm, safetensors.Entry{Name: norm, DType: tensor.F64, Shape: []int{8}}), fault.BSTensor,
			[]string{norm, "F64"}},
		{"head missing", tensors(headName, safetensors.Entry{}), fault.BSTensor, []string{headName}},
		{"bias", more(safetensors.Entry{Name: "model.layers.0.self_attn.q_proj.bias", DType: tensor.BF16, Shape: []int{8}}), fault.BSTensor,
			[]string{"q_proj.bias"}},
		{"third layer", more(safetensors.Entry{Name: "model.layers.2.mlp.up_proj.weight", DType: tensor.BF16, Shape: []int{12, 8}}),
			fault.BSTensor, []string{"layers.2"}},
		{"tied to another head", config(`"tie_word_embeddings":false`, `"tie_word_embeddings":true`), fault.BSTensor,
			[]string{headName, "another"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := open(t, test.files.write(t))
			wantFault(t, b.Servable(), test.code, test.parts...)
			if b.ModelConfig() != nil {
				t.Error("it has a config for backends")
			}
		})
	}
}

// TestServable changes what may differ.
func TestServable(t *testing.T) {
	model := single(t)
	config := func(old, new string) files { return model.edit(t, "config.json", old, new) }
	tests := []struct {
		name  string
		files files
		check func(c Config) bool
	}{
		{"as it is", model, func(c Config) bool {
			return c.HeadDim == 4 && c.KVHeads == 1 && c.RopeTheta == 500000 && c.BOS == 1 && slices.Equal(c.EOS, []int{2}) && c.DType == "bfloat16"
		}},
		{"mistral without a window", config(`"architectures":["LlamaForCausalLM"],"model_type":"llama"`,
			`"architectures":["MistralForCausalLM"],"model_type":"mistral","sliding_window":null`), nil},
		{"no architectures", config(`"architectures":["LlamaForCausalLM"],`, ``), nil},
		{"nulls", config(`{`, `{"head_dim":null,"attention_bias":null,"quantization_config":null,`),
			func(c Config) bool { return c.HeadDim == 4 }},
		{"rope parameters", config(`"rope_theta":500000,`, `"rope_parameters":{"rope_type":"default","rope_theta":1e6},`),
			func(c Config) bool { return c.RopeTheta == 1e6 }},
		{"default rope", config(`"rope_theta":500000,`, ``), func(c Config) bool { return c.RopeTheta == 10000 }},
		{"default rope type", config(`"rope_scaling":null`, `"rope_scaling":{"type":"default"}`), nil},
		{"dtype", config(`"torch_dtype"`, `"dtype"`), func(c Config) bool { return c.DType == "bfloat16" }},
		{"several end tokens", config(`"eos_token_id":2`, `"eos_token_id":[2,3]`),
			func(c Config) bool { return slices.Equal(c.EOS, []int{2, 3}) }},
		{"default tokens", config(`"bos_token_id":1,"eos_token_id":2,`, ``),
			func(c Config) bool { return c.BOS == 1 && slices.Equal(c.EOS, []int{2}) }},
		{"no special tokens", config(`"bos_token_id":1,"eos_token_id":2,`, `"bos_token_id":null,"eos_token_id":null,`),
			func(c Config) bool { return c.BOS == -1 && c.EOS == nil }},
		{"generation config", model.with(files{"generation_config.json": `{"eos_token_id":[4,5],"temperature":0.6}`}),
			func(c Config) bool { return c.BOS == 1 && slices.Equal(c.EOS, []int{4, 5}) }},
		{"rotary tables", model.with(files{"model.safetensors": weights(t, append(llamaTensors(),
			safetensors.Entry{Name: "model.layers.0.self_attn.rotary_emb.inv_freq", DType: tensor.F32, Shape: []int{2}}))}), nil},
		{"tied without a head", config(`"tie_word_embeddings":false`, `"tie_word_embeddings":true`).
			with(files{"model.safetensors": weights(t, replaced(headName, safetensors.Entry{}))}),
			func(c Config) bool { return c.TieWordEmbeddings }},
		{"tied with an equal head", config(`"tie_word_embeddings":false`, `"tie_word_embeddings":true`).
			with(files{"model.safetensors": equalHead(t)}), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := open(t, test.files.write(t))
			if err := b.Servable(); err != nil {
				t.Error(err)
			}
			if test.check != nil && !test.check(b.Config) {
				t.Errorf("config %+v", b.Config)
			}
		})
	}
}

// equalHead is the model's weights with an output head of the embedding's bytes.
func equalHead(t *testing.T) string {
	raw := weights(t, llamaTensors())
	h, err := safetensors.ReadHeader("x", strings.NewReader(raw), int64(len(raw)), safetensors.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	embedding, _ := h.Tensor(embeddingName)
	head, _ := h.Tensor(headName)
	return raw[:head.Offset] + raw[embedding.Offset:embedding.Offset+embedding.Length] + raw[head.Offset+head.Length:]
}

// TestEveryReasonComes asks for all reasons at once.
func TestEveryReasonComes(t *testing.T) {
	const norm = "model.norm.weight"
	model := single(t).edit(t, "config.json", `"silu"`, `"relu"`).edit(t, "config.json", `1e-5`, `-1`).
		edit(t, "config.json", `{`, `{"rope_parameters":{"rope_type":"yarn"},"partial_rotary_factor":0.5,`)
	model = model.with(files{"model.safetensors": weights(t, replaced(norm, safetensors.Entry{}))})
	err := open(t, model.write(t)).Servable()
	wantFault(t, err, fault.BSArch, "hidden_act")
	wantFault(t, err, fault.BSArch, "yarn")
	wantFault(t, err, fault.BSArch, "partial_rotary_factor")
	wantFault(t, err, fault.BSConfig, "rms_norm_eps")
	wantFault(t, err, fault.BSTensor, norm)
	if n := len(fault.All(err)); n != 5 {
		t.Errorf("%d reasons, want 5: %v", n, err)
	}
}

// FuzzConfig asks that any text is read or refused by code, and that what is read gives dimensions or reasons.
func FuzzConfig(f *testing.F) {
	f.Add(llamaConfig, `{"eos_token_id":[1,2]}`)
	f.Add(`{"num_attention_heads":3,"num_key_value_heads":2,"hidden_size":1}`, `{}`)
	f.Add(`{"rope_parameters":{"full_attention":{"rope_theta":1}},"text_config":{"quantization_config":{}}}`, `{"bos_token_id":[]}`)
	f.Fuzz(func(t *testing.T, config, generation string) {
		c, err := parseConfig(&document{"config.json", "config.json", []byte(config)}, &document{"g", "g", []byte(generation)})
		if err != nil {
			if len(fault.All(err)) == 0 {
				t.Fatalf("refused without a code: %v", err)
			}
			return
		}
		faults, usable := c.checkDimensions()
		if !usable && len(faults)+len(c.faults) == 0 {
			t.Fatalf("unusable without a reason: %+v", c)
		}
		if usable && c.Layers < 100 {
			b := Base{Config: c}
			if n := len(b.neededTensors()); n < 2+9*c.Layers {
				t.Fatalf("%d tensors for %d layers", n, c.Layers)
			}
		}
	})
}

// FuzzIndex asks that an accepted index names plain files of the directory.
func FuzzIndex(f *testing.F) {
	f.Add(`{"weight_map":{"a":"` + firstShard + `"}}`)
	f.Add(`{"weight_map":{"a":"../x.safetensors","b":"."}}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseIndex(&document{"index", "index", []byte(text)}, func(string) bool { return true })
		if err != nil {
			if len(fault.All(err)) == 0 {
				t.Fatalf("refused without a code: %v", err)
			}
			return
		}
		for _, shard := range c.shards {
			if strings.ContainsAny(shard, "/\\\x00") || shard == ".." || !strings.HasSuffix(shard, ".safetensors") {
				t.Fatalf("accepted the shard %q", shard)
			}
		}
		if len(c.shards) == 0 || len(c.owner) == 0 {
			t.Fatal(fmt.Sprint("accepted an index of nothing: ", text))
		}
	})
}
