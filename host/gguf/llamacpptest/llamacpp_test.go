//go:build linux && amd64

package llamacpptest

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/gguf"
)

// TestBase asks whether llama.cpp, as it is called here, computes what PyTorch does.
func TestBase(t *testing.T) {
	wantGolden(t, readGolden(t, "golden_base.json"), filepath.Join(storiesDir(t), "base.gguf"), "", 0)
}

// TestMergedFile merges to GGUF: llama.cpp continues texts as PyTorch does with the merged weights, and the weights are to the bit those of a merge into
// the Hugging Face directory.
func TestMergedFile(t *testing.T) {
	dir := storiesDir(t)
	for _, test := range []struct {
		golden string
		scale  float64
	}{{"golden_adapter_scale1.json", 1}, {"golden_adapter_scale05.json", 0.5}} {
		t.Run(test.golden, func(t *testing.T) {
			merged := mergeFile(t, filepath.Join(dir, "adapter.gguf"), filepath.Join(dir, "base.gguf"), test.scale, "keep")
			wantGolden(t, readGolden(t, test.golden), merged, "", 0)
		})
	}
	merged, err := gguf.Open(mergeFile(t, filepath.Join(dir, "adapter.gguf"), filepath.Join(dir, "base.gguf"), 1, "keep"))
	if err != nil {
		t.Fatal(err)
	}
	defer merged.Close()
	want := mergedCheckpoint(t, filepath.Join(dir, "adapter"))
	if len(want) != 35 {
		t.Errorf("%d merged tensors, want 35", len(want))
	}
	for name, bits := range want {
		x, ok := merged.Tensor(name)
		if !ok {
			t.Errorf("%s is gone", name)
			continue
		}
		if got, err := merged.Read(x); err != nil || !bytes.Equal(got, bits) {
			t.Errorf("%s has other bits than the directory's, %v", name, err)
		}
	}
}

// TestConvertedAdapter converts the PEFT adapter: llama.cpp, which applies it beside the base, continues texts as PyTorch does with the merged weights.
func TestConvertedAdapter(t *testing.T) {
	dir := storiesDir(t)
	lora := convertAdapter(t, filepath.Join(dir, "adapter"))
	wantGolden(t, readGolden(t, "golden_adapter_scale1.json"), filepath.Join(dir, "base.gguf"), lora, 1)
	wantGolden(t, readGolden(t, "golden_adapter_scale05.json"), filepath.Join(dir, "base.gguf"), lora, 0.5)
}

