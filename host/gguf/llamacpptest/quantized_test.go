//go:build linux && amd64

package llamacpptest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/gguf"
)

// The random model: a Llama of two layers, wide enough for the blocks of K-quants.
const (
	randomWidth, randomForward, randomVocab, randomHeads, randomKVHeads, randomLayers = 256, 512, 64, 4, 2, 2
	randomRank                                                                        = 4
)

// randomTensors are the tensors of the model. The matrices of a layer are of the given types, in turn.
func randomTensors(kinds []gguf.Type) []gguf.Tensor {
	vector := func(name string) gguf.Tensor {
		return gguf.Tensor{Name: name, Type: gguf.F32, Shape: []int{randomWidth}}
	}
	tensors := []gguf.Tensor{{Name: "token_embd.weight", Type: gguf.F32, Shape: []int{randomVocab, randomWidth}}, vector("output_norm.weight"),
		{Name: "output.weight", Type: gguf.F32, Shape: []int{randomVocab, randomWidth}}}
	for layer := range randomLayers {
		add := func(name string, rows, cols int) {
			tensors = append(tensors, gguf.Tensor{Name: fmt.Sprintf("blk.%d.%s.weight", layer, name), Type: kinds[len(tensors)%len(kinds)], Shape: []int{rows, cols}})
		}
		keys := randomWidth / randomHeads * randomKVHeads
		add("attn_q", randomWidth, randomWidth)
		add("attn_k", keys, randomWidth)
		add("attn_v", keys, randomWidth)
		add("attn_output", randomWidth, randomWidth)
		add("ffn_gate", randomForward, randomWidth)
		add("ffn_up", randomForward, randomWidth)
		add("ffn_down", randomWidth, randomForward)
		tensors = append(tensors, vector(fmt.Sprintf("blk.%d.attn_norm.weight", layer)), vector(fmt.Sprintf("blk.%d.ffn_norm.weight", layer)))
	}
	return tensors
}

func randomPairs(kind string) []gguf.Pair {
	pairs := []gguf.Pair{gguf.TextPair("general.architecture", "llama"), gguf.TextPair("general.type", kind)}
	if kind == "adapter" {
		return append(pairs, gguf.TextPair("adapter.type", "lora"), gguf.FloatPair("adapter.lora.alpha", randomRank))
	}
	return append(pairs, gguf.TextPair("tokenizer.ggml.model", "no_vocab"),
		gguf.UintPair("llama.vocab_size", randomVocab), gguf.UintPair("llama.context_length", 128), gguf.UintPair("llama.embedding_length", randomWidth),
		gguf.UintPair("llama.block_count", randomLayers), gguf.UintPair("llama.feed_forward_length", randomForward),
		gguf.UintPair("llama.attention.head_count", randomHeads), gguf.UintPair("llama.attention.head_count_kv", randomKVHeads),
		gguf.FloatPair("llama.attention.layer_norm_rms_epsilon", 1e-5), gguf.FloatPair("llama.rope.freq_base", 10000))
}

