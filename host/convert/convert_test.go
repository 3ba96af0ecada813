package convert

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// toGGUF converts and writes, and returns the plan and the path.
func toGGUF(t *testing.T, b *adapter.Binding, o Options) (*Plan, string) {
	t.Helper()
	plan, err := ToGGUF(b, o)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out.gguf")
	if err := plan.Write(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(out); err != nil || info.Size() != plan.Bytes {
		t.Fatalf("%v, %v; the plan has %d bytes", info, err, plan.Bytes)
	}
	return plan, out
}

// toPEFT is toGGUF's inverse.
func toPEFT(t *testing.T, ref string, b *base.Base, o Options) (*Plan, string) {
	t.Helper()
	a, err := adapter.Open(ref)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	plan, err := ToPEFT(a, b, o)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := plan.Write(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	return plan, out
}

var (
	llamaModules = []string{
		"model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj", "model.layers.1.self_attn.v_proj", "model.layers.1.mlp.down_proj",
	}
	gpt2Modules = []string{"transformer.h.0.attn.c_attn", "transformer.h.0.attn.c_proj", "transformer.h.1.mlp.c_fc", "transformer.h.1.mlp.c_proj"}
)

// TestRoundTrip converts from PEFT to GGUF and back, and holds the changes of all weights against each other.
func TestRoundTrip(t *testing.T) {
	l, q := llama("llama"), llama("qwen2")
	for _, c := range []struct {
		name   string
		family family
		peft   peft
		alpha  float64
		folded int
		within float64 // relative to the largest entry of a change
	}{
		{"llama", l, peft{tensors: l.pairs(2, tensor.F32, llamaModules...)}, 4, 0, 0},
		{"mistral", llama("mistral"), peft{tensors: l.pairs(2, tensor.BF16, llamaModules...)}, 4, 0, 0},
		{"qwen2", q, peft{tensors: q.pairs(2, tensor.F16, llamaModules...)}, 4, 0, 0},
		{"qwen3", llama("qwen3"), peft{tensors: q.pairs(2, tensor.F16, llamaModules...)}, 4, 0, 0},
		{"gpt2", gpt2(), peft{map[string]any{"fan_in_fan_out": true, "target_modules": []string{"c_attn", "c_proj", "c_fc"}},
			gpt2().pairs(2, tensor.F32, gpt2Modules...)}, 4, 0, 0},
		{"the head", l, peft{map[string]any{"target_modules": []string{"lm_head"}}, l.pairs(2, tensor.F32, "lm_head")}, 4, 0, 0},
		{"rslora of a square rank", l, peft{map[string]any{"r": 4, "use_rslora": true}, l.pairs(4, tensor.BF16, llamaModules...)}, 8, 0, 0},
		{"rslora", l, peft{map[string]any{"use_rslora": true}, l.pairs(2, tensor.BF16, llamaModules...)}, 2, 4, 2e-7},
		{"ranks with one alpha", l, peft{map[string]any{"rank_pattern": map[string]int{"q_proj": 4}},
			merged(l.pairs(4, tensor.F32, llamaModules[0]), l.pairs(2, tensor.F32, llamaModules[1:]...))}, 4, 0, 0},
		{"an alpha that is a power of two away", l, peft{map[string]any{"alpha_pattern": map[string]float64{"q_proj": 16}},
			l.pairs(2, tensor.F16, llamaModules...)}, 4, 1, 0},
		{"an alpha of its own", l, peft{map[string]any{"alpha_pattern": map[string]float64{"q_proj": 3}},
			l.pairs(2, tensor.F16, llamaModules...)}, 4, 1, 0}, // f16 times 3/4 is exact in f32
		{"ranks with rslora", l, peft{map[string]any{"use_rslora": true, "rank_pattern": map[string]int{"q_proj": 3}},
			merged(l.pairs(3, tensor.F32, llamaModules[0]), l.pairs(2, tensor.F32, llamaModules[1:]...))}, 2, 4, 2e-7},
		{"alpha zero", l, peft{map[string]any{"lora_alpha": 0}, l.pairs(2, tensor.F32, llamaModules...)}, 2, 4, 0},
		{"alpha that f32 does not hold", l, peft{map[string]any{"lora_alpha": 0.1}, l.pairs(2, tensor.F32, llamaModules...)}, 2, 4, 2e-7},
		{"an embedding", l, peft{map[string]any{"target_modules": []string{"embed_tokens"}}, map[string]matrix{
			"model.embed_tokens.lora_embedding_A": f32(2, 20), "model.embed_tokens.lora_embedding_B": f32(16, 2),
		}}, 4, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.family.open(t)
			source := c.peft.bind(t, b)
			plan, path := toGGUF(t, source, Options{})
			folded := 0
			for _, w := range plan.Weights {
				if w.Folded != 1 {
					folded++
				}
			}
			if plan.Alpha != c.alpha || folded != c.folded {
				t.Errorf("alpha %v and %d folded, want %v and %d", plan.Alpha, folded, c.alpha, c.folded)
			}
			_, back := toPEFT(t, path, b, Options{})
			same(t, bound(t, back, b), source, c.within)
			if folded == 0 {
				old, err := os.ReadFile(filepath.Join(source.Adapter.Dir, adapter.WeightsName))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(filepath.Join(back, adapter.WeightsName)); err != nil || !bytes.Equal(got, old) {
					t.Errorf("the weights are not the same bytes: %v", err)
				}
			}
		})
	}
}

// TestFold: the factor B of a rank-stabilised adapter is multiplied with 1/sqrt(rank) and rounded once, and A keeps its bits.
func TestFold(t *testing.T) {
	f := llama("qwen2")
	source := peft{map[string]any{"use_rslora": true}, f.pairs(2, tensor.BF16, "model.layers.0.mlp.up_proj")}.bind(t, f.open(t))
	plan, path := toGGUF(t, source, Options{})
	w := plan.Weights[0]
	if w.Folded != 4/math.Sqrt(2) || w.A != tensor.BF16 || w.B != tensor.F32 || w.Rounded == 0 || w.RoundedBy > 0x1p-24 {
		t.Errorf("%+v", w)
	}
	a, err := adapter.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	pair, old := a.Pairs[0], source.Targets[0]
	if pair.Scale != 1 || !bytes.Equal(a.Weights.Bytes(pair.A), source.File(old.A).Bytes(old.A)) {
		t.Errorf("scale %v, or A has other bits", pair.Scale)
	}
	got, before := make([]float32, pair.B.Elements()), make([]float32, pair.B.Elements())
	if err := tensor.ToF32(got, a.Weights.Bytes(pair.B), pair.B.DType); err != nil {
		t.Fatal(err)
	}
	if err := tensor.ToF32(before, source.File(old.B).Bytes(old.B), old.B.DType); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if want := float32(float64(before[i]) * w.Folded); got[i] != want {
			t.Fatalf("entry %d of B is %v, want %v", i, got[i], want)
		}
	}
}

