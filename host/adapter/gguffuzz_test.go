package adapter

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// FuzzGGUFAdapter reads and binds whatever is not refused: every tensor must be accounted for, and every factor must have the bytes of its shape.
func FuzzGGUFAdapter(f *testing.F) {
	seed := func(tensors []ggufTensor, changes ...gguf.Pair) {
		var laid []gguf.Tensor
		for _, s := range tensors {
			laid = append(laid, gguf.Tensor{Name: s.name, Type: s.kind, Shape: s.shape})
		}
		var out bytes.Buffer
		w, err := gguf.NewWriter(&out, adapterPairs(changes...), laid, 0)
		if err != nil {
			f.Fatal(err)
		}
		for _, s := range w.Tensors() {
			if _, err := w.Write(make([]byte, s.Length)); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(out.Bytes())
	}
	seed(twoPairs())
	seed(append(twoPairs(), ggufTensor{"blk.0.attn_norm.weight", gguf.F32, []int{4}, nil}))
	seed([]ggufTensor{{"token_embd.weight.lora_a", gguf.Q8_0, []int{10, 32}, nil}, {"token_embd.weight.lora_b", gguf.BF16, []int{4, 32}, nil}})
	seed([]ggufTensor{{"x.lora_a", gguf.F32, []int{4}, nil}, {"x.lora_b", gguf.Q4_K, []int{2, 256}, nil}}, gguf.FloatPair(keyAlpha, 0))
	seed(twoPairs()[:1], gguf.Pair{Key: keyAlpha})
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "adapter.gguf")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		a, err := readGGUF(path, path, file)
		if err != nil {
			if len(fault.All(err)) == 0 {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		defer a.Weights.Close()
		for _, p := range a.Pairs {
			if p.A.Shape[0] != p.Rank || p.B.Shape[1] != p.Rank {
				t.Errorf("%+v", p)
			}
			for _, factor := range []safetensors.Tensor{p.A, p.B} {
				if len(a.Weights.Bytes(factor)) != factor.Elements()*factor.DType.Bits()/8 {
					t.Errorf("%s lacks bytes", factor.Name)
				}
			}
		}
		binding, err := a.Unbound()
		if len(binding.Coverage.Tensors) != len(a.Tensors) {
			t.Errorf("%d of %d tensors are accounted for", len(binding.Coverage.Tensors), len(a.Tensors))
		}
		if err == nil && (binding.Coverage.Rejected > 0 || len(binding.Targets) != len(a.Pairs)) {
			t.Errorf("accepted with coverage %+v", binding.Coverage)
		}
	})
}
