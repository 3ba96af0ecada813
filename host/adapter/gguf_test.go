package adapter

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func TestGGUFAdapter(t *testing.T) {
	path := writeGGUF(t, "whatever.gguf", adapterPairs(gguf.TextPair(keyBaseURL, "https://huggingface.co/org/model")), twoPairs())
	a := opened(t, path)
	if a.Format != FormatGGUF || a.Architecture() != "llama" || a.Config.BaseModel != "org/model" || len(a.Notes) != 0 {
		t.Errorf("format %s, architecture %s, base %q, notes %v", a.Format, a.Architecture(), a.Config.BaseModel, a.Notes)
	}
	if !slices.Equal(a.Ranks(), []int{2}) || !slices.Equal(a.Scales(), []float64{4}) || a.Parameters() != 8+8+8+12 {
		t.Errorf("ranks %v, scales %v, %d parameters", a.Ranks(), a.Scales(), a.Parameters())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(fmt.Appendf(nil, "%x  adapter.gguf\n", sha256.Sum256(text))); a.Digest != want {
		t.Errorf("digest %x, want %x", a.Digest, want)
	}
	if len(a.Files) != 1 || a.Files[0].Name != "adapter.gguf" || a.Files[0].Size != int64(len(text)) {
		t.Errorf("files %+v", a.Files)
	}
	for _, name := range []string{"blk.0.ffn_up.weight.lora_a", "blk.0.ffn_up.weight.lora_b"} {
		if got := floatsOf(t, a, name); !slices.Equal(got, count(len(got))) {
			t.Errorf("%s holds %v", name, got)
		}
	}
	binding, err := a.Bind(openGGUFBase(t, "llama", llamaBase()))
	if err != nil {
		t.Fatal(err)
	}
	if len(binding.Targets) != 2 || binding.Coverage.Applied != 4 {
		t.Fatalf("%d targets, coverage %+v", len(binding.Targets), binding.Coverage)
	}
	up := binding.Targets[1]
	if up.Name != "blk.0.ffn_up.weight" || up.In != 4 || up.Out != 6 || up.Rank != 2 || up.Scale != 4 || up.FanInFanOut || !up.Plain() {
		t.Errorf("target %+v", up)
	}
}

// TestGGUFTokenEmbedding: llama.cpp stores this one lora_a as entries x rank, and the target has it as rank x entries.
func TestGGUFTokenEmbedding(t *testing.T) {
	a := opened(t, writeGGUF(t, "a.gguf", adapterPairs(), []ggufTensor{
		{"token_embd.weight.lora_a", gguf.F16, []int{10, 2}, count(20)}, {"token_embd.weight.lora_b", gguf.F32, []int{4, 2}, count(8)},
	}))
	want := make([]float32, 20)
	for i := range 10 {
		for j := range 2 {
			want[j*10+i] = float32(2*i + j + 1)
		}
	}
	if got := floatsOf(t, a, "token_embd.weight.lora_a"); !slices.Equal(got, want) {
		t.Errorf("lora_a holds %v", got)
	}
	binding, err := a.Bind(openGGUFBase(t, "llama", llamaBase()))
	if err != nil {
		t.Fatal(err)
	}
	if target := binding.Targets[0]; target.In != 10 || target.Out != 4 || target.Rank != 2 || !target.FanInFanOut || !target.Plain() {
		t.Errorf("target %+v", target)
	}
	_, err = a.Bind(openGGUFBase(t, "llama", llamaBase()[:1]))
	expect(t, err, fault.ADTied)
}

func TestGGUFQuantisedFactor(t *testing.T) {
	values := make([]float32, 64)
	for i := range values {
		values[i] = float32(i%8) - 4 // a multiple of the block's scale only nearly
	}
	data := make([]byte, 2*34)
	if err := gguf.QuantizeQ8_0(data, values); err != nil {
		t.Fatal(err)
	}
	want := make([]float32, 64)
	if err := gguf.Dequantize(want, data, gguf.Q8_0); err != nil {
		t.Fatal(err)
	}
	a := opened(t, writeGGUF(t, "a.gguf", adapterPairs(), []ggufTensor{
		{"blk.0.ffn_up.weight.lora_a", gguf.Q8_0, []int{2, 32}, values}, {"blk.0.ffn_up.weight.lora_b", gguf.F32, []int{4, 2}, nil},
	}))
	if got := floatsOf(t, a, "blk.0.ffn_up.weight.lora_a"); !slices.Equal(got, want) || a.Pairs[0].A.DType != tensor.F32 {
		t.Errorf("%v as %v, want %v", got, a.Pairs[0].A.DType, want)
	}
}

func TestGGUFScales(t *testing.T) {
	for _, c := range []struct {
		name  string
		alpha gguf.Pair
		scale float64
		notes []fault.Code
	}{
		{"alpha over rank", gguf.FloatPair(keyAlpha, 3), 1.5, nil},
		{"zero is one", gguf.FloatPair(keyAlpha, 0), 1, []fault.Code{fault.ADAlpha}},
		{"negative zero is one", gguf.FloatPair(keyAlpha, float32(math.Copysign(0, -1))), 1, []fault.Code{fault.ADAlpha}},
		{"absent is one", gguf.Pair{Key: keyAlpha}, 1, []fault.Code{fault.ADAlpha}},
		{"negative", gguf.FloatPair(keyAlpha, -2), -1, []fault.Code{fault.ADAlpha}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := opened(t, writeGGUF(t, "a.gguf", adapterPairs(c.alpha), twoPairs()))
			if !slices.Equal(a.Scales(), []float64{c.scale}) || !slices.Equal(codes(a.Notes), c.notes) {
				t.Errorf("scales %v, notes %v", a.Scales(), a.Notes)
			}
		})
	}
}

