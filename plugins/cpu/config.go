package cpu

import (
	"math"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// The families this backend generates with, by ModelConfig.architecture.
const (
	architectureLlama   = "llama"
	architectureMistral = "mistral"
	architectureQwen2   = "qwen2"
	architectureQwen3   = "qwen3"
	architectureGPT2    = "gpt2"
)

var architectures = []string{architectureGPT2, architectureLlama, architectureMistral, architectureQwen2, architectureQwen3}

// config is a model configuration after it was checked.
type config struct {
	architecture                 string
	hidden, intermediate, layers int
	heads, kvHeads, headDim      int
	vocab, positions             int
	eps, theta                   float64
	scaling                      *backendpb.RopeScaling // nil: none
	tied                         bool
	attentionBias, outputBias    bool
	mlpBias                      bool
	window                       int   // of the sliding layers
	sliding                      []int // ascending
}

func (c *config) kvDim() int { return c.kvHeads * c.headDim }

// layerWindow is how many positions a token of a layer sees, its own included; 0: all.
func (c *config) layerWindow(layer int) int {
	if _, sliding := slices.BinarySearch(c.sliding, layer); sliding {
		return c.window
	}
	return 0
}

func parseConfig(p *backendpb.ModelConfig) (*config, error) {
	if !slices.Contains(architectures, p.Architecture) {
		return nil, invalid("architecture %q cannot be generated with, %s can", p.Architecture, strings.Join(architectures, ", "))
	}
	for _, f := range []struct {
		name  string
		value int32
	}{
		{"hidden_size", p.HiddenSize}, {"intermediate_size", p.IntermediateSize}, {"layers", p.Layers}, {"heads", p.Heads}, {"kv_heads", p.KvHeads},
		{"head_dim", p.HeadDim}, {"vocab_size", p.VocabSize}, {"max_positions", p.MaxPositions},
	} {
		if f.value < 1 {
			return nil, invalid("model configuration: %s is %d", f.name, f.value)
		}
	}
	if p.Heads%p.KvHeads != 0 {
		return nil, invalid("model configuration: %d heads cannot share %d key-value heads evenly", p.Heads, p.KvHeads)
	}
	if !(p.RmsNormEps >= 0 && p.RmsNormEps < 1) {
		return nil, invalid("model configuration: rms_norm_eps is %g", p.RmsNormEps)
	}
	check := checkLlama
	if p.Architecture == architectureGPT2 {
		check = checkGPT2
	}
	if err := check(p); err != nil {
		return nil, err
	}
	c := &config{
		architecture: p.Architecture,
		hidden:       int(p.HiddenSize), intermediate: int(p.IntermediateSize), layers: int(p.Layers),
		heads: int(p.Heads), kvHeads: int(p.KvHeads), headDim: int(p.HeadDim),
		vocab: int(p.VocabSize), positions: int(p.MaxPositions),
		eps: p.RmsNormEps, theta: p.RopeTheta, scaling: p.RopeScaling, tied: p.TieWordEmbeddings,
		attentionBias: p.AttentionBias, outputBias: p.OutputBias, mlpBias: p.MlpBias, window: int(p.SlidingWindow),
	}
	for _, layer := range p.SlidingLayers {
		c.sliding = append(c.sliding, int(layer))
	}
	return c, nil
}

// checkLlama checks what Llama has and the families that follow it.
func checkLlama(p *backendpb.ModelConfig) error {
	switch {
	case p.HeadDim%2 != 0:
		return invalid("model configuration: head_dim %d is odd, and rotary positions turn pairs", p.HeadDim)
	case !(p.RopeTheta >= 1) || math.IsInf(p.RopeTheta, 0):
		return invalid("model configuration: rope_theta is %g", p.RopeTheta)
	case p.Activation != "" && p.Activation != "silu":
		return invalid("model configuration: activation %q is not computed in a %s, silu is", p.Activation, p.Architecture)
	case p.SlidingWindow < 0 || (p.SlidingWindow == 0) != (len(p.SlidingLayers) == 0):
		return invalid("model configuration: a window of %d in %d layers", p.SlidingWindow, len(p.SlidingLayers))
	}
	last := int32(-1)
	for _, layer := range p.SlidingLayers {
		if layer <= last || layer >= p.Layers {
			return invalid("model configuration: sliding layer %d after %d, of %d layers", layer, last, p.Layers)
		}
		last = layer
	}
	return checkRopeScaling(p.RopeScaling)
}

// checkGPT2 refuses what no GPT-2 has.
func checkGPT2(p *backendpb.ModelConfig) error {
	switch {
	case p.KvHeads != p.Heads:
		return invalid("model configuration: %d key-value heads of %d: a gpt2 does not share them", p.KvHeads, p.Heads)
	case int64(p.Heads)*int64(p.HeadDim) != int64(p.HiddenSize):
		return invalid("model configuration: %d heads of %d are not hidden_size, %d", p.Heads, p.HeadDim, p.HiddenSize)
	case p.RopeTheta != 0 || p.RopeScaling != nil:
		return invalid("model configuration: a gpt2 has no rotary positions")
	case p.SlidingWindow != 0 || len(p.SlidingLayers) > 0:
		return invalid("model configuration: a gpt2 has no sliding window")
	case !p.AttentionBias || !p.OutputBias || !p.MlpBias:
		return invalid("model configuration: a gpt2 has every bias")
	case p.Activation != "gelu_new":
		return invalid("model configuration: activation %q is not computed in a gpt2, gelu_new is", p.Activation)
	}
	return nil
}
