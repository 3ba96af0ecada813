package cpu

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// TestFamilyRefusals asks for what is not computed, and leaves tensors out, or puts more in.
func TestFamilyRefusals(t *testing.T) {
	tests := []struct {
		family string
		change func(*backendpb.ModelConfig)
		says   string
	}{
		{"llama", func(c *backendpb.ModelConfig) { c.Architecture = "phi" }, `"phi"`},
		{"llama", func(c *backendpb.ModelConfig) { c.Activation = "gelu_new" }, "silu is"},
		{"llama", func(c *backendpb.ModelConfig) { c.HeadDim = 7 }, "odd"},
		{"llama", func(c *backendpb.ModelConfig) { c.RopeTheta = 0 }, "rope_theta"},
		{"llama", func(c *backendpb.ModelConfig) { c.SlidingWindow = 4 }, "a window of 4 in 0 layers"},
		{"llama", func(c *backendpb.ModelConfig) { c.AttentionBias = false }, "k_proj.bias"},
		{"llama", func(c *backendpb.ModelConfig) { c.OutputBias = false }, "o_proj.bias"},
		{"llama", func(c *backendpb.ModelConfig) { c.MlpBias = false }, "down_proj.bias"},
		{"llama", func(c *backendpb.ModelConfig) { c.Architecture = "qwen3" }, "q_norm"},
		{"llama3", func(c *backendpb.ModelConfig) { c.RopeScaling.Type = "yarn" }, `"yarn"`},
		{"llama3", func(c *backendpb.ModelConfig) { c.RopeScaling.Type = "" }, `""`},
		{"llama3", func(c *backendpb.ModelConfig) { c.RopeScaling.Factor = 0 }, "factor of 0"},
		{"llama3", func(c *backendpb.ModelConfig) { c.RopeScaling.Factor = math.NaN() }, "factor of NaN"},
		{"llama3", func(c *backendpb.ModelConfig) { c.RopeScaling.HighFreqFactor = 1 }, "high_freq_factor 1"},
		{"llama3", func(c *backendpb.ModelConfig) { c.RopeScaling.OriginalMaxPositions = 0 }, "0 positions"},
		{"mistral", func(c *backendpb.ModelConfig) { c.SlidingWindow = -1 }, "window of -1"},
		{"mistral", func(c *backendpb.ModelConfig) { c.SlidingLayers = []int32{1, 0} }, "sliding layer 0 after 1"},
		{"mistral", func(c *backendpb.ModelConfig) { c.SlidingLayers = []int32{2} }, "sliding layer 2"},
		{"mistral", func(c *backendpb.ModelConfig) { c.AttentionBias = true }, "q_proj.bias"},
		{"qwen3", func(c *backendpb.ModelConfig) { c.Architecture = "llama" }, "self_attn.k_norm.weight"},
		{"gpt2", func(c *backendpb.ModelConfig) { c.KvHeads = 2 }, "key-value heads"},
		{"gpt2", func(c *backendpb.ModelConfig) { c.HeadDim = 16 }, "are not hidden_size"},
		{"gpt2", func(c *backendpb.ModelConfig) { c.RopeTheta = 10000 }, "rotary"},
		{"gpt2", func(c *backendpb.ModelConfig) { c.SlidingWindow = 4 }, "sliding window"},
		{"gpt2", func(c *backendpb.ModelConfig) { c.MlpBias = false }, "every bias"},
		{"gpt2", func(c *backendpb.ModelConfig) { c.Activation = "" }, "gelu_new is"},
		{"gpt2", func(c *backendpb.ModelConfig) { c.Layers = 1 }, "h.1.attn.c_attn"},
		{"gpt2", func(c *backendpb.ModelConfig) { c.MaxPositions = 64 }, "wpe"},
		{"gpt2", func(c *backendpb.ModelConfig) { c.TieWordEmbeddings = false }, nameHead},
	}
	for _, test := range tests {
		t.Run(test.family+" "+test.says, func(t *testing.T) {
			_, base := readFamily(t, test.family)
			test.change(base.Config)
			if _, err := New(Options{Workers: 1}).LoadBase(t.Context(), base); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %q", err, test.says)
			}
		})
	}
	for _, name := range familyNames(t) {
		t.Run(name, func(t *testing.T) {
			_, base := readFamily(t, name)
			tensors := base.Tensors
			for i, x := range tensors {
				if isMask(x.Name) {
					continue
				}
				base.Tensors = slices.Delete(slices.Clone(tensors), i, i+1)
				if _, err := New(Options{Workers: 1}).LoadBase(t.Context(), base); err == nil || !strings.Contains(err.Error(), x.Name) {
					t.Errorf("without %s: %v", x.Name, err)
				}
			}
		})
	}
}
