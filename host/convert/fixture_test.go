package convert

import (
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// matrix is one tensor of a test's file, of random values.
type matrix struct {
	dtype tensor.DType
	shape []int
}

func f32(shape ...int) matrix { return matrix{tensor.F32, shape} }

// writeTensors makes a safetensors file whose values are the same each time.
func writeTensors(t *testing.T, path string, tensors map[string]matrix) {
	t.Helper()
	random := rand.New(rand.NewPCG(7, 7))
	var entries []safetensors.Entry
	var data []byte
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		m := tensors[name]
		entries = append(entries, safetensors.Entry{Name: name, DType: m.dtype, Shape: m.shape})
		n, width := 1, m.dtype.Bits()/8
		for _, d := range m.shape {
			n *= d
		}
		values := make([]byte, n*width)
		for i := range n {
			put(values[i*width:], random.NormFloat64(), m.dtype)
		}
		data = append(data, values...)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := safetensors.NewWriter(f, entries, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func writeJSON(t *testing.T, path string, value any) {
	t.Helper()
	text, err := json.Marshal(value, json.Deterministic(true))
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// family is a base of two layers: its configuration and its tensors.
type family struct {
	config  map[string]any
	tensors map[string]matrix
}

// llama has 4 heads and 2 key-value heads of 4 entries.
func llama(modelType string) family {
	f := family{config: map[string]any{
		"model_type": modelType, "hidden_size": 16, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4,
		"num_key_value_heads": 2, "head_dim": 4, "vocab_size": 20, "max_position_embeddings": 32, "tie_word_embeddings": false,
	}, tensors: map[string]matrix{
		"model.embed_tokens.weight": f32(20, 16), "model.norm.weight": f32(16), "lm_head.weight": f32(20, 16),
	}}
	for _, layer := range []string{"model.layers.0.", "model.layers.1."} {
		for name, shape := range map[string][]int{
			"self_attn.q_proj": {16, 16}, "self_attn.k_proj": {8, 16}, "self_attn.v_proj": {8, 16}, "self_attn.o_proj": {16, 16},
			"mlp.gate_proj": {12, 16}, "mlp.up_proj": {12, 16}, "mlp.down_proj": {16, 12},
			"input_layernorm": {16}, "post_attention_layernorm": {16},
		} {
			f.tensors[layer+name+".weight"] = f32(shape...)
		}
	}
	return f
}

func gpt2() family {
	f := family{config: map[string]any{
		"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 32, "vocab_size": 20,
	}, tensors: map[string]matrix{
		"transformer.wte.weight": f32(20, 16), "transformer.wpe.weight": f32(32, 16), "transformer.ln_f.weight": f32(16),
	}}
	for _, layer := range []string{"transformer.h.0.", "transformer.h.1."} {
		for name, shape := range map[string][]int{
			"attn.c_attn": {16, 48}, "attn.c_proj": {16, 16}, "mlp.c_fc": {16, 64}, "mlp.c_proj": {64, 16}, "ln_1": {16}, "ln_2": {16},
		} {
			f.tensors[layer+name+".weight"] = f32(shape...)
		}
	}
	return f
}

func (f family) open(t *testing.T) *base.Base {
	t.Helper()
	dir := t.TempDir()
	writeJSON(t, filepath.Join(dir, "config.json"), f.config)
	writeTensors(t, filepath.Join(dir, "model.safetensors"), f.tensors)
	b, err := base.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// peft is an adapter: what its configuration says besides the defaults, and its tensors without the prefix.
type peft struct {
	config  map[string]any
	tensors map[string]matrix
}

// pairs are the factors of modules, of a rank and a type.
func (f family) pairs(rank int, dtype tensor.DType, modules ...string) map[string]matrix {
	tensors := map[string]matrix{}
	for _, module := range modules {
		shape := f.tensors[module+".weight"].shape
		in, out := shape[1], shape[0]
		if f.config["model_type"] == "gpt2" {
			in, out = out, in
		}
		tensors[module+".lora_A.weight"] = matrix{dtype, []int{rank, in}}
		tensors[module+".lora_B.weight"] = matrix{dtype, []int{out, rank}}
	}
	return tensors
}

func merged(all ...map[string]matrix) map[string]matrix {
	union := map[string]matrix{}
	for _, m := range all {
		maps.Copy(union, m)
	}
	return union
}

func (p peft) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	config := map[string]any{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": "all-linear"}
	maps.Copy(config, p.config)
	writeJSON(t, filepath.Join(dir, "adapter_config.json"), config)
	tensors := map[string]matrix{}
	for name, m := range p.tensors {
		tensors[keyPrefix+name] = m
	}
	writeTensors(t, filepath.Join(dir, "adapter_model.safetensors"), tensors)
	return dir
}

func (p peft) bind(t *testing.T, b *base.Base) *adapter.Binding {
	t.Helper()
	return bound(t, p.write(t), b)
}

func bound(t *testing.T, ref string, b *base.Base) *adapter.Binding {
	t.Helper()
	binding, err := adapter.Load(ref, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { binding.Close() })
	return binding
}

// change is the change of a target, Scale·B·A, out x in, in float64.
func change(t *testing.T, b *adapter.Binding, target *adapter.Target) []float64 {
	t.Helper()
	values := func(m safetensors.Tensor) []float64 {
		all := make([]float64, m.Elements())
		if err := tensor.ToF64(all, b.File(m).Bytes(m), m.DType); err != nil {
			t.Fatal(err)
		}
		return all
	}
	left, right := values(target.B), values(target.A)
	product := make([]float64, target.Out*target.In)
	for o := range target.Out {
		for i := range target.In {
			for r := range target.Rank {
				product[o*target.In+i] += target.Scale * left[o*target.Rank+r] * right[r*target.In+i]
			}
		}
	}
	return product
}

// same holds every change of one binding against that of another, within a relative distance; 0 wants the same values.
func same(t *testing.T, got, want *adapter.Binding, within float64) {
	t.Helper()
	if len(got.Targets) != len(want.Targets) {
		t.Fatalf("%d targets, want %d", len(got.Targets), len(want.Targets))
	}
	for i := range want.Targets {
		g, w := &got.Targets[i], &want.Targets[i]
		if g.Name != w.Name || g.FanInFanOut != w.FanInFanOut {
			t.Fatalf("target %s, want %s", g.Name, w.Name)
		}
		a, b := change(t, got, g), change(t, want, w)
		norm := 0.0
		for _, v := range b {
			norm = max(norm, math.Abs(v))
		}
		for j := range b {
			if math.Abs(a[j]-b[j]) > within*norm || math.IsNaN(a[j]) {
				t.Fatalf("%s entry %d: %v, want %v", w.Name, j, a[j], b[j])
			}
		}
	}
}

func refused(t *testing.T, err error, want ...fault.Code) {
	t.Helper()
	var got []fault.Code
	for _, e := range fault.All(err) {
		got = append(got, e.Code)
		if e.Remedy == "" {
			t.Errorf("no remedy: %v", e)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("%v: %v; want %v", got, err, want)
	}
}

// shared is a path of the models beside the repository.
func shared(t *testing.T, path string) string {
	t.Helper()
	path = filepath.Join("..", "..", "..", "shared", filepath.FromSlash(path))
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.Skipf("%s is not here", path)
	}
	return path
}
