package base

import (
	"math"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
)

// ggufOutput is the name of an output head in GGUF. A model without one uses the embedding in its place.
const ggufOutput = "output.weight"

// ggufConfig is what the keys of a GGUF file say about its model, by llama.cpp's names for architectures: a "llama" may be a Mistral as well. What
// the keys do not say is zero.
func ggufConfig(path string, file *gguf.File) (Config, error) {
	architecture, ok := file.Text("general.architecture")
	if !ok || architecture == "" {
		return Config{}, fault.New(fault.BSConfig, "the file does not say general.architecture").In(path).At("/general.architecture").
			Fix("convert the model again, with a converter of llama.cpp")
	}
	number := func(key string, absent int) int {
		n, ok := file.Uint(key)
		if !ok || n > math.MaxInt32 {
			return absent
		}
		return int(n)
	}
	float := func(key string) float64 {
		x, _ := file.Float(key)
		return x
	}
	of := func(key string) string { return architecture + "." + key }
	tokens, _ := file.Count("tokenizer.ggml.tokens")
	_, untied := file.Tensor(ggufOutput)
	c := Config{
		ModelType:         architecture,
		HiddenSize:        number(of("embedding_length"), 0),
		IntermediateSize:  number(of("feed_forward_length"), 0),
		Layers:            number(of("block_count"), 0),
		Heads:             number(of("attention.head_count"), 0),
		VocabSize:         number(of("vocab_size"), tokens),
		MaxPositions:      number(of("context_length"), 0),
		RMSNormEps:        float(of("attention.layer_norm_rms_epsilon")),
		RopeTheta:         float(of("rope.freq_base")),
		TieWordEmbeddings: !untied,
		BOS:               number("tokenizer.ggml.bos_token_id", -1),
		file:              path,
	}
	c.KVHeads = number(of("attention.head_count_kv"), c.Heads)
	if c.Heads > 0 {
		c.HeadDim = number(of("attention.key_length"), c.HiddenSize/c.Heads)
	}
	if eos := number("tokenizer.ggml.eos_token_id", -1); eos >= 0 {
		c.EOS = []int{eos}
	}
	return c, nil
}
