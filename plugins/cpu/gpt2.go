package cpu

import (
	"fmt"
	"math"
	"strings"

	"github.com/tenon-ml/tenon/internal/kernel"
)

// newGPT2 builds a GPT-2, and says what the names of its tensors begin with.
func newGPT2(c *config, f *finder) (m *model, prefix string) {
	prefix = gpt2Prefix(f.tensors)
	norm := func(module string) norm {
		return layerNorm(f.vector(prefix+module+".weight", c.hidden), f.vector(prefix+module+".bias", c.hidden), c.eps)
	}
	m = &model{
		config: c, activate: geluNew, norm: norm("ln_f"),
		embed: f.matrix(prefix+"wte.weight", c.vocab, c.hidden), places: f.matrix(prefix+"wpe.weight", c.positions, c.hidden),
	}
	m.head = f.head(m.embed, c)
	for i := range c.layers {
		module := func(name string) string { return fmt.Sprintf("h.%d.%s", i, name) }
		m.layers = append(m.layers, layer{
			attentionNorm: norm(module("ln_1")),
			joined:        f.conv1D(prefix+module("attn.c_attn"), 3*c.hidden, c.hidden),
			output:        f.conv1D(prefix+module("attn.c_proj"), c.hidden, c.hidden),
			mlpNorm:       norm(module("ln_2")),
			up:            f.conv1D(prefix+module("mlp.c_fc"), c.intermediate, c.hidden),
			down:          f.conv1D(prefix+module("mlp.c_proj"), c.hidden, c.intermediate),
		})
		if f.err != nil {
			break
		}
	}
	return m, prefix
}

// gpt2Prefix is what stands before "h.0." and "wte." in the names: nothing, in the first checkpoints.
func gpt2Prefix(tensors map[string]stored) string {
	const prefix = "transformer."
	if _, bare := tensors["wte.weight"]; !bare {
		for name := range tensors {
			if strings.HasPrefix(name, prefix) {
				return prefix
			}
		}
	}
	return ""
}

// isMask reports whether a tensor is a mask of the attention, which old checkpoints have and everybody computes.
func isMask(name string) bool {
	return strings.HasSuffix(name, ".attn.bias") || strings.HasSuffix(name, ".attn.masked_bias")
}

// geluNew is x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))), which is x / (1 + e^(-2·√(2/π)·(…))). There is no gate.
func geluNew(x, _, scratch []float32) {
	for i, v := range x {
		square := float32(v * v)
		cube := float32(square * v)
		scratch[i] = v + float32(0.044715*cube)
	}
	kernel.Exp(scratch, float32(-2*math.Sqrt(2/math.Pi)), 0)
	for i, e := range scratch {
		x[i] /= 1 + e
	}
}
