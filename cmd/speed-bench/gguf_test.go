package main

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/safetensors"
)

// TestGGUF reads a file as its specification has it, and finds every tensor of the checkpoint in it.
func TestGGUF(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.gguf")
	if err := writeBase(filepath.Join(dir, "base"), tiny, 1, 1); err != nil {
		t.Fatal(err)
	}
	if err := writeGGUF(path, filepath.Join(dir, "base"), tiny); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := safetensors.Open(filepath.Join(dir, "base", "model-00001-of-00001.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer checkpoint.Close()
	stored := func(name string) []byte {
		found, ok := checkpoint.Tensor(name)
		if !ok {
			t.Fatalf("the checkpoint has no %s", name)
		}
		return checkpoint.Bytes(found)
	}

	r := &ggufReader{t: t, rest: file}
	if magic, version := string(r.take(4)), r.u32(); magic != "GGUF" || version != 3 {
		t.Fatalf("%q of version %d", magic, version)
	}
	tensors, values := r.u64(), r.u64()
	got := map[string]any{}
	for range values {
		key := r.text()
		switch kind := r.u32(); kind {
		case 4:
			got[key] = r.u32()
		case 6:
			got[key] = math.Float32frombits(r.u32())
		case 8:
			got[key] = r.text()
		default:
			t.Fatalf("%s is of type %d", key, kind)
		}
	}
	for key, want := range map[string]any{
		"general.architecture": "llama", "tokenizer.ggml.model": "no_vocab", "llama.vocab_size": uint32(128), "llama.block_count": uint32(3),
		"llama.attention.head_count": uint32(4), "llama.attention.head_count_kv": uint32(2), "llama.rope.dimension_count": uint32(16),
		"llama.attention.layer_norm_rms_epsilon": float32(1e-5),
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	type place struct {
		shape  []uint64
		dtype  uint32
		offset uint64
	}
	places := map[string]place{}
	for range tensors {
		name := r.text()
		p := place{}
		for range r.u32() {
			p.shape = append(p.shape, r.u64())
		}
		p.dtype, p.offset = r.u32(), r.u64()
		places[name] = p
	}
	data := file[(len(file)-len(r.rest)+31)/32*32:]
	if len(places) != 3+9*tiny.layers {
		t.Errorf("%d tensors", len(places))
	}
	at := func(name string, bytes int) []byte {
		p, ok := places[name]
		if !ok || p.offset%32 != 0 {
			t.Fatalf("%s: found %v, at %d", name, ok, p.offset)
		}
		return data[p.offset:][:bytes]
	}

	down := stored("model.layers.2.mlp.down_proj.weight")
	if p := places["blk.2.ffn_down.weight"]; p.dtype != 30 || p.shape[0] != 96 || p.shape[1] != 64 {
		t.Errorf("ffn_down is %+v", p)
	}
	if !bytes.Equal(at("blk.2.ffn_down.weight", len(down)), down) {
		t.Error("ffn_down has other bytes")
	}
	if p := places["output_norm.weight"]; p.dtype != 0 || len(p.shape) != 1 {
		t.Errorf("output_norm is %+v", p)
	}
	if one := binary.LittleEndian.Uint32(at("output_norm.weight", 4)); math.Float32frombits(one) != 1 {
		t.Errorf("output_norm begins with %x", one)
	}
	// Row 5 of the second of two heads of 16 rows is the second of the pair 2: row 2 + 8 of the head.
	key := stored("model.layers.0.self_attn.k_proj.weight")
	if row := 64 * 2; !bytes.Equal(at("blk.0.attn_k.weight", len(key))[(16+5)*row:][:row], key[(16+10)*row:][:row]) {
		t.Error("the rows of attn_k are in another order")
	}
}

type ggufReader struct {
	t    *testing.T
	rest []byte
}

func (r *ggufReader) take(n uint64) []byte {
	r.t.Helper()
	if uint64(len(r.rest)) < n {
		r.t.Fatalf("%d bytes are left, not %d", len(r.rest), n)
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *ggufReader) u32() uint32  { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *ggufReader) u64() uint64  { return binary.LittleEndian.Uint64(r.take(8)) }
func (r *ggufReader) text() string { return string(r.take(r.u64())) }
