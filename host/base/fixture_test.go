package base

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// llamaConfig is a Llama of 2 layers, width 8, 2 heads of 4, 1 key-value head, feed-forward width 12 and 10 tokens.
const llamaConfig = `{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":8,"intermediate_size":12,` +
	`"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"vocab_size":10,"max_position_embeddings":32,` +
	`"rms_norm_eps":1e-5,"rope_theta":500000,` +
	`"tie_word_embeddings":false,"torch_dtype":"bfloat16","bos_token_id":1,"eos_token_id":2,"hidden_act":"silu","rope_scaling":null}`

// llamaTensors are the tensors of llamaConfig, as BF16, by name.
func llamaTensors() []safetensors.Entry {
	c := Config{HiddenSize: 8, IntermediateSize: 12, Layers: 2, Heads: 2, KVHeads: 1, HeadDim: 4, VocabSize: 10}
	shapes := c.llamaTensors()
	shapes[headName] = []int{10, 8}
	var entries []safetensors.Entry
	for _, name := range sortedKeys(shapes) {
		entries = append(entries, safetensors.Entry{Name: name, DType: tensor.BF16, Shape: shapes[name]})
	}
	return entries
}

// weights is a safetensors file of the entries, with a different byte everywhere.
func weights(t testing.TB, entries []safetensors.Entry) string {
	t.Helper()
	header, _, size, err := safetensors.Layout(entries, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, size-int64(len(header)))
	for i := range data {
		data[i] = byte(i * 7)
	}
	return string(header) + string(data)
}

// replaced returns the tensors with one exchanged, or left out where the new one has no name.
func replaced(name string, entry safetensors.Entry) []safetensors.Entry {
	entries := llamaTensors()
	i := slices.IndexFunc(entries, func(e safetensors.Entry) bool { return e.Name == name })
	if entry.Name == "" {
		return slices.Delete(entries, i, i+1)
	}
	entries[i] = entry
	return entries
}

// files is a directory: names and contents.
type files map[string]string

// single is a servable model in one file.
func single(t testing.TB) files {
	return files{"config.json": llamaConfig, "model.safetensors": weights(t, llamaTensors())}
}

const (
	firstShard  = "model-00001-of-00002.safetensors"
	secondShard = "model-00002-of-00002.safetensors"
)

// sharded is the same model in two shards; the first holds five tensors.
func sharded(t testing.TB) files {
	entries := llamaTensors()
	var index []string
	for i, e := range entries {
		shard := firstShard
		if i >= 5 {
			shard = secondShard
		}
		index = append(index, `"`+e.Name+`":"`+shard+`"`)
	}
	return files{
		"config.json":                  llamaConfig,
		firstShard:                     weights(t, entries[:5]),
		secondShard:                    weights(t, entries[5:]),
		"model.safetensors.index.json": `{"metadata":{"total_size":1},"weight_map":{` + strings.Join(index, ",") + `}}`,
	}
}

// with returns a copy with more files, or other contents.
func (f files) with(more files) files {
	f = maps.Clone(f)
	maps.Copy(f, more)
	return f
}

// without returns a copy with fewer files.
func (f files) without(names ...string) files {
	f = maps.Clone(f)
	for _, name := range names {
		delete(f, name)
	}
	return f
}

// edit returns a copy with a text exchanged in one file.
func (f files) edit(t testing.TB, name, old, new string) files {
	t.Helper()
	if !strings.Contains(f[name], old) {
		t.Fatalf("%s does not hold %q", name, old)
	}
	return f.with(files{name: strings.Replace(f[name], old, new, 1)})
}

// write puts the files into a fresh directory.
func (f files) write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range f {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// open opens a directory that must open.
func open(t testing.TB, dir string) *Base {
	t.Helper()
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// wantFault fails unless err holds a fault of this code whose text has every part.
func wantFault(t testing.TB, err error, code fault.Code, parts ...string) {
	t.Helper()
	for _, e := range fault.All(err) {
		if e.Code != code {
			continue
		}
		if e.Remedy == "" {
			t.Errorf("no remedy: %v", e)
		}
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(e.Error(), part) }) {
			return
		}
	}
	t.Errorf("got %v, want %s with %q", err, code, parts)
}

// readAll is the bytes of a tensor by way of Reader.
func readAll(t testing.TB, b *Base, x Tensor) []byte {
	t.Helper()
	p := make([]byte, x.Length)
	if _, err := b.Reader(x).ReadAt(p, x.Offset); err != nil {
		t.Fatal(err)
	}
	again, err := b.Read(x)
	if err != nil || !bytes.Equal(again, p) {
		t.Fatalf("Read differs from Reader: %v", err)
	}
	return p
}
