package base

// family is a model type that is served: its class in transformers, and what transformers takes where config.json leaves a number out.
type family struct {
	architecture                        string // the class that generates text
	hidden, intermediate, layers, heads int
	kvHeads                             int // 0: as many as heads
	headDim                             int // 0: hidden / heads
	vocab, positions                    int
	bos, eos                            int // -1: none
}

// families are the model types that are served. The numbers are those of the configuration classes of transformers.
var families = map[string]family{
	"gpt2": {
		architecture: "GPT2LMHeadModel", hidden: 768, layers: 12, heads: 12, vocab: 50_257, positions: 1024, bos: 50_256, eos: 50_256,
	},
	"llama": {
		architecture: "LlamaForCausalLM", hidden: 4096, intermediate: 11_008, layers: 32, heads: 32, vocab: 32_000, positions: 2048, bos: 1, eos: 2,
	},
	"mistral": {
		architecture: "MistralForCausalLM", hidden: 4096, intermediate: 14_336, layers: 32, heads: 32, kvHeads: 8, vocab: 32_000,
		positions: 131_072, bos: 1, eos: 2,
	},
	"qwen2": {
		architecture: "Qwen2ForCausalLM", hidden: 4096, intermediate: 22_016, layers: 32, heads: 32, kvHeads: 32, vocab: 151_936,
		positions: 32_768, bos: -1, eos: -1,
	},
	"qwen3": {
		architecture: "Qwen3ForCausalLM", hidden: 4096, intermediate: 22_016, layers: 32, heads: 32, kvHeads: 32, headDim: 128, vocab: 151_936,
		positions: 32_768, bos: -1, eos: -1,
	},
}
