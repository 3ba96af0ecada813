package base

import (
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// readGPT2 reads a GPT-2, whose numbers have names of their own. The common ones are understood too, and win, as in transformers.
func (c *Config) readGPT2(f fields, defaults family) {
	number := func(own, common string, absent int) int {
		return f.integer(common, 1, f.integer(own, 1, absent))
	}
	c.HiddenSize = number("n_embd", "hidden_size", defaults.hidden)
	c.Layers = number("n_layer", "num_hidden_layers", defaults.layers)
	c.Heads = number("n_head", "num_attention_heads", defaults.heads)
	c.MaxPositions = number("n_positions", "max_position_embeddings", defaults.positions)
	c.IntermediateSize = f.integer("n_inner", 1, 4*c.HiddenSize)
	c.VocabSize = f.integer("vocab_size", 1, defaults.vocab)
	c.RMSNormEps = f.positive("layer_norm_epsilon", 1e-5)
	c.TieWordEmbeddings = f.boolean("tie_word_embeddings", true)
	c.AttentionBias, c.OutputBias, c.MLPBias = true, true, true
	c.KVHeads, c.HeadDim = c.Heads, c.HiddenSize/c.Heads
	if c.HiddenAct = f.text("activation_function", "gelu_new"); c.HiddenAct != "gelu_new" {
		f.add(fault.BSArch, "activation_function", "the activation %q is not served in a gpt2, only gelu_new", c.HiddenAct).Fix(unservedRemedy)
	}
	for _, s := range gpt2Switches {
		if f.boolean(s.name, s.usual) != s.usual {
			f.add(fault.BSArch, s.name, "a gpt2 in which %s is %v is not served", s.name, !s.usual).Fix(unservedRemedy)
		}
	}
}

// gpt2Switches change what a GPT-2 computes where they are not as usual.
var gpt2Switches = []struct {
	name  string
	usual bool
}{{"scale_attn_weights", true}, {"scale_attn_by_inverse_layer_idx", false}, {"add_cross_attention", false}}

// gpt2Prefix stands before the names of all tensors but the head, except in checkpoints of the model without a head, which the first ones are.
const gpt2Prefix = "transformer."

// gpt2Tensors are the tensors of a GPT-2, under names that begin with prefix, with their shapes. Its matrices are stored in x out.
func (c Config) gpt2Tensors(prefix string) map[string][]int {
	needed := map[string][]int{prefix + "wte.weight": {c.VocabSize, c.HiddenSize}, prefix + "wpe.weight": {c.MaxPositions, c.HiddenSize}}
	affine := func(module string, shape ...int) {
		needed[prefix+module+".weight"] = shape
		needed[prefix+module+".bias"] = shape[len(shape)-1:]
	}
	affine("ln_f", c.HiddenSize)
	for i := range c.Layers {
		layer := "h." + strconv.Itoa(i) + "."
		affine(layer+"ln_1", c.HiddenSize)
		affine(layer+"attn.c_attn", c.HiddenSize, 3*c.HiddenSize)
		affine(layer+"attn.c_proj", c.HiddenSize, c.HiddenSize)
		affine(layer+"ln_2", c.HiddenSize)
		affine(layer+"mlp.c_fc", c.HiddenSize, c.IntermediateSize)
		affine(layer+"mlp.c_proj", c.IntermediateSize, c.HiddenSize)
	}
	return needed
}

// isMask reports whether a tensor is a mask of GPT-2's attention, which old versions of transformers saved and every version computes.
func isMask(name string) bool {
	return strings.HasSuffix(name, ".attn.bias") || strings.HasSuffix(name, ".attn.masked_bias")
}
