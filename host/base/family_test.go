package base

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// families in testdata are models that transformers saved; golden.json has the configuration that transformers' own modules have.
const familiesDir = "../../testdata/families"

func readFamily(t *testing.T, name string) files {
	t.Helper()
	f := files{}
	for _, file := range []string{"config.json", "model.safetensors", "golden.json"} {
		content, err := os.ReadFile(filepath.Join(familiesDir, name, file))
		if err != nil {
			t.Fatal(err)
		}
		f[file] = string(content)
	}
	return f
}

// wantConfig is the golden configuration.
func wantConfig(t *testing.T, f files) *backendpb.ModelConfig {
	t.Helper()
	var golden struct {
		Config json.RawMessage `json:"config"`
	}
	if err := json.Unmarshal([]byte(f["golden.json"]), &golden); err != nil {
		t.Fatal(err)
	}
	want := &backendpb.ModelConfig{}
	if err := protojson.Unmarshal(golden.Config, want); err != nil {
		t.Fatal(err)
	}
	return want
}

func TestFamilies(t *testing.T) {
	entries, err := os.ReadDir(familiesDir)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, entry := range entries {
		t.Run(entry.Name(), func(t *testing.T) {
			f := readFamily(t, entry.Name())
			b := open(t, f.write(t))
			if err := b.Servable(); err != nil {
				t.Fatal(err)
			}
			want, got := wantConfig(t, f), b.ModelConfig()
			if !proto.Equal(got, want) {
				t.Errorf("the configuration is\n%v\ntransformers has\n%v", got, want)
			}
			seen[got.Architecture] = true
			for _, x := range b.Tensors { // every tensor counts
				if b.Config.isUnused(x.Name) {
					continue
				}
				less := open(t, f.with(files{"model.safetensors": weights(t, entriesOf(b, x.Name))}).write(t))
				wantFault(t, less.Servable(), fault.BSTensor, x.Name)
			}
		})
	}
	for name := range families {
		if !seen[name] {
			t.Errorf("no fixture is a %s", name)
		}
	}
}

// entriesOf are the tensors of b, of whatever bytes, without one.
func entriesOf(b *Base, without string) []safetensors.Entry {
	var entries []safetensors.Entry
	for _, x := range b.Tensors {
		if x.Name != without {
			entries = append(entries, safetensors.Entry{Name: x.Name, DType: x.DType, Shape: x.Shape})
		}
	}
	return entries
}

