package merge_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// combined is testdata/combine.json, which testdata/generators/combine.py makes with NumPy in f64.
type combined struct {
	Shapes   map[string][2]int `json:"shapes"`
	Adapters []combinedAdapter `json:"adapters"`
	Cases    []struct {
		Method   merge.Method         `json:"method"`
		Density  float64              `json:"density"`
		Majority merge.Majority       `json:"majority"`
		Seed     uint64               `json:"seed"`
		Rank     int                  `json:"rank"`
		Delta    map[string][]float64 `json:"delta"`
	} `json:"cases"`
}

type combinedAdapter struct {
	Rank    int     `json:"rank"`
	Alpha   float64 `json:"alpha"`
	Weight  float64 `json:"weight"`
	Factors map[string]struct {
		A []float32 `json:"a"`
		B []float32 `json:"b"`
	} `json:"factors"`
}

// values is a tensor of a test, in f32.
type values struct {
	name  string
	shape []int
	data  []float32
}

// valuesFile writes them as a safetensors file.
func valuesFile(t *testing.T, tensors []values) []byte {
	t.Helper()
	var entries []safetensors.Entry
	for _, x := range tensors {
		entries = append(entries, safetensors.Entry{Name: x.name, DType: tensor.F32, Shape: x.shape})
	}
	text, _, _, err := safetensors.Layout(entries, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range tensors {
		for _, v := range x.data {
			text = binary.LittleEndian.AppendUint32(text, math.Float32bits(v))
		}
	}
	return text
}

// zeros puts a checkpoint on disk whose weights are all zero, so that a merged one is the change.
func zeros(t *testing.T, shapes map[string][2]int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "base")
	tensors := []values{{"model.embed_tokens.weight", []int{10, 8}, make([]float32, 80)}, {"model.norm.weight", []int{8}, make([]float32, 8)}}
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		shape := shapes[name]
		tensors = append(tensors, values{name + ".weight", shape[:], make([]float32, shape[0]*shape[1])})
	}
	put(t, filepath.Join(dir, "model.safetensors"), valuesFile(t, tensors))
	put(t, filepath.Join(dir, "config.json"), []byte(`{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":8,"intermediate_size":12,`+
		`"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"vocab_size":10,"max_position_embeddings":32,"rms_norm_eps":1e-5,`+
		`"rope_theta":500000,"tie_word_embeddings":false,"torch_dtype":"float32","bos_token_id":1,"eos_token_id":2,"hidden_act":"silu"}`))
	return dir
}

// write puts an adapter on disk.
func (a combinedAdapter) write(t *testing.T, shapes map[string][2]int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "adapter")
	var tensors []values
	var leaves []string
	for _, name := range slices.Sorted(maps.Keys(a.Factors)) {
		shape, f := shapes[name], a.Factors[name]
		prefix := "base_model.model." + name
		tensors = append(tensors, values{prefix + ".lora_A.weight", []int{a.Rank, shape[1]}, f.A}, values{prefix + ".lora_B.weight", []int{shape[0], a.Rank}, f.B})
		leaves = append(leaves, fmt.Sprintf("%q", name))
	}
	put(t, filepath.Join(dir, "adapter_model.safetensors"), valuesFile(t, tensors))
	put(t, filepath.Join(dir, "adapter_config.json"), fmt.Appendf(nil,
		`{"peft_type":"LORA","r":%d,"lora_alpha":%v,"target_modules":[%s],"bias":"none","task_type":"CAUSAL_LM"}`, a.Rank, a.Alpha, strings.Join(leaves, ",")))
	return dir
}

func readCombined(t *testing.T) combined {
	t.Helper()
	text, err := os.ReadFile("testdata/combine.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden combined
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	return golden
}

// portions binds the adapters of the golden file to a base of zeros.
func (g combined) portions(t *testing.T) []merge.Portion {
	t.Helper()
	b, err := base.Open(zeros(t, g.Shapes))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	var portions []merge.Portion
	for _, a := range g.Adapters {
		binding, err := adapter.Load(a.write(t, g.Shapes), b)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { binding.Close() })
		portions = append(portions, merge.Portion{Binding: binding, Scale: a.Weight})
	}
	return portions
}

func floatsOf(text []byte) []float32 {
	values := make([]float32, len(text)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(text[4*i:]))
	}
	return values
}
