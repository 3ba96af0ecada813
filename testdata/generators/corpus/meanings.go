package main

import (
	"maps"
	"strings"
)

// The base is a Llama of two layers, narrower than any that is served.
const (
	width, keys, inner, words = 16, 8, 24, 32
	rank                      = 4
)

func base() map[string][]byte {
	tensors := []tensor{halfOf(f32s("model.embed_tokens.weight", 0.5, words, width)), halfOf(f32s("lm_head.weight", 0.2, words, width)),
		halfOf(f32s("model.norm.weight", 0.5, width))}
	for _, layer := range []string{"model.layers.0.", "model.layers.1."} {
		for _, weight := range []struct {
			name    string
			out, in int
		}{
			{"self_attn.q_proj", width, width}, {"self_attn.k_proj", keys, width}, {"self_attn.v_proj", keys, width}, {"self_attn.o_proj", width, width},
			{"mlp.gate_proj", inner, width}, {"mlp.up_proj", inner, width}, {"mlp.down_proj", width, inner},
		} {
			tensors = append(tensors, halfOf(f32s(layer+weight.name+".weight", 0.3, weight.out, weight.in)))
		}
		tensors = append(tensors, halfOf(f32s(layer+"input_layernorm.weight", 0.5, width)), halfOf(f32s(layer+"post_attention_layernorm.weight", 0.5, width)))
	}
	return map[string][]byte{
		"model.safetensors": safetensors(tensors),
		"config.json": object(map[string]any{
			"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "hidden_size": width, "intermediate_size": inner,
			"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": words,
			"max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false, "hidden_act": "silu",
			"bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float16",
		}),
	}
}

const (
	prefix = "base_model.model."
	qProj  = "model.layers.0.self_attn.q_proj"
	vProj  = "model.layers.0.self_attn.v_proj"
)

func config() map[string]any {
	return map[string]any{"peft_type": "LORA", "r": rank, "lora_alpha": 8, "bias": "none", "target_modules": []string{"q_proj", "v_proj"},
		"layers_to_transform": []int{0}, "base_model_name_or_path": "corpus/base", "task_type": "CAUSAL_LM"}
}

// pair is the two factors of a module.
func pair(module string, out, in, r int) []tensor {
	return []tensor{f32s(module+".lora_A.weight", 0.02, r, in), f32s(module+".lora_B.weight", 0.02, out, r)}
}

// pairs are the factors of a good adapter: A and B of q_proj, A and B of v_proj.
func pairs() []tensor {
	return append(pair(prefix+qProj, width, width, rank), pair(prefix+vProj, keys, width, rank)...)
}

