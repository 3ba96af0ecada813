package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Types and the alignment of GGUF, version 3, as far as they are written here.
const (
	ggufUint32    = 4
	ggufFloat32   = 6
	ggufString    = 8
	ggufF32       = 0
	ggufBF16      = 30
	ggufAlignment = 32
)

// ggufTensor is one tensor as GGUF has it: row-major, with norms in F32, as llama.cpp wants them.
type ggufTensor struct {
	name   string
	shape  []int
	dtype  uint32
	bytes  []byte
	offset int // in the data
}

// writeGGUF writes the checkpoint of one shard in dir, which writeBase wrote, as one file that llama.cpp loads. It has no vocabulary: texts are
// token ids.
func writeGGUF(path, dir string, s shapes) error {
	shards, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
	if err != nil || len(shards) != 1 {
		return fmt.Errorf("%s: %d shards, not 1: %w", dir, len(shards), err)
	}
	from, err := safetensors.Open(shards[0])
	if err != nil {
		return err
	}
	defer from.Close()
	tensors, err := s.gguf(from)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	head := s.ggufHead(tensors)
	for _, part := range append([][]byte{head}, ggufData(len(head), tensors)...) {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// gguf converts names, the order of q's and k's rows, and norms.
func (s shapes) gguf(from *safetensors.File) ([]ggufTensor, error) {
	var out []ggufTensor
	offset := 0
	for _, e := range s.tensors() {
		t, ok := from.Tensor(e.Name)
		if !ok {
			return nil, fmt.Errorf("the checkpoint has no tensor %q", e.Name)
		}
		g := ggufTensor{name: ggufName(e.Name), shape: e.Shape, dtype: ggufBF16, bytes: from.Bytes(t), offset: offset}
		switch {
		case len(e.Shape) == 1:
			wide := make([]float32, e.Shape[0])
			if err := tensor.ToF32(wide, g.bytes, e.DType); err != nil {
				return nil, err
			}
			g.dtype, g.bytes = ggufF32, nil
			for _, v := range wide {
				var err error
				if g.bytes, err = binary.Append(g.bytes, binary.LittleEndian, v); err != nil {
					return nil, err
				}
			}
		case strings.HasSuffix(e.Name, "q_proj.weight"):
			g.bytes = interleave(g.bytes, s.heads, e.Shape)
		case strings.HasSuffix(e.Name, "k_proj.weight"):
			g.bytes = interleave(g.bytes, s.kvHeads, e.Shape)
		}
		offset += aligned(len(g.bytes))
		out = append(out, g)
	}
	return out, nil
}

// ggufNames are the parts of names that differ.
var ggufNames = strings.NewReplacer(
	"model.embed_tokens", "token_embd", "model.norm", "output_norm", "lm_head", "output", "model.layers", "blk",
	"input_layernorm", "attn_norm", "post_attention_layernorm", "ffn_norm", "self_attn.q_proj", "attn_q", "self_attn.k_proj", "attn_k",
	"self_attn.v_proj", "attn_v", "self_attn.o_proj", "attn_output", "mlp.gate_proj", "ffn_gate", "mlp.up_proj", "ffn_up",
	"mlp.down_proj", "ffn_down",
)

func ggufName(name string) string { return ggufNames.Replace(name) }

// interleave reorders the rows of each head: checkpoints turn rows i and i + half of a head together, llama.cpp rows 2i and 2i + 1.
func interleave(rows []byte, heads int, shape []int) []byte {
	out := make([]byte, 0, len(rows))
	each, half := len(rows)/shape[0], shape[0]/heads/2
	for head := range heads {
		for i := range half {
			for _, row := range []int{2*head*half + i, (2*head+1)*half + i} {
				out = append(out, rows[row*each:(row+1)*each]...)
			}
		}
	}
	return out
}

func aligned(n int) int { return (n + ggufAlignment - 1) / ggufAlignment * ggufAlignment }

// ggufHead is all before the padding and the data.
func (s shapes) ggufHead(tensors []ggufTensor) []byte {
	little := binary.LittleEndian
	text := func(to []byte, t string) []byte { return append(little.AppendUint64(to, uint64(len(t))), t...) }
	values := []struct {
		key   string
		value any
	}{
		{"general.architecture", "llama"}, {"general.name", "speed-bench"}, {"tokenizer.ggml.model", "no_vocab"},
		{"llama.vocab_size", s.vocab}, {"llama.context_length", contextLength}, {"llama.embedding_length", s.hidden},
		{"llama.block_count", s.layers}, {"llama.feed_forward_length", s.intermediate}, {"llama.attention.head_count", s.heads},
		{"llama.attention.head_count_kv", s.kvHeads}, {"llama.rope.dimension_count", s.hidden / s.heads},
		{"llama.attention.layer_norm_rms_epsilon", float32(normEpsilon)}, {"llama.rope.freq_base", float32(ropeTheta)},
	}
	head := little.AppendUint32([]byte("GGUF"), 3)
	head = little.AppendUint64(little.AppendUint64(head, uint64(len(tensors))), uint64(len(values)))
	for _, v := range values {
		head = text(head, v.key)
		switch value := v.value.(type) {
		case string:
			head = text(little.AppendUint32(head, ggufString), value)
		case int:
			head = little.AppendUint32(little.AppendUint32(head, ggufUint32), uint32(value))
		case float32:
			head, _ = binary.Append(little.AppendUint32(head, ggufFloat32), little, value) // of a float it cannot fail
		}
	}
	for _, t := range tensors {
		head = little.AppendUint32(text(head, t.name), uint32(len(t.shape)))
		for i := range t.shape { // the axis that varies fastest comes first
			head = little.AppendUint64(head, uint64(t.shape[len(t.shape)-1-i]))
		}
		head = little.AppendUint64(little.AppendUint32(head, t.dtype), uint64(t.offset))
	}
	return head
}

// ggufData is what follows a head of so many bytes: every tensor begins at a multiple of the alignment.
func ggufData(head int, tensors []ggufTensor) [][]byte {
	out := [][]byte{make([]byte, aligned(head)-head)}
	for _, t := range tensors {
		out = append(out, t.bytes, make([]byte, aligned(len(t.bytes))-len(t.bytes)))
	}
	return out
}
