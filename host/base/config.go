package base

import (
	"cmp"
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
)

// Config is what a config.json says about a model of one of the families that are served, by the names and with the defaults that
// transformers gives the family. A model of another family has what it shares with Llama and zeros elsewhere. Only Servable vouches for the
// values: Open takes any config.json that is a JSON object.
type Config struct {
	Architectures []string // as written
	ModelType     string
	DType         string // torch_dtype or dtype, as written

	HiddenSize, IntermediateSize int
	Layers                       int
	Heads, KVHeads, HeadDim      int
	VocabSize, MaxPositions      int
	RMSNormEps                   float64 // of every norm; of LayerNorm in gpt2
	RopeTheta                    float64 // 0 in gpt2, whose positions are learned
	RopeScaling                  RopeScaling
	SlidingWindow                int // tokens that a token sees in the layers with a window, itself included; 0 where no layer has one
	TieWordEmbeddings            bool
	AttentionBias                bool // of queries, keys and values
	OutputBias                   bool // of what the attention gives
	MLPBias                      bool
	HiddenAct                    string // "silu" or, in gpt2, "gelu_new"
	BOS                          int    // token id, -1 where there is none
	EOS                          []int  // token ids that end a text; generation_config.json wins

	layerTypes   []string   // the kind of attention of each layer, as written
	firstSliding int        // the layers from here on have the window, where layerTypes does not say which
	file         string     // what messages call config.json
	quantization string     // what says that the weights are quantised, or ""
	faults       fault.List // why the values cannot be trusted for serving
}

// parseConfig reads config.json and, where generation is not nil, generation_config.json. Wrong values are kept for Servable to report.
func parseConfig(doc, generation *document) (Config, error) {
	c := Config{file: doc.shown, BOS: -1}
	f, err := parseFields(doc, &c.faults)
	if err != nil {
		return c, err
	}
	c.Architectures = f.texts("architectures")
	c.ModelType = f.text("model_type", "")
	c.DType = f.text("dtype", f.text("torch_dtype", ""))
	defaults, known := families[c.ModelType]
	if !known {
		defaults = family{bos: -1, eos: -1}
	}
	if c.ModelType == "gpt2" {
		c.readGPT2(f, defaults)
	} else {
		c.readLlama(f, defaults)
	}
	c.readQuantization(f)
	if err := c.readTokens(f, generation, defaults); err != nil {
		return c, err
	}
	return c, nil
}

// readLlama reads what Llama and the families that follow it have.
func (c *Config) readLlama(f fields, defaults family) {
	c.HiddenSize = f.integer("hidden_size", 1, defaults.hidden)
	c.IntermediateSize = f.integer("intermediate_size", 1, defaults.intermediate)
	c.Layers = f.integer("num_hidden_layers", 1, defaults.layers)
	c.Heads = f.integer("num_attention_heads", 1, defaults.heads)
	c.VocabSize = f.integer("vocab_size", 1, defaults.vocab)
	c.MaxPositions = f.integer("max_position_embeddings", 1, cmp.Or(defaults.positions, 2048))
	c.RMSNormEps = f.positive("rms_norm_eps", 1e-6)
	c.TieWordEmbeddings = f.boolean("tie_word_embeddings", false)
	c.readHeads(f, defaults)
	c.readBiases(f)
	switch c.HiddenAct = f.text("hidden_act", "silu"); c.HiddenAct {
	case "silu":
	case "swish": // another name of the same
		c.HiddenAct = "silu"
	default:
		f.add(fault.BSArch, "hidden_act", "the activation %q is not served in a %s, only silu", c.HiddenAct, c.ModelType).Fix(unservedRemedy)
	}
	c.readRope(f)
	c.readWindow(f)
}

// readHeads reads how the attention is divided. A family's own default is a number; null is what follows from the other numbers.
func (c *Config) readHeads(f fields, defaults family) {
	kv, dim := cmp.Or(defaults.kvHeads, c.Heads), defaults.headDim
	if f.isNull("num_key_value_heads") {
		kv = c.Heads
	}
	if f.isNull("head_dim") && dim != 0 {
		f.wrongType("head_dim", "a whole number, which a "+c.ModelType+" must give")
	}
	if dim == 0 && c.Heads > 0 {
		dim = c.HiddenSize / c.Heads
	}
	c.KVHeads = f.integer("num_key_value_heads", 1, kv)
	c.HeadDim = f.integer("head_dim", 1, dim)
}

// readBiases tells which projections have biases. Where transformers builds a family without asking config.json, neither does this.
func (c *Config) readBiases(f fields) {
	switch c.ModelType {
	case "mistral":
	case "qwen2":
		c.AttentionBias = true
	case "qwen3":
		c.AttentionBias = f.boolean("attention_bias", false)
		c.OutputBias = c.AttentionBias
	default:
		c.AttentionBias = f.boolean("attention_bias", false)
		c.OutputBias = c.AttentionBias
		c.MLPBias = f.boolean("mlp_bias", false)
	}
}

const unservedRemedy = "check and merge adapters with this base; serve the merged directory with an engine that knows the architecture"

// readQuantization looks for quantization_config, here or one object down, where models of several parts keep it.
func (c *Config) readQuantization(f fields) {
	look := func(f fields) {
		if c.quantization == "" && f.has("quantization_config") {
			c.quantization = f.pointer + "/quantization_config"
		}
	}
	look(f)
	for _, name := range sortedKeys(f.members) {
		if f.members[name].Kind() == '{' {
			inner, _ := f.object(name)
			look(inner)
		}
	}
}

// readTokens reads the ids that begin and end a text.
func (c *Config) readTokens(f fields, generation *document, defaults family) error {
	bos, eos := c.special(f, "bos_token_id", defaults.bos), c.special(f, "eos_token_id", defaults.eos)
	if generation != nil {
		g, err := parseFields(generation, &c.faults)
		if err != nil {
			return err
		}
		if ids := g.ids("bos_token_id"); ids != nil {
			bos = ids
		}
		if ids := g.ids("eos_token_id"); ids != nil {
			eos = ids
		}
	}
	for _, id := range slices.Concat(bos, eos) {
		if c.VocabSize > 0 && id >= c.VocabSize {
			c.faults.Add(fault.New(fault.BSConfig, "the special token %d is not below vocab_size, %d", id, c.VocabSize).In(c.file).
				Fix("use the config.json and generation_config.json that were saved with the weights"))
		}
	}
	if len(bos) > 0 {
		c.BOS = bos[0]
	}
	c.EOS = eos
	return nil
}

// special reads one kind of special token. The family's default, -1 where it has none, counts where the member is absent, not where it is null,
// and where the vocabulary has such a token.
func (c *Config) special(f fields, name string, absent int) []int {
	if _, written := f.members[name]; written || absent < 0 || absent >= c.VocabSize {
		return f.ids(name)
	}
	return []int{absent}
}

const quantizedRemedy = "use the model before quantisation, and quantise the merged one again"

// checkQuantized refuses a base whose weights went through a quantiser: a delta cannot be added to them without undoing it.
func (d directory) checkQuantized(c Config) error {
	if c.quantization != "" {
		return fault.New(fault.BSQuantized, "the base is quantised").In(c.file).At(c.quantization).Fix(quantizedRemedy)
	}
	for _, name := range []string{"quantize_config.json", "quant_config.json"} { // AutoGPTQ and AutoAWQ
		if d.Has(name) {
			return fault.New(fault.BSQuantized, "the base is quantised").In(d.Name(name)).Fix(quantizedRemedy)
		}
	}
	return nil
}