func TestTypes(t *testing.T) {
	f := llama("llama")
	b := f.open(t)
	source := peft{tensors: f.pairs(2, tensor.F32, llamaModules...)}.bind(t, b)
	for _, c := range []struct {
		dtype   tensor.DType
		rounded bool
		within  float64
	}{{tensor.Invalid, false, 0}, {tensor.F32, false, 0}, {tensor.F16, true, 0x1p-9}, {tensor.BF16, true, 0x1p-6}} {
		t.Run(c.dtype.String(), func(t *testing.T) {
			plan, path := toGGUF(t, source, Options{DType: c.dtype})
			for _, w := range plan.Weights {
				if (w.Rounded > 0) != c.rounded || w.RoundedBy > c.within || c.dtype != tensor.Invalid && w.B != c.dtype {
					t.Errorf("%+v", w)
				}
			}
			_, back := toPEFT(t, path, b, Options{})
			same(t, bound(t, back, b), source, c.within)
		})
	}
}

// TestTooLargeForF16 multiplies entries of a few units with 2^20.
func TestTooLargeForF16(t *testing.T) {
	f := llama("llama")
	b := f.open(t)
	source := peft{map[string]any{"alpha_pattern": map[string]float64{"q_proj": 1 << 22}}, f.pairs(2, tensor.F16, llamaModules...)}.bind(t, b)
	_, err := ToGGUF(source, Options{DType: tensor.F16})
	refused(t, err, fault.ADOverflowOnMerge)
	plan, path := toGGUF(t, source, Options{})
	for _, w := range plan.Weights {
		if (w.B == tensor.F32) != (w.Folded != 1) {
			t.Errorf("%+v", w)
		}
	}
	_, back := toPEFT(t, path, b, Options{})
	same(t, bound(t, back, b), source, 0)
}

func TestSameBytes(t *testing.T) {
	f := llama("llama")
	b := f.open(t)
	source := peft{map[string]any{"use_rslora": true, "base_model_name_or_path": "org/model"}, f.pairs(2, tensor.F16, llamaModules...)}.bind(t, b)
	read := func(path string) []byte {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	_, first := toGGUF(t, source, Options{})
	_, second := toGGUF(t, source, Options{})
	if !bytes.Equal(read(first), read(second)) {
		t.Error("two conversions to GGUF differ")
	}
	_, one := toPEFT(t, first, b, Options{})
	_, two := toPEFT(t, first, b, Options{})
	for _, name := range []string{adapter.ConfigName, adapter.WeightsName} {
		if !bytes.Equal(read(filepath.Join(one, name)), read(filepath.Join(two, name))) {
			t.Errorf("two conversions to PEFT differ in %s", name)
		}
	}
	if text := string(read(filepath.Join(one, adapter.ConfigName))); !strings.Contains(text, `"base_model_name_or_path": "org/model"`) {
		t.Errorf("the name of the base is lost: %s", text)
	}
}

func TestNothingIsWrittenOver(t *testing.T) {
	f := llama("llama")
	plan, err := ToGGUF(peft{tensors: f.pairs(2, tensor.F16, llamaModules...)}.bind(t, f.open(t)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		out  string
		ctx  func() context.Context
		want fault.Code
	}{
		{"a file", filepath.Join(dir, "file"), t.Context, fault.MergeExists},
		{"a directory", filepath.Join(dir, "directory"), t.Context, fault.MergeExists},
		{"a link to nowhere", filepath.Join(dir, "link"), t.Context, fault.MergeExists},
		{"no parent", filepath.Join(dir, "no", "where"), t.Context, fault.IOWrite},
	} {
		t.Run(c.name, func(t *testing.T) {
			_ = os.WriteFile(filepath.Join(dir, "file"), []byte("kept"), 0o600)
			_ = os.Mkdir(filepath.Join(dir, "directory"), 0o700)
			_ = os.Symlink("nowhere", filepath.Join(dir, "link"))
			refused(t, plan.Write(c.ctx(), c.out), c.want)
			if text, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(text) != "kept" {
				t.Errorf("the file holds %q, %v", text, err)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		out := filepath.Join(t.TempDir(), "out")
		if err := plan.Write(ctx, out); fault.All(err)[0].Code != fault.Canceled {
			t.Errorf("%v", err)
		}
		if entries, err := os.ReadDir(filepath.Dir(out)); err != nil || len(entries) != 0 {
			t.Errorf("left behind: %v, %v", entries, err)
		}
	})
}
