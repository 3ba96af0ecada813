package cpu

import (
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// architectureLlama is the one family this backend generates with.
const architectureLlama = "llama"

// config is a model configuration after it was checked.
type config struct {
	hidden, intermediate, layers int
	heads, kvHeads, headDim      int
	vocab, positions             int
	eps, theta                   float64
	tied                         bool
}

func (c *config) kvDim() int { return c.kvHeads * c.headDim }

func parseConfig(p *backendpb.ModelConfig) (*config, error) {
	if p.Architecture != architectureLlama {
		return nil, invalid("architecture %q cannot be generated with, %q can", p.Architecture, architectureLlama)
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
	if p.HeadDim%2 != 0 {
		return nil, invalid("model configuration: head_dim %d is odd, and rotary positions turn pairs", p.HeadDim)
	}
	if !(p.RmsNormEps >= 0 && p.RmsNormEps < 1) || !(p.RopeTheta >= 1) || math.IsInf(p.RopeTheta, 0) {
		return nil, invalid("model configuration: rms_norm_eps %g, rope_theta %g", p.RmsNormEps, p.RopeTheta)
	}
	return &config{
		hidden: int(p.HiddenSize), intermediate: int(p.IntermediateSize), layers: int(p.Layers),
		heads: int(p.Heads), kvHeads: int(p.KvHeads), headDim: int(p.HeadDim),
		vocab: int(p.VocabSize), positions: int(p.MaxPositions),
		eps: p.RmsNormEps, theta: p.RopeTheta, tied: p.TieWordEmbeddings,
	}, nil
}

// Names of the tensors of the family, as checkpoints have them.
const (
	nameEmbed = "model.embed_tokens.weight"
	nameNorm  = "model.norm.weight"
	nameHead  = "lm_head.weight"
)

func layerName(layer int, module string) string {
	return fmt.Sprintf("model.layers.%d.%s.weight", layer, module)
}
