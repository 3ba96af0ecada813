package gguf

import (
	"strconv"
	"strings"
)

// Architecture is how llama.cpp's converter names and arranges the tensors of one family of Hugging Face checkpoints: the same weights under
// other names, in some families with the rows of the queries and keys in another order, or with matrices transposed.
type Architecture struct {
	Name string // general.architecture

	families []string   // model_type of config.json
	root     string     // of the module tree, which a checkpoint may leave out where rootless
	layers   string     // below the root, before the number of a layer
	outer    []renaming // modules outside the layers, by their whole path
	inner    []renaming // modules of a layer, by their path in it
	rootless bool
	rotated  bool // the converter reorders the rows of queries and keys for ggml's rotary embedding
	conv1d   bool // linear modules are stored in x out, and written out x in
}

// renaming is a module with its name in GGUF.
type renaming struct{ hf, gguf string }

var llamaOuter = []renaming{
	{"model.embed_tokens", "token_embd"}, {"model.norm", "output_norm"}, {"lm_head", "output"},
}

var llamaInner = []renaming{
	{"input_layernorm", "attn_norm"}, {"post_attention_layernorm", "ffn_norm"},
	{"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"}, {"self_attn.v_proj", "attn_v"}, {"self_attn.o_proj", "attn_output"},
	{"mlp.gate_proj", "ffn_gate"}, {"mlp.up_proj", "ffn_up"}, {"mlp.down_proj", "ffn_down"},
}

// architectures are the families whose layout in GGUF is known: those that Tenon serves.
var architectures = []*Architecture{
	{Name: "llama", families: []string{"llama", "mistral"}, root: "model.", layers: "layers.", outer: llamaOuter, inner: llamaInner, rotated: true},
	{Name: "qwen2", families: []string{"qwen2"}, root: "model.", layers: "layers.", outer: llamaOuter, inner: llamaInner},
	{Name: "qwen3", families: []string{"qwen3"}, root: "model.", layers: "layers.", outer: llamaOuter,
		inner: append([]renaming{{"self_attn.q_norm", "attn_q_norm"}, {"self_attn.k_norm", "attn_k_norm"}}, llamaInner...)},
	{Name: "gpt2", families: []string{"gpt2"}, root: "transformer.", layers: "h.", rootless: true, conv1d: true,
		outer: []renaming{
			{"transformer.wte", "token_embd"}, {"transformer.wpe", "position_embd"}, {"transformer.ln_f", "output_norm"}, {"lm_head", "output"},
		},
		inner: []renaming{
			{"ln_1", "attn_norm"}, {"ln_2", "ffn_norm"}, {"attn.c_attn", "attn_qkv"}, {"attn.c_proj", "attn_output"},
			{"mlp.c_fc", "ffn_up"}, {"mlp.c_proj", "ffn_down"},
		}},
}

// ArchitectureOf is the architecture of a Hugging Face family, by the model_type of its config.json.
func ArchitectureOf(modelType string) (*Architecture, bool) {
	for _, a := range architectures {
		for _, family := range a.families {
			if family == modelType {
				return a, true
			}
		}
	}
	return nil, false
}

// ArchitectureNamed is the architecture that general.architecture names.
func ArchitectureNamed(name string) (*Architecture, bool) {
	for _, a := range architectures {
		if a.Name == name {
			return a, true
		}
	}
	return nil, false
}

// Architectures are the names of the architectures whose layout is known, for messages.
func Architectures() []string {
	var names []string
	for _, a := range architectures {
		names = append(names, a.Name)
	}
	return names
}

// GGUF is the name in GGUF of a weight or bias of a checkpoint, "model.layers.0.mlp.up_proj.weight" being "blk.0.ffn_up.weight". ok is
// false where the architecture has no such tensor.
func (a *Architecture) GGUF(hf string) (name string, ok bool) {
	module, parameter, ok := cutParameter(hf)
	if !ok {
		return "", false
	}
	if a.rootless && !strings.HasPrefix(module, a.root) && module != "lm_head" {
		module = a.root + module
	}
	for _, r := range a.outer {
		if r.hf == module {
			return r.gguf + parameter, true
		}
	}
	layer, inside, ok := cutLayer(module, a.root+a.layers)
	if !ok {
		return "", false
	}
	for _, r := range a.inner {
		if r.hf == inside {
			return "blk." + layer + "." + r.gguf + parameter, true
		}
	}
	return "", false
}

// HF is the name in a checkpoint of Hugging Face, with the root of the module tree, of a weight or bias: the inverse of GGUF.
func (a *Architecture) HF(name string) (hf string, ok bool) {
	module, parameter, ok := cutParameter(name)
	if !ok {
		return "", false
	}
	for _, r := range a.outer {
		if r.gguf == module {
			return r.hf + parameter, true
		}
	}
	layer, inside, ok := cutLayer(module, "blk.")
	if !ok {
		return "", false
	}
	for _, r := range a.inner {
		if r.gguf == inside {
			return a.root + a.layers + layer + "." + r.hf + parameter, true
		}
	}
	return "", false
}

// Heads is the number of heads by which the rows of a tensor of GGUF are in another order than in Hugging Face (see RowsToGGUF), for a model of
// so many heads and key-value heads; 0 where the order is the same.
func (a *Architecture) Heads(name string, heads, kvHeads int) int {
	module, _, ok := cutParameter(name)
	if !ok || !a.rotated {
		return 0
	}
	switch _, inside, _ := cutLayer(module, "blk."); inside {
	case "attn_q":
		return heads
	case "attn_k":
		return kvHeads
	}
	return 0
}

// Transposed reports whether the checkpoint of Hugging Face stores a tensor of GGUF transposed, in x out, as GPT-2's Conv1D does.
func (a *Architecture) Transposed(name string) bool {
	module, parameter, ok := cutParameter(name)
	if !ok || !a.conv1d || parameter != ".weight" {
		return false
	}
	_, inside, ok := cutLayer(module, "blk.")
	return ok && !strings.HasSuffix(inside, "_norm")
}

// cutParameter cuts a tensor's name before its last element, which must be a weight or a bias.
func cutParameter(name string) (module, parameter string, ok bool) {
	for _, parameter := range []string{".weight", ".bias"} {
		if module, ok := strings.CutSuffix(name, parameter); ok {
			return module, parameter, true
		}
	}
	return "", "", false
}

// cutLayer cuts a layer's number out of a path: what stands between the prefix and the next dot, in digits without leading zeros.
func cutLayer(path, prefix string) (layer, inside string, ok bool) {
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok {
		return "", "", false
	}
	layer, inside, ok = strings.Cut(rest, ".")
	n, err := strconv.ParseUint(layer, 10, 31)
	if !ok || err != nil || strconv.FormatUint(n, 10) != layer {
		return "", "", false
	}
	return layer, inside, true
}
