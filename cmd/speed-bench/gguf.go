package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

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
	tensors, data, err := s.gguf(from)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buffer := bufio.NewWriterSize(f, 1<<20)
	w, err := gguf.NewWriter(buffer, s.ggufPairs(), tensors, gguf.DefaultAlignment)
	if err != nil {
		return err
	}
	for _, part := range data {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// gguf converts names, the order of q's and k's rows, and norms, which llama.cpp wants in F32. It returns the tensors and their bytes.
func (s shapes) gguf(from *safetensors.File) (tensors []gguf.Tensor, data [][]byte, err error) {
	llama, ok := gguf.ArchitectureOf("llama")
	if !ok {
		return nil, nil, fmt.Errorf("the names of a llama are not known")
	}
	for _, e := range s.tensors() {
		t, found := from.Tensor(e.Name)
		name, named := llama.GGUF(e.Name)
		if !found || !named {
			return nil, nil, fmt.Errorf("the checkpoint has no tensor %q, or GGUF no name for it", e.Name)
		}
		kind, raw := gguf.BF16, from.Bytes(t)
		if len(e.Shape) == 1 {
			wide := make([]float32, e.Shape[0])
			if err := tensor.ToF32(wide, raw, e.DType); err != nil {
				return nil, nil, err
			}
			kind, raw = gguf.F32, make([]byte, 4*len(wide))
			if err := gguf.EncodeRow(raw, wide, kind); err != nil {
				return nil, nil, err
			}
		} else if heads := llama.Heads(name, s.heads, s.kvHeads); heads > 0 {
			rows := slices.Clone(raw)
			if err := gguf.RowsToGGUF(rows, raw, e.Shape[0], heads); err != nil {
				return nil, nil, err
			}
			raw = rows
		}
		tensors, data = append(tensors, gguf.Tensor{Name: name, Type: kind, Shape: e.Shape}), append(data, raw)
	}
	return tensors, data, nil
}

// ggufPairs are the keys that llama.cpp asks for.
func (s shapes) ggufPairs() []gguf.Pair {
	pairs := []gguf.Pair{gguf.TextPair("general.architecture", "llama"), gguf.TextPair("general.name", "speed-bench"),
		gguf.TextPair("tokenizer.ggml.model", "no_vocab"), gguf.FloatPair("llama.attention.layer_norm_rms_epsilon", normEpsilon),
		gguf.FloatPair("llama.rope.freq_base", ropeTheta)}
	for _, size := range []struct {
		key   string
		value int
	}{
		{"vocab_size", s.vocab}, {"context_length", contextLength}, {"embedding_length", s.hidden}, {"block_count", s.layers},
		{"feed_forward_length", s.intermediate}, {"attention.head_count", s.heads}, {"attention.head_count_kv", s.kvHeads},
		{"rope.dimension_count", s.hidden / s.heads},
	} {
		pairs = append(pairs, gguf.UintPair("llama."+size.key, uint32(size.value)))
	}
	return pairs
}