// TestFamilyConfigs changes a config.json and wants what transformers makes of it, or a refusal.
func TestFamilyConfigs(t *testing.T) {
	type change func(c *backendpb.ModelConfig)
	scaled := func(s *backendpb.RopeScaling) change { return func(c *backendpb.ModelConfig) { c.RopeScaling = s } }
	windowed := func(window int32, layers ...int32) change {
		return func(c *backendpb.ModelConfig) { c.SlidingWindow, c.SlidingLayers = window, layers }
	}
	same := func(*backendpb.ModelConfig) {}
	llama3 := func(original int32) change {
		return scaled(&backendpb.RopeScaling{Type: "llama3", Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositions: original})
	}
	const rope3 = `"rope_type":"llama3","factor":8,"low_freq_factor":1.0,"high_freq_factor":4`
	tests := []struct {
		family, set string // members that replace those of config.json; a value of "-" takes the member away
		want        change // nil: refused
		code        fault.Code
		parts       []string
	}{
		{"llama", `{"num_key_value_heads":"-"}`, nil, fault.BSTensor, []string{"k_proj", "must be [32 32]"}},
		{"llama", `{"hidden_act":"swish"}`, same, "", nil},
		{"llama", `{"hidden_act":"gelu"}`, nil, fault.BSArch, []string{"#/hidden_act", `"gelu"`}},
		{"llama", `{"max_position_embeddings":"-","rms_norm_eps":"-"}`,
			func(c *backendpb.ModelConfig) { c.MaxPositions, c.RmsNormEps = 2048, 1e-6 }, "", nil},
		{"llama", `{"attention_bias":false}`, nil, fault.BSTensor, []string{"o_proj.bias", "no such tensor"}},
		{"llama", `{"mlp_bias":"-"}`, nil, fault.BSTensor, []string{"up_proj.bias", "no such tensor"}},
		{"llama", `{"sliding_window":8}`, nil, fault.BSArch, []string{"#/sliding_window"}},
		{"llama", `{"sliding_window":null}`, same, "", nil},
		{"llama", `{"layer_types":["full_attention","full_attention"]}`, same, "", nil},
		{"llama", `{"layer_types":["full_attention"]}`, nil, fault.BSConfig, []string{"#/layer_types", "1 layers of 2"}},
		{"llama", `{"layer_types":["full_attention","chunked_attention"]}`, nil, fault.BSArch, []string{`"chunked_attention"`}},
		{"llama", `{"layer_types":["full_attention","sliding_attention"]}`, nil, fault.BSConfig, []string{"#/layer_types"}},
		{"llama", `{"rope_parameters":"-","rope_theta":7,"rope_scaling":{"type":"linear","factor":2}}`,
			func(c *backendpb.ModelConfig) {
				c.RopeTheta, c.RopeScaling = 7, &backendpb.RopeScaling{Type: "linear", Factor: 2}
			}, "", nil},
		{"llama", `{"rope_parameters":{"rope_type":"linear"}}`, nil, fault.BSConfig, []string{"#/rope_parameters/factor"}},
		{"llama", `{"rope_parameters":{"rope_type":"linear","factor":0}}`, nil, fault.BSConfig, []string{"#/rope_parameters/factor"}},
		{"llama", `{"rope_parameters":{"rope_type":"linear","factor":2},"rope_scaling":{"rope_type":"linear","factor":3}}`, nil, fault.BSConfig,
			[]string{"differ"}},
		{"llama", `{"rope_parameters":{` + rope3 + `,"original_max_position_embeddings":64}}`, llama3(64), "", nil},
		{"llama", `{"rope_parameters":{` + rope3 + `}}`, llama3(128), "", nil},
		{"llama", `{"rope_parameters":{` + rope3 + `},"original_max_position_embeddings":32}`, llama3(32), "", nil},
		{"llama", `{"rope_parameters":{` + rope3 + `,"original_max_position_embeddings":64},"original_max_position_embeddings":32}`, nil,
			fault.BSConfig, []string{"#/rope_parameters/original_max_position_embeddings"}},
		{"llama", `{"rope_parameters":{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4}}`, nil, fault.BSConfig,
			[]string{"#/rope_parameters/high_freq_factor", "not above"}},
		{"llama", `{"rope_scaling":{"type":"dynamic","factor":2}}`, nil, fault.BSArch, []string{"#/rope_scaling", `"dynamic"`}},
		{"llama", `{"rope_parameters":{"full_attention":{"rope_type":"default"}}}`, nil, fault.BSArch, []string{"from layer to layer"}},
		{"llama", `{"partial_rotary_factor":0.5}`, nil, fault.BSArch, []string{"#/partial_rotary_factor"}},

		{"mistral", `{"sliding_window":null}`, windowed(0), "", nil},
		{"mistral", `{"sliding_window":"-"}`, windowed(4096, 0, 1), "", nil},
		{"mistral", `{"sliding_window":0}`, nil, fault.BSConfig, []string{"#/sliding_window"}},
		{"mistral", `{"attention_bias":true,"mlp_bias":true}`, same, "", nil}, // no mistral has them, whatever config.json says
		{"mistral", `{"layer_types":["sliding_attention","sliding_attention"]}`, same, "", nil},
		{"mistral", `{"layer_types":["full_attention","sliding_attention"]}`, nil, fault.BSArch, []string{"#/layer_types"}},
		{"mistral", `{"max_position_embeddings":"-"}`, func(c *backendpb.ModelConfig) { c.MaxPositions = 131072 }, "", nil},
		{"mistral", `{"num_key_value_heads":"-","num_attention_heads":8}`, nil, fault.BSTensor, []string{"k_proj", "must be [64 32]"}},

		{"qwen2", `{"use_sliding_window":false,"layer_types":"-"}`, windowed(0), "", nil},
		{"qwen2", `{"use_sliding_window":false}`, nil, fault.BSConfig, []string{"#/layer_types"}},
		{"qwen2", `{"use_sliding_window":"-","layer_types":null}`, windowed(0), "", nil},
		{"qwen2", `{"sliding_window":null,"layer_types":"-"}`, windowed(0), "", nil},
		{"qwen2", `{"sliding_window":"-","layer_types":"-"}`, windowed(4096, 1, 2), "", nil},
		{"qwen2", `{"max_window_layers":2,"layer_types":"-"}`, windowed(11, 2), "", nil},
		{"qwen2", `{"max_window_layers":"-","layer_types":"-"}`, windowed(0), "", nil},
		{"qwen2", `{"layer_types":["sliding_attention","full_attention","full_attention"]}`, windowed(11, 0), "", nil},
		{"qwen2", `{"attention_bias":false}`, same, "", nil},
		{"qwen2", `{"num_key_value_heads":null}`, nil, fault.BSTensor, []string{"k_proj", "must be [32 32]"}},
		{"qwen2", `{"num_key_value_heads":"-"}`, nil, fault.BSConfig, []string{"4 heads", "32 key-value heads"}},
		{"qwen2", `{"max_position_embeddings":"-"}`, func(c *backendpb.ModelConfig) { c.MaxPositions = 32768 }, "", nil},

		{"qwen3", `{"head_dim":"-"}`, nil, fault.BSTensor, []string{"q_proj", "must be [512 32]"}},
		{"qwen3", `{"head_dim":null}`, nil, fault.BSConfig, []string{"#/head_dim"}},
		{"qwen3", `{"attention_bias":true}`, nil, fault.BSTensor, []string{"q_proj.bias", "lacks"}},
		{"qwen3", `{"tie_word_embeddings":"-"}`, nil, fault.BSTensor, []string{headName, "lacks"}},

		{"gpt2", `{"n_inner":"-","layer_norm_epsilon":1e-6}`, func(c *backendpb.ModelConfig) { c.RmsNormEps = 1e-6 }, "", nil},
		{"gpt2", `{"n_embd":"-","hidden_size":32}`, same, "", nil},
		{"gpt2", `{"n_embd":48,"hidden_size":32}`, same, "", nil},
		{"gpt2", `{"n_inner":64}`, nil, fault.BSTensor, []string{"mlp.c_fc.weight", "must be [32 64]"}},
		{"gpt2", `{"n_head":3}`, nil, fault.BSConfig, []string{"#/n_head", "do not divide"}},
		{"gpt2", `{"n_positions":"-"}`, nil, fault.BSTensor, []string{"transformer.wpe.weight", "must be [1024 32]"}},
		{"gpt2", `{"tie_word_embeddings":"-","activation_function":"-"}`, same, "", nil},
		{"gpt2", `{"tie_word_embeddings":null}`, nil, fault.BSConfig, []string{"#/tie_word_embeddings"}},
		{"gpt2", `{"tie_word_embeddings":false}`, nil, fault.BSTensor, []string{headName, "lacks"}},
		{"gpt2", `{"activation_function":"relu"}`, nil, fault.BSArch, []string{"#/activation_function", `"relu"`}},
		{"gpt2", `{"scale_attn_weights":false}`, nil, fault.BSArch, []string{"#/scale_attn_weights"}},
		{"gpt2", `{"scale_attn_by_inverse_layer_idx":true}`, nil, fault.BSArch, []string{"#/scale_attn_by_inverse_layer_idx"}},
		{"gpt2", `{"add_cross_attention":true}`, nil, fault.BSArch, []string{"#/add_cross_attention"}},
		{"gpt2", `{"reorder_and_upcast_attn":true}`, same, "", nil}, // the same in f32
		{"gpt2", `{"architectures":["GPT2Model"]}`, nil, fault.BSArch, []string{"GPT2LMHeadModel"}},
	}
	for _, test := range tests {
		t.Run(test.family+" "+test.set, func(t *testing.T) {
			f := readFamily(t, test.family)
			var members, changes map[string]json.RawMessage
			for text, into := range map[string]*map[string]json.RawMessage{f["config.json"]: &members, test.set: &changes} {
				if err := json.Unmarshal([]byte(text), into); err != nil {
					t.Fatal(err)
				}
			}
			for name, value := range changes {
				members[name] = value
				if string(value) == `"-"` {
					delete(members, name)
				}
			}
			text, err := json.Marshal(members)
			if err != nil {
				t.Fatal(err)
			}
			b := open(t, f.with(files{"config.json": string(text)}).write(t))
			if test.want == nil {
				wantFault(t, b.Servable(), test.code, test.parts...)
				return
			}
			if err := b.Servable(); err != nil {
				t.Fatal(err)
			}
			want := wantConfig(t, f)
			test.want(want)
			if got := b.ModelConfig(); !proto.Equal(got, want) {
				t.Errorf("the configuration is\n%v\nwant\n%v", got, want)
			}
		})
	}
}