// TestConvertedScales converts adapters whose scales llama.cpp does not know of, and holds them against the weights that Tenon merges.
func TestConvertedScales(t *testing.T) {
	dir := storiesDir(t)
	g := readGolden(t, "golden_base.json")
	for _, test := range []struct{ name, old, new string }{
		{"rank-stabilised", `"use_rslora": false`, `"use_rslora": true`},
		{"alpha of a pattern", `"use_dora": false`, `"use_dora": false, "alpha_pattern": {"q_proj": 2.5, "layers.[13].mlp.up_proj": 13}`},
		{"both", `"use_rslora": false`, `"use_rslora": true, "alpha_pattern": {"down_proj": 3}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			peft := adapterWith(t, test.old, test.new)
			merged := mergedCheckpoint(t, peft)
			model := rewrite(t, filepath.Join(dir, "base.gguf"), func(x gguf.Tensor, data []byte) (gguf.Type, []byte) {
				if bits, ok := merged[x.Name]; ok {
					return gguf.F32, bits
				}
				return x.Type, data
			}, everything)
			want := ask(t, request{Model: model, Prompts: g.prompts, Tokens: 100})
			got := ask(t, request{Model: filepath.Join(dir, "base.gguf"), Adapter: convertAdapter(t, peft), Scale: 1, Prompts: g.prompts, Tokens: 100})
			if !reflect.DeepEqual(got.IDs, want.IDs) {
				t.Errorf("the converted adapter continues with\n%v; the merged weights with\n%v", got.IDs, want.IDs)
			}
			plain := ask(t, request{Model: filepath.Join(dir, "base.gguf"), Adapter: filepath.Join(dir, "adapter.gguf"), Scale: 1, Prompts: g.prompts, Tokens: 100})
			if reflect.DeepEqual(plain.IDs, want.IDs) {
				t.Error("the scales make no difference: the test cannot fail")
			}
			for i := range want.Logits {
				if off := furthest(got.Logits[i], want.Logits[i]); !(off < 1e-3) {
					t.Errorf("prompt %d: a logit is off by %g", i, off)
				}
			}
		})
	}
}

// TestStoredTypes merges into other types: llama.cpp loads them, and its logits are those of F32 within what the type rounds away.
func TestStoredTypes(t *testing.T) {
	dir := storiesDir(t)
	g := readGolden(t, "golden_base.json")
	// Rows of ffn_down have 172 entries, which are no whole blocks of Q8_0.
	lora := rewrite(t, filepath.Join(dir, "adapter.gguf"), func(x gguf.Tensor, data []byte) (gguf.Type, []byte) { return x.Type, data },
		func(name string) bool { return !strings.Contains(name, "ffn_down") })
	want := ask(t, request{Model: mergeFile(t, lora, filepath.Join(dir, "base.gguf"), 1, "keep"), Prompts: g.prompts, Tokens: 1})
	for _, test := range []struct {
		dtype string
		most  float64
	}{{"f32", 0}, {"f16", 0.05}, {"bf16", 0.5}, {"q8_0", 1}} {
		t.Run(test.dtype, func(t *testing.T) {
			got := ask(t, request{Model: mergeFile(t, lora, filepath.Join(dir, "base.gguf"), 1, test.dtype), Prompts: g.prompts, Tokens: 1})
			for i := range want.Logits {
				off := furthest(got.Logits[i], want.Logits[i])
				if !(off <= test.most) || off == 0 && test.most > 0 {
					t.Errorf("prompt %d: a logit is off by %g", i, off)
				}
				t.Logf("prompt %d: the furthest logit is off by %.3g", i, off)
			}
		})
	}
}

// TestQuantizedBase quantises the base, merges into that with and without another type, and has llama.cpp apply the same adapter to the same quantised base.
func TestQuantizedBase(t *testing.T) {
	dir := storiesDir(t)
	g := readGolden(t, "golden_base.json")
	model := rewrite(t, filepath.Join(dir, "base.gguf"), func(x gguf.Tensor, data []byte) (gguf.Type, []byte) {
		if !strings.Contains(x.Name, ".attn_v.") && !strings.Contains(x.Name, ".ffn_gate.") {
			return x.Type, data
		}
		values := make([]float32, x.Elements())
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		out := make([]byte, x.Elements()/32*34)
		if err := gguf.QuantizeQ8_0(out, values); err != nil {
			t.Fatal(err)
		}
		return gguf.Q8_0, out
	}, everything)
	lora := filepath.Join(dir, "adapter.gguf")
	want := ask(t, request{Model: model, Adapter: lora, Scale: 1, Prompts: g.prompts, Tokens: 1})
	for dtype, most := range map[string]float64{"keep": 1, "f32": 0.5} {
		got := ask(t, request{Model: mergeFile(t, lora, model, 1, dtype), Prompts: g.prompts, Tokens: 1})
		for i := range want.Logits {
			if off := furthest(got.Logits[i], want.Logits[i]); !(off < most) {
				t.Errorf("%s: prompt %d: a logit is off by %g", dtype, i, off)
			} else {
				t.Logf("%s: prompt %d: the furthest logit is off by %.3g", dtype, i, off)
			}
		}
	}
}

// TestChild asks whether a file that llama.cpp refuses fails the test that asks.
func TestChild(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no.gguf")
	if err := os.WriteFile(path, []byte("GGUF\x03\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := answered(t, request{Model: path, Prompts: [][]int32{{1}}, Tokens: 1}); err == nil || !strings.Contains(err.Error(), "did not load") {
		t.Errorf("got %v", err)
	}
}
