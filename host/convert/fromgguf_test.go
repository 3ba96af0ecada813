package convert

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/gguf"
)

// stored is one factor of a test's GGUF adapter.
type stored struct {
	name  string
	kind  gguf.Type
	shape []int
}

// writeAdapter makes a GGUF adapter of random values. An alpha of nil leaves the key out.
func writeAdapter(t *testing.T, architecture string, alpha *float32, tensors []stored) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "adapter.gguf")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pairs := []gguf.Pair{gguf.TextPair("general.architecture", architecture), gguf.TextPair("general.type", "adapter"), gguf.TextPair("adapter.type", "lora")}
	if alpha != nil {
		pairs = append(pairs, gguf.FloatPair("adapter.lora.alpha", *alpha))
	}
	var laid []gguf.Tensor
	for _, s := range tensors {
		laid = append(laid, gguf.Tensor{Name: s.name, Type: s.kind, Shape: s.shape})
	}
	w, err := gguf.NewWriter(f, pairs, laid, 0)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(5, 5))
	for _, s := range w.Tensors() {
		values, data := make([]float32, s.Elements()), make([]byte, s.Length)
		for i := range values {
			values[i] = float32(random.NormFloat64())
		}
		if err := gguf.EncodeRow(data, values, s.Type); err != nil {
			t.Fatal(err)
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

// TestFromGGUF converts adapters that llama.cpp would read: the PEFT directory gives each weight its own rank and the same scale, and the
// way back to GGUF the same changes. Without an alpha every scale is 1, which one alpha for two ranks cannot say: one rank is folded.
func TestFromGGUF(t *testing.T) {
	number := func(v float32) *float32 { return &v }
	for _, c := range []struct {
		name   string
		alpha  *float32
		kind   gguf.Type
		scales []float64 // of rank 2 and of rank 3
		within float64
	}{
		{"an alpha for two ranks", number(6), gguf.F16, []float64{3, 2}, 0},
		{"no alpha", nil, gguf.F32, []float64{1, 1}, 2e-7},
		{"alpha zero", number(0), gguf.BF16, []float64{1, 1}, 0},
		{"an alpha with a fraction", number(0.3), gguf.F32, []float64{float64(float32(0.3)) / 2, float64(float32(0.3)) / 3}, 0},
		{"a negative alpha", number(-1), gguf.F32, []float64{-0.5, -1. / 3}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := llama("llama").open(t)
			path := writeAdapter(t, "llama", c.alpha, []stored{
				{"blk.0.attn_q.weight.lora_a", c.kind, []int{2, 16}}, {"blk.0.attn_q.weight.lora_b", c.kind, []int{16, 2}},
				{"blk.1.attn_q.weight.lora_a", c.kind, []int{2, 16}}, {"blk.1.attn_q.weight.lora_b", c.kind, []int{16, 2}},
				{"blk.1.ffn_up.weight.lora_a", c.kind, []int{3, 16}}, {"blk.1.ffn_up.weight.lora_b", c.kind, []int{12, 3}},
				{"output.weight.lora_a", c.kind, []int{3, 16}}, {"output.weight.lora_b", c.kind, []int{20, 3}},
				{"blk.1.attn_norm.weight", gguf.F32, []int{16}},
			})
			plan, back := toPEFT(t, path, b, Options{})
			if !slices.Equal(plan.Dropped, []string{"blk.1.attn_norm.weight"}) {
				t.Errorf("dropped %v", plan.Dropped)
			}
			binding := bound(t, back, b)
			if scales := binding.Adapter.Scales(); !slices.Equal(scales, slices.Compact(slices.Sorted(slices.Values(c.scales)))) {
				t.Errorf("scales %v, want %v", scales, c.scales)
			}
			if ranks := binding.Adapter.Ranks(); !slices.Equal(ranks, []int{2, 3}) {
				t.Errorf("ranks %v", ranks)
			}
			_, again := toGGUF(t, binding, Options{})
			first, second := unbound(t, path), unbound(t, again)
			same(t, second, first, c.within)
		})
	}
}

// TestFromQuantisedGGUF: Q8_0 is widened to F32, which is exact, and can be narrowed when asked.
func TestFromQuantisedGGUF(t *testing.T) {
	f := llama("llama")
	for name, m := range f.tensors { // rows of whole blocks
		if len(m.shape) == 2 && m.shape[1] == 16 {
			f.tensors[name] = f32(m.shape[0], 32)
		}
	}
	f.config["hidden_size"] = 32
	b := f.open(t)
	alpha := float32(4)
	path := writeAdapter(t, "llama", &alpha, []stored{
		{"blk.0.ffn_up.weight.lora_a", gguf.Q8_0, []int{2, 32}}, {"blk.0.ffn_up.weight.lora_b", gguf.F32, []int{12, 2}},
	})
	_, back := toPEFT(t, path, b, Options{})
	_, again := toGGUF(t, bound(t, back, b), Options{})
	same(t, unbound(t, again), unbound(t, path), 0)
}

func unbound(t *testing.T, path string) *adapter.Binding {
	t.Helper()
	a, err := adapter.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	binding, err := a.Unbound()
	if err != nil {
		t.Fatal(err)
	}
	return binding
}