// TestDefaultTokens leaves the special tokens out: a family's own count where the vocabulary has them.
func TestDefaultTokens(t *testing.T) {
	const large = `"vocab_size":60000`
	for _, test := range []struct {
		config string
		bos    int
		eos    []int
	}{
		{`{"model_type":"llama",` + large + `}`, 1, []int{2}},
		{`{"model_type":"mistral",` + large + `}`, 1, []int{2}},
		{`{"model_type":"qwen2",` + large + `}`, -1, nil},
		{`{"model_type":"qwen3",` + large + `}`, -1, nil},
		{`{"model_type":"gpt2",` + large + `}`, 50256, []int{50256}},
		{`{"model_type":"gpt2","vocab_size":100}`, -1, nil},
		{`{"model_type":"phi",` + large + `}`, -1, nil},
		{`{"model_type":"gpt2","bos_token_id":null,"eos_token_id":3,` + large + `}`, -1, []int{3}},
	} {
		c, err := parseConfig(&document{"config.json", "config.json", []byte(test.config)}, nil)
		if err != nil || c.BOS != test.bos || !slices.Equal(c.EOS, test.eos) {
			t.Errorf("%s: %d and %v, %v; want %d and %v", test.config, c.BOS, c.EOS, err, test.bos, test.eos)
		}
	}
}

