package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/internal/noise"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// shapes are those of a model of the Llama family.
type shapes struct {
	hidden, intermediate, heads, kvHeads, vocab, layers int
}

// llama are the shapes of Llama 3 8B with the vocabulary of Llama 2, and as many layers as fill about so many bytes of BF16; one at least.
func llama(bytes int64) shapes {
	s := shapes{hidden: 4096, intermediate: 14336, heads: 32, kvHeads: 8, vocab: 32000}
	embeddings := 2 * s.vocab * s.hidden
	layer := 0
	for _, m := range s.linear() {
		layer += m.out * m.in
	}
	s.layers = max(1, int(math.Round(float64(bytes/2-int64(embeddings))/float64(layer))))
	return s
}

// linear is one linear module of a layer: out x in.
type linear struct {
	name    string
	out, in int
}

func (s shapes) linear() []linear {
	kv := s.hidden / s.heads * s.kvHeads
	return []linear{
		{"self_attn.q_proj", s.hidden, s.hidden}, {"self_attn.k_proj", kv, s.hidden}, {"self_attn.v_proj", kv, s.hidden},
		{"self_attn.o_proj", s.hidden, s.hidden}, {"mlp.gate_proj", s.intermediate, s.hidden}, {"mlp.up_proj", s.intermediate, s.hidden},
		{"mlp.down_proj", s.hidden, s.intermediate},
	}
}

// tensors are all of the model, in the order of its layers.
func (s shapes) tensors() []safetensors.Entry {
	entry := func(name string, shape ...int) safetensors.Entry {
		return safetensors.Entry{Name: name + ".weight", DType: tensor.BF16, Shape: shape}
	}
	all := []safetensors.Entry{entry("model.embed_tokens", s.vocab, s.hidden)}
	for i := range s.layers {
		layer := fmt.Sprintf("model.layers.%d.", i)
		all = append(all, entry(layer+"input_layernorm", s.hidden))
		for _, m := range s.linear() {
			all = append(all, entry(layer+m.name, m.out, m.in))
		}
		all = append(all, entry(layer+"post_attention_layernorm", s.hidden))
	}
	return append(all, entry("model.norm", s.hidden), entry("lm_head", s.vocab, s.hidden))
}

// What all generated models have in common.
const (
	contextLength = 4096
	normEpsilon   = 1e-5
	ropeTheta     = 10000.0
)

func (s shapes) config() map[string]any {
	return map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "torch_dtype": "bfloat16", "hidden_act": "silu",
		"hidden_size": s.hidden, "intermediate_size": s.intermediate, "num_attention_heads": s.heads, "num_key_value_heads": s.kvHeads,
		"num_hidden_layers": s.layers, "vocab_size": s.vocab, "max_position_embeddings": contextLength, "rms_norm_eps": normEpsilon,
		"rope_theta": ropeTheta, "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2,
	}
}

// writeBase writes a checkpoint of random weights: config.json, the index and so many shards of about the same size. The same arguments
// give the same bytes.
func writeBase(dir string, s shapes, shards int, seed uint64) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	parts := split(s.tensors(), shards)
	weights := map[string]string{}
	total := 0
	var group errgroup.Group
	group.SetLimit(2)
	for i, part := range parts {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(parts))
		for _, e := range part {
			weights[e.Name] = name
			total += stored(e)
		}
		group.Go(func() error { return writeTensors(filepath.Join(dir, name), part, seed) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	index := map[string]any{"metadata": map[string]any{"total_size": total}, "weight_map": weights}
	if err := writeJSON(filepath.Join(dir, "model.safetensors.index.json"), index); err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, "config.json"), s.config())
}

// split cuts a list of tensors into parts of about the same number of bytes.
func split(all []safetensors.Entry, parts int) [][]safetensors.Entry {
	total := 0
	for _, e := range all {
		total += stored(e)
	}
	out := make([][]safetensors.Entry, 0, parts)
	before := 0
	for i, e := range all {
		// A part ends where its share of the bytes does, and where the parts that are left would not get a tensor each.
		if before >= total*len(out)/parts || len(all)-i <= parts-len(out) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], e)
		before += stored(e)
	}
	return out
}

func stored(e safetensors.Entry) int { return elements(e.Shape) * e.DType.Size() }

func elements(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// writeTensors writes a file of normally distributed tensors; those of one axis are around 1 instead of 0.
func writeTensors(path string, entries []safetensors.Entry, seed uint64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buffered := bufio.NewWriterSize(f, 1<<20)
	w, err := safetensors.NewWriter(buffered, entries, map[string]string{"format": "pt"})
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := fill(w, e, seed); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// fill writes one tensor. Its numbers depend on its name and the seed, not on where it stands.
func fill(w io.Writer, e safetensors.Entry, seed uint64) error {
	stream := uint64(14695981039346656037) // FNV-1a
	for _, c := range []byte(e.Name) {
		stream = (stream ^ uint64(c)) * 1099511628211
	}
	if len(e.Shape) == 1 {
		ones := make([]byte, 0, stored(e))
		for range e.Shape[0] {
			ones = append(ones, 0x80, 0x3f)
		}
		_, err := w.Write(ones)
		return err
	}
	normal, source := normals(e), noise.Source(seed, stream)
	piece := make([]byte, 1<<20)
	for left := stored(e); left > 0; left -= len(piece) {
		piece = piece[:min(left, len(piece))]
		normal.Fill(piece, source)
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// normals has the deviation of the tensor: 0.02 of a weight, as models are begun with; of factors what gives a delta of rank 16 a norm of
// about 3 % of its weight's.
func normals(e safetensors.Entry) *noise.Normal {
	switch {
	case strings.Contains(e.Name, "lora_A"):
		return remembered(e.DType, 1/math.Sqrt(float64(e.Shape[1])))
	case strings.Contains(e.Name, "lora_B"):
		return remembered(e.DType, 0.005)
	}
	return remembered(e.DType, 0.02)
}

var tables sync.Map // of noise.Normal by dtype and deviation

func remembered(dtype tensor.DType, deviation float64) *noise.Normal {
	type key struct {
		dtype     tensor.DType
		deviation float64
	}
	k := key{dtype, deviation}
	if n, ok := tables.Load(k); ok {
		return n.(*noise.Normal)
	}
	n, _ := tables.LoadOrStore(k, noise.NewNormal(dtype, deviation))
	return n.(*noise.Normal)
}

// writeAdapter writes a PEFT adapter of random f32 factors for every linear module of the layers.
func writeAdapter(dir string, s shapes, rank int, seed uint64) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var entries []safetensors.Entry
	var modules []string
	for i := range s.layers {
		for _, m := range s.linear() {
			name := fmt.Sprintf("base_model.model.model.layers.%d.%s.lora_", i, m.name)
			entries = append(entries, safetensors.Entry{Name: name + "A.weight", DType: tensor.F32, Shape: []int{rank, m.in}},
				safetensors.Entry{Name: name + "B.weight", DType: tensor.F32, Shape: []int{m.out, rank}})
		}
	}
	for _, m := range s.linear() {
		modules = append(modules, m.name[strings.IndexByte(m.name, '.')+1:])
	}
	if err := writeTensors(filepath.Join(dir, "adapter_model.safetensors"), entries, seed); err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, "adapter_config.json"), map[string]any{
		"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 2 * rank, "lora_dropout": 0.0, "bias": "none",
		"fan_in_fan_out": false, "target_modules": modules, "inference_mode": true,
	})
}

func writeJSON(path string, value any) error {
	text, err := json.Marshal(value, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}
