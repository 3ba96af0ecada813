package base

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// ggufPairs are the keys of a Llama of one layer.
func ggufPairs() []gguf.Pair {
	return []gguf.Pair{
		gguf.TextPair("general.architecture", "llama"), gguf.TextPair("general.type", "model"),
		gguf.UintPair("llama.embedding_length", 256), gguf.UintPair("llama.feed_forward_length", 512), gguf.UintPair("llama.block_count", 1),
		gguf.UintPair("llama.attention.head_count", 4), gguf.UintPair("llama.attention.head_count_kv", 2), gguf.UintPair("llama.context_length", 99),
		gguf.FloatPair("llama.attention.layer_norm_rms_epsilon", 0.5), gguf.FloatPair("llama.rope.freq_base", 10000),
		gguf.TextsPair("tokenizer.ggml.tokens", []string{"<s>", "</s>", "a"}), gguf.UintPair("tokenizer.ggml.bos_token_id", 1),
		gguf.UintPair("tokenizer.ggml.eos_token_id", 2),
	}
}

// ggufTensors are some tensors, of every type that is read.
func ggufTensors() []gguf.Tensor {
	return []gguf.Tensor{
		{Name: "token_embd.weight", Type: gguf.Q6_K, Shape: []int{3, 256}}, {Name: "output.weight", Type: gguf.Q8_0, Shape: []int{3, 256}},
		{Name: "blk.0.attn_q.weight", Type: gguf.Q4_K, Shape: []int{256, 256}}, {Name: "blk.0.attn_k.weight", Type: gguf.Q5_K, Shape: []int{128, 256}},
		{Name: "blk.0.attn_v.weight", Type: gguf.Q4_0, Shape: []int{128, 256}}, {Name: "blk.0.attn_output.weight", Type: gguf.F16, Shape: []int{256, 256}},
		{Name: "blk.0.ffn_up.weight", Type: gguf.BF16, Shape: []int{512, 256}}, {Name: "output_norm.weight", Type: gguf.F32, Shape: []int{256}},
		{Name: "counts", Type: 26, Shape: []int{7}},
	}
}

// writeGGUF writes a file with blocks of random bytes.
func writeGGUF(t *testing.T, path string, pairs []gguf.Pair, tensors []gguf.Tensor) {
	t.Helper()
	var out bytes.Buffer
	w, err := gguf.NewWriter(&out, pairs, tensors, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 6))
	for _, x := range w.Tensors() {
		data := make([]byte, x.Length)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), os.WriteFile(path, out.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestOpenGGUF(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	writeGGUF(t, path, ggufPairs(), ggufTensors())
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, "file://"+path)
	if b.GGUF() == nil || len(b.Shards) != 0 || len(b.Files) != 0 {
		t.Errorf("%d shards, %d files", len(b.Shards), len(b.Files))
	}
	if want := sha256.Sum256(fmt.Appendf(nil, "%x  model.gguf\n", sha256.Sum256(raw))); b.Digest != want {
		t.Errorf("digest %x, want %x", b.Digest, want)
	}
	c := b.Config
	if c.ModelType != "llama" || c.HiddenSize != 256 || c.IntermediateSize != 512 || c.Layers != 1 || c.Heads != 4 || c.KVHeads != 2 || c.HeadDim != 64 ||
		c.VocabSize != 3 || c.MaxPositions != 99 || c.RMSNormEps != 0.5 || c.RopeTheta != 10000 || c.TieWordEmbeddings || c.BOS != 1 || !slices.Equal(c.EOS, []int{2}) {
		t.Errorf("%+v", c)
	}
	wantFault(t, b.Servable(), fault.BSArch, "m.gguf", "not served")
	if b.ModelConfig() != nil {
		t.Error("there is a configuration to generate with")
	}
	if len(b.Modules()) != 8 || b.DType() != tensor.F32 || len(b.Tensors) != len(ggufTensors()) {
		t.Errorf("modules %q, mostly %v", b.Modules(), b.DType())
	}
	for _, x := range b.Tensors {
		stored, _ := b.GGUF().Tensor(x.Name)
		want := raw[stored.Offset : stored.Offset+stored.Length]
		if stored.Type == gguf.Q8_0 || stored.Type == gguf.Q4_0 || stored.Type == gguf.Q4_K || stored.Type == gguf.Q5_K || stored.Type == gguf.Q6_K {
			want = decoded(t, stored, want)
		}
		got, err := b.Read(x)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes, %v", x.Name, err)
		}
		if err := checkFile(b, x, want); err != nil {
			t.Errorf("%s: %v", x.Name, err)
		}
	}
	part, _ := b.Tensor("blk.0.attn_k.weight")
	want, err := b.Read(part)
	if err != nil {
		t.Fatal(err)
	}
	part.Name, part.Offset, part.Length = "a part of it", part.Offset+4*300, 4*500
	if got, err := b.Read(part); err != nil || !bytes.Equal(got, want[4*300:4*800]) {
		t.Errorf("a part: other bytes, %v", err)
	}
	if err := checkFile(b, part, want[4*300:4*800]); err != nil {
		t.Errorf("a part: %v", err)
	}
	if got := b.FileName(part); got != path {
		t.Errorf("messages call it %q", got)
	}
}

