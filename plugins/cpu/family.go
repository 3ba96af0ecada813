package cpu

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Names of the tensors of Llama and the families that follow it, as checkpoints have them.
const (
	nameEmbed = "model.embed_tokens.weight"
	nameNorm  = "model.norm.weight"
	nameHead  = "lm_head.weight"
)

func layerName(layer int, module string) string { return layerModule(layer, module) + ".weight" }

func layerModule(layer int, module string) string {
	return fmt.Sprintf("model.layers.%d.%s", layer, module)
}

// newModel finds every tensor the family needs, and refuses a base that has more: a bias or a norm that is left out would make text that looks right.
func newModel(p *backendpb.ModelConfig, tensors map[string]stored) (*model, error) {
	c, err := parseConfig(p)
	if err != nil {
		return nil, err
	}
	return assemble(c, tensors)
}

// assemble is newModel for a configuration that was checked.
func assemble(c *config, tensors map[string]stored) (*model, error) {
	f := &finder{architecture: c.architecture, tensors: tensors, used: map[string]bool{}}
	build, unused := newLlama, isRotaryTable
	if c.architecture == architectureGPT2 {
		build, unused = newGPT2, isMask
	}
	m, prefix := build(c, f)
	m.tensors = tensors
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		if f.err == nil && !f.used[name] && strings.HasPrefix(name, prefix) && name != nameHead && !unused(name) {
			f.err = invalid("tensor %q has no part in a %s forward pass of %d layers", name, c.architecture, c.layers)
		}
	}
	return m, f.err
}

// isRotaryTable reports whether a tensor is a table that old checkpoints have and everybody computes.
func isRotaryTable(name string) bool { return strings.HasSuffix(name, ".rotary_emb.inv_freq") }

// newLlama builds a Llama, or a model of a family that follows it, and says what the names of its tensors begin with.
func newLlama(c *config, f *finder) (m *model, prefix string) {
	m = &model{
		config: c, rotary: scaled(rotaryFrequencies(c.headDim, c.theta), c.scaling), activate: silu,
		embed: f.matrix(nameEmbed, c.vocab, c.hidden), norm: rmsNorm(f.vector(nameNorm, c.hidden), c.eps),
	}
	m.head = f.head(m.embed, c)
	queryDim, kvDim := c.heads*c.headDim, c.kvDim()
	for i := range c.layers {
		module := func(name string) string { return layerModule(i, name) }
		l := layer{
			query:         f.linear(module("self_attn.q_proj"), queryDim, c.hidden, c.attentionBias),
			key:           f.linear(module("self_attn.k_proj"), kvDim, c.hidden, c.attentionBias),
			value:         f.linear(module("self_attn.v_proj"), kvDim, c.hidden, c.attentionBias),
			output:        f.linear(module("self_attn.o_proj"), c.hidden, queryDim, c.outputBias),
			gate:          f.linear(module("mlp.gate_proj"), c.intermediate, c.hidden, c.mlpBias),
			up:            f.linear(module("mlp.up_proj"), c.intermediate, c.hidden, c.mlpBias),
			down:          f.linear(module("mlp.down_proj"), c.hidden, c.intermediate, c.mlpBias),
			attentionNorm: rmsNorm(f.vector(layerName(i, "input_layernorm"), c.hidden), c.eps),
			mlpNorm:       rmsNorm(f.vector(layerName(i, "post_attention_layernorm"), c.hidden), c.eps),
			window:        c.layerWindow(i),
		}
		if c.architecture == architectureQwen3 {
			l.queryNorm = rmsNorm(f.vector(layerName(i, "self_attn.q_norm"), c.headDim), c.eps)
			l.keyNorm = rmsNorm(f.vector(layerName(i, "self_attn.k_norm"), c.headDim), c.eps)
		}
		m.layers = append(m.layers, l)
		if f.err != nil {
			break // before a layer count nobody has tensors for costs anything
		}
	}
	return m, "model."
}
