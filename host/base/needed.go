package base

import (
	"slices"
	"strconv"
	"strings"
)

const (
	embeddingName = "model.embed_tokens.weight"
	headName      = "lm_head.weight"
)

// neededTensors are the tensors that generating with the base takes, with their shapes.
func (b *Base) neededTensors() map[string][]int {
	needed := b.Config.llamaTensors
	if b.Config.ModelType == "gpt2" {
		needed = func() map[string][]int { return b.Config.gpt2Tensors(b.gpt2Prefix()) }
	}
	tensors := needed()
	if !b.Config.TieWordEmbeddings {
		tensors[headName] = []int{b.Config.VocabSize, b.Config.HiddenSize}
	}
	return tensors
}

// embeddingName is the name of the tensor that tokens are looked up in.
func (b *Base) embeddingName() string {
	if b.Config.ModelType == "gpt2" {
		return b.gpt2Prefix() + "wte.weight"
	}
	return embeddingName
}

// gpt2Prefix is what this checkpoint's names begin with.
func (b *Base) gpt2Prefix() string {
	if _, bare := b.Tensor("wte.weight"); !bare && slices.ContainsFunc(b.Tensors, func(t Tensor) bool { return strings.HasPrefix(t.Name, gpt2Prefix) }) {
		return gpt2Prefix
	}
	return ""
}

// llamaTensors are the tensors of a Llama, or of a family that follows it, of these dimensions, without the head.
func (c Config) llamaTensors() map[string][]int {
	queries, keys := c.Heads*c.HeadDim, c.KVHeads*c.HeadDim
	needed := map[string][]int{embeddingName: {c.VocabSize, c.HiddenSize}, "model.norm.weight": {c.HiddenSize}}
	for i := range c.Layers {
		layer := "model.layers." + strconv.Itoa(i) + "."
		linear := func(module string, out, in int, bias bool) {
			needed[layer+module+".weight"] = []int{out, in}
			if bias {
				needed[layer+module+".bias"] = []int{out}
			}
		}
		linear("self_attn.q_proj", queries, c.HiddenSize, c.AttentionBias)
		linear("self_attn.k_proj", keys, c.HiddenSize, c.AttentionBias)
		linear("self_attn.v_proj", keys, c.HiddenSize, c.AttentionBias)
		linear("self_attn.o_proj", c.HiddenSize, queries, c.OutputBias)
		linear("mlp.gate_proj", c.IntermediateSize, c.HiddenSize, c.MLPBias)
		linear("mlp.up_proj", c.IntermediateSize, c.HiddenSize, c.MLPBias)
		linear("mlp.down_proj", c.HiddenSize, c.IntermediateSize, c.MLPBias)
		needed[layer+"input_layernorm.weight"] = []int{c.HiddenSize}
		needed[layer+"post_attention_layernorm.weight"] = []int{c.HiddenSize}
		if c.ModelType == "qwen3" {
			needed[layer+"self_attn.q_norm.weight"] = []int{c.HeadDim}
			needed[layer+"self_attn.k_norm.weight"] = []int{c.HeadDim}
		}
	}
	return needed
}

// isUnused reports whether a tensor is a table that old versions of transformers saved and every version computes.
func (c Config) isUnused(name string) bool {
	if c.ModelType == "gpt2" {
		return isMask(name)
	}
	return strings.HasSuffix(name, ".rotary_emb.inv_freq")
}