// meanings are the inputs of group B.
func meanings() []input {
	var all []input
	add := func(name string, files map[string][]byte) { all = append(all, input{name, files}) }
	text := func(name, config string) {
		add(name, map[string][]byte{configName: []byte(config), weightsName: safetensors(pairs())})
	}
	set := func(name string, fields map[string]any, tensors ...tensor) {
		changed := config()
		for field, value := range fields {
			if changed[field] = value; value == nil {
				delete(changed, field)
			}
		}
		if tensors == nil {
			tensors = pairs()
		}
		add(name, map[string][]byte{configName: object(changed), weightsName: safetensors(tensors)})
	}
	raw := func(name, field, value string) { // what Go cannot marshal
		whole := string(object(config()))
		whole = strings.Replace(whole, `"`+field+`": `, `"`+field+`": `+value+`, "was_`+field+`": `, 1)
		text(name, whole)
	}
	bytesOf := func(t tensor, name string) tensor { t.name = name; return t }
	type f = map[string]any

	add("B01-missing", map[string][]byte{weightsName: safetensors(pairs())})
	text("B01-empty", "")
	text("B01-array", "[]")
	text("B01-invalid", `{"r": 4,`)
	text("B01-duplicate-key", `{"peft_type":"LORA","r":4,"lora_alpha":8,"target_modules":["q_proj","v_proj"],"r":8}`)
	for name, value := range map[string]any{"zero": 0, "negative": -5, "huge": 1 << 31, "fraction": 1.5, "text": "16", "null": nil} {
		set("B02-"+name, f{"r": value})
	}
	raw("B02-null-given", "r", "null")
	raw("B03-infinite", "lora_alpha", "1e400")
	raw("B03-nan", "lora_alpha", "NaN")
	for name, value := range map[string]any{"missing": nil, "negative": -8, "zero": 0, "text": "8"} {
		set("B03-"+name, f{"lora_alpha": value})
	}
	set("B04-rslora", f{"use_rslora": true})
	mixed := append(pair(prefix+qProj, width, width, 2), pairs()[2:]...)
	set("B05-mixed-ranks-without-pattern", nil, mixed...)
	set("B05-pattern", f{"rank_pattern": f{"q_proj": 2}, "alpha_pattern": f{`.*\.q_proj`: 4}}, mixed...)
	set("B06-catastrophic-pattern", f{"rank_pattern": f{"(a+)+$": 2}})
	set("B06-look-around", f{"rank_pattern": f{"(?<!k)q_proj": 4}})
	set("B07-rank-of-another", f{"r": 8})
	p := pairs()
	set("B08-no-b", nil, p[0], p[2], p[3])
	set("B08-no-a", nil, p[1], p[2], p[3])
	set("B08-swapped", nil, bytesOf(f32s("s", 0.02, width, rank), p[0].name), bytesOf(f32s("t", 0.02, rank, width), p[1].name), p[2], p[3])
	set("B08-a-named-b", nil, bytesOf(p[0], p[1].name), p[2], p[3])
	set("B09-inner-dimension", nil, p[0], f32s(p[1].name, 0.02, width, rank+1), p[2], p[3])
	set("B10-wide", nil, append(pair(prefix+qProj, width, 2*width, rank), p[2:]...)...)
	set("B11-typo", f{"target_modules": []string{"q_porj", "v_proj"}}, append(pair(prefix+"model.layers.0.self_attn.q_porj", width, width, rank), p[2:]...)...)
	set("B11-another-architecture", f{"target_modules": []string{"c_attn"}, "layers_to_transform": nil},
		pair(prefix+"transformer.h.0.attn.c_attn", 3*width, width, rank)...)
	set("B12-module-without-tensors", f{"target_modules": []string{"q_proj", "v_proj", "k_proj"}})
	set("B12-tensors-outside-the-list", f{"target_modules": []string{"q_proj"}})
	set("B13-layer-beyond-the-last", f{"layers_to_transform": nil}, append(pair(prefix+"model.layers.2.self_attn.q_proj", width, width, rank), p[2:]...)...)
	set("B13-leading-zeros", f{"layers_to_transform": nil}, append(pair(prefix+"model.layers.007.self_attn.q_proj", width, width, rank), p[2:]...)...)
	set("B13-unicode-digit", f{"layers_to_transform": nil}, append(pair(prefix+"model.layers.\u0661.self_attn.q_proj", width, width, rank), p[2:]...)...)
	set("B14-another-base-by-name", f{"base_model_name_or_path": "/home/somebody/model"})
	set("B17-dora", f{"use_dora": true}, append(pairs(), f32s(prefix+qProj+".lora_magnitude_vector", 1, width), f32s(prefix+vProj+".lora_magnitude_vector", 1, keys))...)
	set("B17-dora-without-magnitudes", f{"use_dora": true})
	set("B17-magnitudes-without-dora", nil, append(pairs(), f32s(prefix+qProj+".lora_magnitude_vector", 1, width))...)
	set("B17-magnitude-of-another-length", f{"use_dora": true},
		append(pairs(), f32s(prefix+qProj+".lora_magnitude_vector", 1, width+1), f32s(prefix+vProj+".lora_magnitude_vector", 1, keys))...)
	set("B18-bias-of-a-base-without", f{"bias": "all"}, append(pairs(), f32s(prefix+qProj+".base_layer.bias", 0.1, width))...)
	set("B18-saved-norm", f{"modules_to_save": []string{"norm"}}, append(pairs(), f32s(prefix+"model.norm.weight", 0.5, width))...)
	set("B18-new-head", f{"modules_to_save": []string{"score"}}, append(pairs(), f32s(prefix+"score.weight", 0.5, 2, width))...)
	set("B18-resized-vocabulary", f{"modules_to_save": []string{"embed_tokens"}}, append(pairs(), f32s(prefix+"model.embed_tokens.weight", 0.5, words+1, width))...)
	set("B18-embedding", f{"target_modules": []string{"q_proj", "v_proj", "embed_tokens"}, "layers_to_transform": nil},
		append(pairs(), f32s(prefix+"model.embed_tokens.lora_embedding_A", 0.02, rank, words), f32s(prefix+"model.embed_tokens.lora_embedding_B", 0.02, width, rank))...)
	set("B18-target-parameters", f{"target_parameters": []string{"mlp.experts.down_proj"}}, append(pairs(), pair(prefix+"model.layers.0.mlp.experts", width, inner, rank)...)...)
	set("B18-fan-in-fan-out", f{"fan_in_fan_out": true})
	for name, kind := range map[string]string{"ia3": "IA3", "loha": "LOHA", "prompt": "PROMPT_TUNING", "x-lora": "XLORA"} {
		set("B19-"+name, f{"peft_type": kind})
	}
	set("B19-alora", f{"alora_invocation_tokens": []int{1, 2}})
	set("B20-auto-map", f{"auto_map": f{"AutoModel": "x.Y"}})
	set("B20-target", f{"eva_config": f{"_target_": "os.system"}})
	set("B20-trust-remote-code", f{"trust_remote_code": true})
	set("B20-auto-mapping", f{"auto_mapping": f{"base_model_class": "M", "parent_library": "evil.model"}})
	set("B21-megatron", f{"megatron_config": f{"x": 1}})
	set("B21-field-of-the-future", f{"from_the_future": 3})
	zero := pairs()
	for i := range zero {
		if strings.HasSuffix(zero[i].name, "lora_B.weight") {
			clear(zero[i].data)
		}
	}
	set("B22-zero-b", nil, zero...)
	tiny := pairs()
	for i, t := range tiny {
		tiny[i] = bytesOf(f32s(t.name, 1e-7, t.shape...), t.name)
	}
	set("B23-lost-in-rounding", nil, tiny...)
	deficient := append(pair(prefix+qProj, width, width, 16), pair(prefix+vProj, keys, width, 16)...)
	for _, a := range []tensor{deficient[0], deficient[2]} { // every row of A is the first
		for at := 4 * width; at < len(a.data); at++ {
			a.data[at] = a.data[at-4*width]
		}
	}
	set("B24-rank-1-of-16", f{"r": 16, "lora_alpha": 32}, deficient...)
	set("B25-too-strong", f{"lora_alpha": 20000})
	set("B26-twice-under-two-prefixes", nil, append(pairs(), pair(qProj, width, width, rank)...)...)
	with := maps.Clone(map[string][]byte{configName: object(config()), weightsName: safetensors(pairs())})
	add("B00-good", with)
	return all
}
