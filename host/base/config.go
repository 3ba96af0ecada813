package base

import (
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
)

// Config is what a config.json says about a model of the Llama family, by the names and defaults of transformers. A model of another family
// has what it shares with Llama and zeros elsewhere. Only Servable vouches for the values: Open takes any config.json that is a JSON
// object.
type Config struct {
	Architectures []string // as written
	ModelType     string
	DType         string // torch_dtype or dtype, as written

	HiddenSize, IntermediateSize int
	Layers                       int
	Heads, KVHeads, HeadDim      int
	VocabSize, MaxPositions      int
	RMSNormEps, RopeTheta        float64
	TieWordEmbeddings            bool
	AttentionBias, MLPBias       bool
	HiddenAct                    string
	BOS                          int   // token id, -1 where there is none
	EOS                          []int // token ids that end a text; generation_config.json wins

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
	c.HiddenSize = f.integer("hidden_size", 1, 0)
	c.IntermediateSize = f.integer("intermediate_size", 1, 0)
	c.Layers = f.integer("num_hidden_layers", 1, 0)
	c.Heads = f.integer("num_attention_heads", 1, 0)
	c.KVHeads = f.integer("num_key_value_heads", 1, c.Heads)
	c.VocabSize = f.integer("vocab_size", 1, 0)
	c.MaxPositions = f.integer("max_position_embeddings", 1, defaultPositions(c.ModelType))
	if c.Heads > 0 {
		c.HeadDim = f.integer("head_dim", 1, c.HiddenSize/c.Heads)
	}
	c.RMSNormEps = f.positive("rms_norm_eps", 1e-6)
	c.TieWordEmbeddings = f.boolean("tie_word_embeddings", false)
	c.AttentionBias = f.boolean("attention_bias", false)
	c.MLPBias = f.boolean("mlp_bias", false)
	c.HiddenAct = f.text("hidden_act", "silu")
	c.readRope(f)
	c.readUnserved(f)
	c.readQuantization(f)
	if err := c.readTokens(f, generation); err != nil {
		return c, err
	}
	return c, nil
}

// defaultPositions is max_position_embeddings where config.json leaves it out.
func defaultPositions(modelType string) int {
	if modelType == "mistral" {
		return 131_072
	}
	return 2048
}

// readRope reads the rotary embedding: rope_theta and rope_scaling, or rope_parameters, which holds both since transformers 5.
func (c *Config) readRope(f fields) {
	c.RopeTheta = f.positive("rope_theta", 0)
	for _, name := range []string{"rope_scaling", "rope_parameters"} {
		rope, ok := f.object(name)
		if !ok {
			continue
		}
		if kind := rope.text("rope_type", rope.text("type", "default")); kind != "default" {
			f.add(fault.BSArch, name, "rotary embeddings of type %q are not served", kind).Fix(unservedRemedy)
		}
		theta := rope.positive("rope_theta", 0)
		if theta != 0 && c.RopeTheta != 0 && theta != c.RopeTheta {
			rope.add(fault.BSConfig, "rope_theta", "rope_theta is %v here and %v above", theta, c.RopeTheta).
				Fix("keep the one the model was trained with")
		}
		if theta != 0 {
			c.RopeTheta = theta
		}
		if part := rope.positive("partial_rotary_factor", 1); part != 1 {
			rope.add(fault.BSArch, "partial_rotary_factor", "rotary embeddings of a part of each head are not served").Fix(unservedRemedy)
		}
	}
	if c.RopeTheta == 0 {
		c.RopeTheta = 10_000
	}
}

const unservedRemedy = "check and merge adapters with this base; serve the merged directory with an engine that knows the architecture"

// readUnserved lists what changes a Llama's arithmetic in a way no backend here computes.
func (c *Config) readUnserved(f fields) {
	if c.HiddenAct != "silu" {
		f.add(fault.BSArch, "hidden_act", "the activation %q is not served, only silu", c.HiddenAct).Fix(unservedRemedy)
	}
	if c.AttentionBias {
		f.add(fault.BSArch, "attention_bias", "biases in the attention are not served").Fix(unservedRemedy)
	}
	if c.MLPBias {
		f.add(fault.BSArch, "mlp_bias", "biases in the feed-forward layers are not served").Fix(unservedRemedy)
	}
	if part := f.positive("partial_rotary_factor", 1); part != 1 {
		f.add(fault.BSArch, "partial_rotary_factor", "rotary embeddings of a part of each head are not served").Fix(unservedRemedy)
	}
	if c.ModelType == "mistral" {
		if _, written := f.members["sliding_window"]; f.has("sliding_window") || !written {
			f.add(fault.BSArch, "sliding_window", "attention within a sliding window, the default of mistral, is not served").
				Fix("if the model attends to everything, as Mistral 0.2 and later do, write \"sliding_window\": null")
		}
		if !f.has("num_key_value_heads") { // the default of mistral is 8, not the number of heads
			f.add(fault.BSConfig, "num_key_value_heads", "a mistral must say how many key-value heads it has").
				Fix("use the config.json that was saved with the weights")
		}
	}
}

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
func (c *Config) readTokens(f fields, generation *document) error {
	bos, eos := f.ids("bos_token_id"), f.ids("eos_token_id")
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