// TestBuffersOfGPT2 asks that only the masks of the attention are passed over.
func TestBuffersOfGPT2(t *testing.T) {
	f := readFamily(t, "gpt2-bare")
	b := open(t, f.write(t))
	if _, ok := b.Tensor("h.0.attn.bias"); !ok {
		t.Fatal("the fixture has no masks")
	}
	for _, name := range []string{"h.0.mlp.bias", "h.0.attn.extra.bias", "transformer.h.0.ln_1.weight", "h.2.ln_1.weight"} {
		entries := append(entriesOf(b, ""), safetensors.Entry{Name: name, DType: tensor.F32, Shape: []int{32}})
		more := open(t, f.with(files{"model.safetensors": weights(t, entries)}).write(t))
		wantFault(t, more.Servable(), fault.BSTensor, name, "no such tensor")
	}
	tied := append(entriesOf(b, ""), safetensors.Entry{Name: headName, DType: tensor.F32, Shape: []int{96, 32}})
	err := open(t, f.with(files{"model.safetensors": weights(t, tied)}).write(t)).Servable()
	wantFault(t, err, fault.BSTensor, headName, "wte.weight")
	if strings.Contains(err.Error(), gpt2Prefix) {
		t.Errorf("the name has a prefix that this checkpoint has not: %v", err)
	}
}