func TestGGUFModelIsNoAdapter(t *testing.T) {
	for _, pairs := range [][]gguf.Pair{adapterPairs(gguf.TextPair(keyType, "model")), {gguf.TextPair(keyArchitecture, "llama")}} {
		path := writeGGUF(t, "a.gguf", pairs, llamaBase())
		_, err := Open(path)
		expect(t, err, fault.ADConfig)
		mention(t, err.Error(), "a model, not an adapter", "--base")
		if _, err := Inspect(path); err == nil {
			t.Error("a model is inspected")
		}
	}
}

func TestGGUFRefused(t *testing.T) {
	change := func(i int, change func(*ggufTensor)) []ggufTensor {
		tensors := twoPairs()
		change(&tensors[i])
		return tensors
	}
	aLoRA := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint32(nil, uint32(gguf.Uint32)), 1)
	for _, c := range []struct {
		name     string
		pairs    []gguf.Pair
		tensors  []ggufTensor
		want     []fault.Code
		mentions string
	}{
		{"another type", []gguf.Pair{gguf.TextPair(keyType, "mmproj")}, twoPairs(), []fault.Code{fault.ADConfig}, `"mmproj"`},
		{"no type", []gguf.Pair{{Key: keyType}}, twoPairs(), []fault.Code{fault.ADConfig}, "missing"},
		{"another adapter", []gguf.Pair{gguf.TextPair(keyAdapterType, "control_vector")}, twoPairs(), []fault.Code{fault.ADPeftType}, "control_vector"},
		{"no architecture", []gguf.Pair{{Key: keyArchitecture}}, twoPairs(), []fault.Code{fault.ADConfig}, keyArchitecture},
		{"architecture of another type", []gguf.Pair{gguf.UintPair(keyArchitecture, 1)}, twoPairs(), []fault.Code{fault.ADConfig}, "type u32"},
		{"alpha of another type", []gguf.Pair{gguf.UintPair(keyAlpha, 8)}, twoPairs(), []fault.Code{fault.ADAlpha}, "finite f32"},
		{"alpha is not a number", []gguf.Pair{gguf.FloatPair(keyAlpha, float32(math.NaN()))}, twoPairs(), []fault.Code{fault.ADAlpha}, "finite f32"},
		{"aLoRA", []gguf.Pair{{Key: keyInvocation, Type: gguf.Array, Raw: append(aLoRA, 1, 0, 0, 0)}}, twoPairs(), []fault.Code{fault.ADUnsupported},
			"invocation tokens"},
		{"a without b", nil, twoPairs()[:3], []fault.Code{fault.ADPair}, "no .lora_b"},
		{"b without a", nil, twoPairs()[1:], []fault.Code{fault.ADPair}, "no .lora_a"},
		{"ranks differ", nil, change(1, func(s *ggufTensor) { s.shape, s.values = []int{4, 3}, nil }),
			[]fault.Code{fault.ADRankMismatch}, "rank 2 (2 x 4)"},
		{"a is transposed", nil, change(2, func(s *ggufTensor) { s.shape = []int{4, 2} }), []fault.Code{fault.ADRankMismatch}, "transposed"},
		{"a stacked embedding", nil, append(twoPairs(), ggufTensor{"token_embd.weight.lora_a", gguf.F32, []int{2, 5, 4}, nil},
			ggufTensor{"token_embd.weight.lora_b", gguf.F32, []int{4, 2}, nil}), []fault.Code{fault.ADUnsupported}, "experts"},
		{"stacked experts", nil, change(2, func(s *ggufTensor) { s.shape, s.values = []int{2, 2, 4}, nil }),
			[]fault.Code{fault.ADUnsupported}, "experts"},
		{"another suffix", nil, append(twoPairs(), ggufTensor{"blk.0.ffn_up.weight", gguf.F32, []int{4}, nil}),
			[]fault.Code{fault.ADKey}, ".lora_a or .lora_b"},
		{"a suffix twice", nil, append(twoPairs(), ggufTensor{"x.lora_a.lora_b", gguf.F32, []int{4, 2}, nil}), []fault.Code{fault.ADKey}, ""},
		{"no name before the suffix", nil, append(twoPairs(), ggufTensor{".lora_a", gguf.F32, []int{4, 2}, nil}), []fault.Code{fault.ADKey}, ""},
		{"Q4_0", nil, change(0, func(s *ggufTensor) { s.kind, s.shape, s.values = gguf.Q4_0, []int{2, 32}, nil }), []fault.Code{fault.ADDType}, "Q4_0"},
		{"whole numbers", nil, change(0, func(s *ggufTensor) { s.kind, s.values = 26, nil }), []fault.Code{fault.ADDType}, "I32"},
		{"no factors", nil, []ggufTensor{{"blk.0.attn_norm.weight", gguf.F32, []int{4}, nil}}, []fault.Code{fault.ADNoEffect}, "no LoRA factors"},
		{"no tensors", nil, nil, []fault.Code{fault.ADNoEffect}, "no LoRA factors"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := writeGGUF(t, "a.gguf", adapterPairs(c.pairs...), c.tensors)
			_, err := Open(path)
			expect(t, err, c.want...)
			mention(t, err.Error(), c.mentions)
			inspection, err := Inspect(path)
			if err != nil || len(inspection.Tensors) != len(c.tensors) || len(inspection.Problems) != len(c.want) {
				t.Errorf("inspection %+v, %v", inspection, err)
			}
		})
	}
}