// decoded are the F32 bytes of a quantised tensor.
func decoded(t *testing.T, x gguf.Tensor, raw []byte) []byte {
	t.Helper()
	values := make([]float32, x.Elements())
	if err := gguf.Dequantize(values, raw, x.Type); err != nil {
		t.Fatal(err)
	}
	out, err := binary.Append(nil, binary.LittleEndian, values)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkFile reads a tensor through the file that another process would be handed.
func checkFile(b *Base, x Tensor, want []byte) error {
	var f *os.File
	switch r := b.Reader(x).(type) {
	case *gguf.File:
		f = r.Os()
	case *decoding:
		var err error
		if f, err = r.OpenOs(); err != nil {
			return err
		}
		if _, err := f.WriteAt([]byte{0}, x.Offset); err == nil {
			return errors.New("the file can be written")
		}
	}
	got := make([]byte, x.Length)
	if _, err := f.ReadAt(got, x.Offset); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New("the file has other bytes")
	}
	return nil
}

// TestGGUFDigest gives the same model another name, and another model the same.
func TestGGUFDigest(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.gguf"), filepath.Join(dir, "two.bin")
	writeGGUF(t, one, ggufPairs(), ggufTensors())
	writeGGUF(t, two, ggufPairs(), ggufTensors())
	before := open(t, one).Digest
	if open(t, two).Digest != before {
		t.Error("the digest depends on the name")
	}
	raw, err := os.ReadFile(two)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-8] ^= 1 // in the last tensor or its padding
	if err := os.WriteFile(two, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if open(t, two).Digest == before {
		t.Error("the digest does not cover the last bytes")
	}
}

// TestGGUFTied has no output head.
func TestGGUFTied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	writeGGUF(t, path, ggufPairs(), ggufTensors()[:1])
	if b := open(t, path); !b.Config.TieWordEmbeddings {
		t.Error("the head is not tied")
	}
}

func TestGGUFRefusals(t *testing.T) {
	dir := t.TempDir()
	without := func(key string) []gguf.Pair {
		return slices.DeleteFunc(ggufPairs(), func(p gguf.Pair) bool { return p.Key == key })
	}
	tests := []struct {
		name, file string
		pairs      []gguf.Pair
		tensors    []gguf.Tensor
		code       fault.Code
		parts      []string
	}{
		{"an adapter", "a.gguf", append(without("general.type"), gguf.TextPair("general.type", "adapter")), ggufTensors(), fault.BSConfig, []string{"adapter"}},
		{"a vocabulary", "a.gguf", append(without("general.type"), gguf.TextPair("general.type", "mmproj")), ggufTensors(), fault.BSConfig, []string{"mmproj"}},
		{"no architecture", "a.gguf", without("general.architecture"), ggufTensors(), fault.BSConfig, []string{"general.architecture"}},
		{"no tensors", "a.gguf", ggufPairs(), nil, fault.BSTensor, nil},
		{"a type that is not read", "a.gguf", ggufPairs(), []gguf.Tensor{{Name: "w.weight", Type: 10, Shape: []int{1, 256}}}, fault.BSQuantized, []string{"Q2_K", "w.weight"}},
		{"a part", "a-00001-of-00002.gguf", ggufPairs(), ggufTensors(), fault.GGSplit, []string{"2 parts"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(dir, test.file)
			writeGGUF(t, path, test.pairs, test.tensors)
			_, err := Open(path)
			wantFault(t, err, test.code, test.parts...)
		})
	}
	t.Run("its directory", func(t *testing.T) {
		_, err := Open(dir)
		wantFault(t, err, fault.BSConfig, "give the GGUF file itself")
	})
	t.Run("big-endian", func(t *testing.T) {
		path := filepath.Join(dir, "big")
		if err := os.WriteFile(path, append([]byte("FUGG"), make([]byte, 100)...), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		wantFault(t, err, fault.GGVersion, "big-endian")
	})
}

func TestGGUFUnchanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	writeGGUF(t, path, ggufPairs(), ggufTensors())
	b := open(t, path)
	if err := b.Unchanged(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantFault(t, b.Unchanged(), fault.GGChanged, path)
}

// TestNoPlaceToDecode has no directory for temporary files.
func TestNoPlaceToDecode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	writeGGUF(t, path, ggufPairs(), ggufTensors())
	b := open(t, path)
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "absent"))
	x, _ := b.Tensor("output.weight")
	_, err := b.Reader(x).(*decoding).OpenOs()
	wantFault(t, err, fault.IOWrite, "m.gguf", "output.weight", "TMPDIR")
	if _, err := b.Read(x); err != nil {
		t.Errorf("it cannot be read without one: %v", err)
	}
}

// TestGGUFCloses closes a base whose tensors were decoded, twice.
func TestGGUFCloses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.gguf")
	writeGGUF(t, path, ggufPairs(), ggufTensors())
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := b.Tensor("output.weight")
	if _, err := b.Reader(x).(*decoding).OpenOs(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	if _, err := b.Reader(x).ReadAt(make([]byte, 4), x.Offset); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("it reads on: %v", err)
	}
}
