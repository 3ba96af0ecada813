package adapter

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// ggufTensor is one tensor of a test's GGUF file, row-major. Without values its bytes are zeros.
type ggufTensor struct {
	name   string
	kind   gguf.Type
	shape  []int
	values []float32
}

// count is how many values 1, 2, 3, … a matrix needs.
func count(n int) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(i + 1)
	}
	return values
}

// adapterPairs are the keys of an acceptable adapter, with some replaced, or left out where the value is the zero Pair.
func adapterPairs(changes ...gguf.Pair) []gguf.Pair {
	pairs := []gguf.Pair{
		gguf.TextPair(keyArchitecture, "llama"), gguf.TextPair(keyType, "adapter"), gguf.TextPair(keyAdapterType, "lora"), gguf.FloatPair(keyAlpha, 8),
	}
	for _, c := range changes {
		i := slices.IndexFunc(pairs, func(p gguf.Pair) bool { return p.Key == c.Key })
		switch {
		case i < 0:
			pairs = append(pairs, c)
		case c.Raw == nil:
			pairs = slices.Delete(pairs, i, i+1)
		default:
			pairs[i] = c
		}
	}
	return pairs
}

// twoPairs are the tensors of an acceptable adapter: rank 2 on a 6 x 4 and a 4 x 4 matrix.
func twoPairs() []ggufTensor {
	return []ggufTensor{
		{"blk.0.attn_q.weight.lora_a", gguf.F32, []int{2, 4}, count(8)},
		{"blk.0.attn_q.weight.lora_b", gguf.F32, []int{4, 2}, count(8)},
		{"blk.0.ffn_up.weight.lora_a", gguf.F16, []int{2, 4}, count(8)},
		{"blk.0.ffn_up.weight.lora_b", gguf.BF16, []int{6, 2}, count(12)},
	}
}

// llamaBase are the tensors that twoPairs changes, and the embedding and head.
func llamaBase() []ggufTensor {
	return []ggufTensor{
		{"token_embd.weight", gguf.F32, []int{10, 4}, nil}, {"output.weight", gguf.F32, []int{10, 4}, nil},
		{"blk.0.attn_q.weight", gguf.F16, []int{4, 4}, nil}, {"blk.0.ffn_up.weight", gguf.F32, []int{6, 4}, nil},
		{"blk.0.attn_norm.weight", gguf.F32, []int{4}, nil},
	}
}

// writeGGUF makes a file and returns its path.
func writeGGUF(t *testing.T, name string, pairs []gguf.Pair, tensors []ggufTensor) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var laid []gguf.Tensor
	for _, s := range tensors {
		laid = append(laid, gguf.Tensor{Name: s.name, Type: s.kind, Shape: s.shape})
	}
	w, err := gguf.NewWriter(f, pairs, laid, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range w.Tensors() {
		data := make([]byte, s.Length)
		if tensors[i].values != nil {
			if err := gguf.EncodeRow(data, tensors[i].values, s.Type); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func openGGUFBase(t *testing.T, architecture string, tensors []ggufTensor) *base.Base {
	t.Helper()
	b, err := base.Open(writeGGUF(t, "base.gguf", []gguf.Pair{gguf.TextPair(keyArchitecture, architecture)}, tensors))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// floatsOf are the values of a tensor of an adapter.
func floatsOf(t *testing.T, a *Adapter, name string) []float32 {
	t.Helper()
	stored, ok := a.Weights.Tensor(name)
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	values := make([]float32, stored.Elements())
	if err := tensor.ToF32(values, a.Weights.Bytes(stored), stored.DType); err != nil {
		t.Fatal(err)
	}
	return values
}