// write writes a GGUF file and returns its path.
func write(t *testing.T, pairs []gguf.Pair, tensors []gguf.Tensor, data func(gguf.Tensor) []byte) string {
	t.Helper()
	var out bytes.Buffer
	w, err := gguf.NewWriter(&out, pairs, tensors, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range w.Tensors() {
		if _, err := w.Write(data(x)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "random.gguf")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// normal are F32 values.
func normal(r *rand.Rand, x gguf.Tensor, size, mean float64) []byte {
	var out []byte
	for range x.Elements() {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(mean+size*r.NormFloat64())))
	}
	return out
}

// randomData is F32, or blocks of random numbers whose scales, all in f16 at the given places, make values of the size of weights.
func randomData(r *rand.Rand, x gguf.Tensor) []byte {
	switch {
	case len(x.Shape) == 1:
		return normal(r, x, 0.1, 1)
	case x.Type == gguf.F32:
		return normal(r, x, 0.3, 0)
	}
	out := make([]byte, x.Length)
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	_, size := x.Type.Block()
	places := map[gguf.Type]map[int]uint16{ // 0x1800 is 2^-9
		gguf.Q8_0: {0: 0x0c00}, gguf.Q4_0: {0: 0x2000}, gguf.Q4_K: {0: 0x0800, 2: 0x1400}, gguf.Q5_K: {0: 0x0400, 2: 0x1400}, gguf.Q6_K: {208: 0x0060},
	}[x.Type]
	for at := 0; at < len(out); at += size {
		for place, scale := range places {
			binary.LittleEndian.PutUint16(out[at+place:], scale+uint16(r.UintN(32)))
		}
	}
	return out
}

// TestKQuants has llama.cpp run a model of every quantised type that is read, beside the same model as Tenon decodes it, and both with an adapter: applied by
// llama.cpp to the quantised weights, and merged by Tenon. llama.cpp rounds the activations that it multiplies with quantised weights, so the logits agree in
// direction only.
func TestKQuants(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	kinds := []gguf.Type{gguf.Q4_K, gguf.Q5_K, gguf.Q6_K, gguf.Q4_0, gguf.Q8_0}
	tensors := randomTensors(kinds)
	model := write(t, randomPairs("model"), tensors, func(x gguf.Tensor) []byte { return randomData(r, x) })
	decoded := rewrite(t, model, func(x gguf.Tensor, data []byte) (gguf.Type, []byte) {
		values := make([]float32, x.Elements())
		if err := gguf.Dequantize(values, data, x.Type); err != nil {
			t.Fatal(err)
		}
		out := make([]byte, 4*len(values))
		if err := gguf.EncodeRow(out, values, gguf.F32); err != nil {
			t.Fatal(err)
		}
		return gguf.F32, out
	}, everything)
	var factors []gguf.Tensor
	for _, x := range tensors {
		if len(x.Shape) == 2 && x.Name != "token_embd.weight" {
			factors = append(factors, gguf.Tensor{Name: x.Name + ".lora_a", Type: gguf.F32, Shape: []int{randomRank, x.Shape[1]}},
				gguf.Tensor{Name: x.Name + ".lora_b", Type: gguf.F32, Shape: []int{x.Shape[0], randomRank}})
		}
	}
	lora := write(t, randomPairs("adapter"), factors, func(x gguf.Tensor) []byte { return normal(r, x, 0.1, 0) })
	prompts := [][]int32{{1, 2, 3, 4, 5}, {60, 17, 42}}
	run := func(model, lora string) reply {
		return ask(t, request{Model: model, Adapter: lora, Scale: 1, Prompts: prompts, Tokens: 1})
	}
	plain, adapted := run(decoded, ""), run(decoded, lora)
	for _, test := range []struct {
		name      string
		got, want reply
		least     float64 // cosine
	}{
		{"the quantised base", run(model, ""), plain, 0.999},
		{"the adapter on the quantised base", run(model, lora), adapted, 0.999},
		{"merged into F32", run(mergeFile(t, lora, model, 1, "f32"), ""), adapted, 0.9999999},
		{"merged into BF16", run(mergeFile(t, lora, model, 1, "bf16"), ""), adapted, 0.999},
		{"merged into Q8_0", run(mergeFile(t, lora, model, 1, "q8_0"), ""), adapted, 0.999},
	} {
		for i := range prompts {
			if c := cosine(test.got.Logits[i], test.want.Logits[i]); !(c > test.least) {
				t.Errorf("%s: prompt %d: the cosine of the logits is %v", test.name, i, c)
			} else {
				t.Logf("%s: prompt %d: the cosine of the logits is 1 - %.2g", test.name, i, 1-c)
			}
			if c := cosine(test.want.Logits[i], plain.Logits[i]); test.want.Logits[i][0] != plain.Logits[i][0] && c > 0.99 {
				t.Errorf("%s: the adapter hardly changes anything (cosine %v): the test cannot fail", test.name, c)
			}
		}
	}
}

func cosine(a, b []float32) float64 {
	var dot, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
	}
	return dot / math.Sqrt(aa*bb)
}
