package convert

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/gguf"
)

// wantFile holds every tensor of a GGUF adapter, and the keys that an adapter needs, against another file's.
func wantFile(t *testing.T, got, want string) {
	t.Helper()
	open := func(path string) *gguf.File {
		f, err := gguf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	g, w := open(got), open(want)
	if len(g.Tensors) != len(w.Tensors) || len(w.Tensors) == 0 {
		t.Fatalf("%d tensors, want %d", len(g.Tensors), len(w.Tensors))
	}
	for _, expected := range w.Tensors {
		stored, ok := g.Tensor(expected.Name)
		if !ok || stored.Type != expected.Type || !slices.Equal(stored.Shape, expected.Shape) {
			t.Errorf("%s is %+v, want %+v", expected.Name, stored, expected)
			continue
		}
		a, err := g.Read(stored)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := w.Read(expected); err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s holds other bytes: %v", expected.Name, err)
		}
	}
	for _, key := range []string{"general.architecture", "general.type", "adapter.type", "adapter.lora.alpha"} {
		a, _ := g.Pair(key)
		if b, ok := w.Pair(key); !ok || a.Type != b.Type || !bytes.Equal(a.Raw, b.Raw) {
			t.Errorf("%s is %+v, want %+v", key, a, b)
		}
	}
}

// TestConverterOfLlamaCpp holds conversions against those of llama.cpp's convert_lora_to_gguf.py, which testdata/generators/gguf_adapters.py
// ran: the adapters are on all linear modules and on the token embedding, in BF16.
func TestConverterOfLlamaCpp(t *testing.T) {
	for _, family := range []string{"llama", "mistral", "qwen2", "qwen3"} {
		t.Run(family, func(t *testing.T) {
			dir := filepath.Join("testdata", family)
			wantConversion(t, filepath.Join(dir, "base"), filepath.Join(dir, "adapter"), filepath.Join(dir, "adapter.gguf"))
		})
	}
}

// TestSharedAdapter does the same for the adapter that llama.cpp gave the golden tokens with.
func TestSharedAdapter(t *testing.T) {
	dir := shared(t, "models/stories260K")
	wantConversion(t, filepath.Join(dir, "base"), filepath.Join(dir, "adapter"), filepath.Join(dir, "adapter.gguf"))
}

func wantConversion(t *testing.T, model, lora, want string) {
	t.Helper()
	b, err := base.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	source := bound(t, lora, b)
	_, path := toGGUF(t, source, Options{})
	wantFile(t, path, want)
	_, back := toPEFT(t, want, b, Options{})
	same(t, bound(t, back, b), source, 0)
}
