package merge_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// form is a tensor of the base, and what an adapter of every form makes of it. Shapes are of the adapter's tensors; nil where there is none.
type form struct {
	stored
	blocks, rank, in, out int
	fan                   bool
	dense, start          []int
	rows                  []int64
	magnitude             int
	ofInputs              bool
}

var forms = []form{
	{stored: stored{"plain.weight", tensor.BF16, []int{8, 12}}, rank: 2, in: 12, out: 8},
	{stored: stored{"conv.weight", tensor.BF16, []int{6, 4, 3, 3}}, rank: 2, in: 36, out: 6},
	{stored: stored{"vector.bias", tensor.F32, []int{8}}, rank: 1, in: 1, out: 8},
	{stored: stored{"experts.weight", tensor.BF16, []int{3, 8, 12}}, blocks: 3, rank: 2, in: 12, out: 8},
	{stored: stored{"experts.transposed", tensor.F16, []int{3, 12, 8}}, blocks: 3, rank: 2, in: 12, out: 8, fan: true},
	{stored: stored{"dense.weight", tensor.BF16, []int{8, 12}}, dense: []int{8, 12}},
	{stored: stored{"dense.conv", tensor.F32, []int{6, 4, 3, 3}}, dense: []int{6, 36}},
	{stored: stored{"norm.weight", tensor.BF16, []int{300}}, dense: []int{300}},
	{stored: stored{"saved.weight", tensor.BF16, []int{8, 12}}, start: []int{8, 12}},
	{stored: stored{"tokens.weight", tensor.BF16, []int{10, 8}}, start: []int{4, 8}, rows: []int64{7, 2, 3, 9}},
	{stored: stored{"copied.weight", tensor.F16, []int{8, 12}}, rank: 2, in: 12, out: 8, start: []int{8, 12}},
	{stored: stored{"dora.weight", tensor.BF16, []int{8, 12}}, rank: 2, in: 12, out: 8, magnitude: 8},
	{stored: stored{"dora.transposed", tensor.F16, []int{12, 8}}, rank: 2, in: 12, out: 8, fan: true, magnitude: 8},
	{stored: stored{"dora.conv", tensor.F32, []int{6, 4, 3, 3}}, rank: 2, in: 36, out: 6, magnitude: 6},
	{stored: stored{"dora.inputs", tensor.F32, []int{6, 4, 3, 3}}, rank: 2, in: 36, out: 6, magnitude: 4, ofInputs: true},
	{stored: stored{"dora.dense", tensor.BF16, []int{8, 12}}, dense: []int{8, 12}, magnitude: 8},
	{stored: stored{"dora.tokens", tensor.BF16, []int{10, 8}}, rank: 2, in: 8, out: 10, start: []int{2, 8}, rows: []int64{4, 0}, magnitude: 10},
}

// added are parameters that the base does not have.
var added = []stored{{"score.weight", tensor.F32, []int{3, 8}}, {"score.bias", tensor.BF16, []int{3}}}

// formScale is the scale of every change.
const formScale = 0.75

// formed is a base and an adapter of all forms.
type formed struct {
	binding *adapter.Binding
	data    map[string][]float64 // of every tensor of the adapter, by name
}

// newFormed is a base and an adapter of some forms for it.
func newFormed(t testing.TB, shards int, wanted []form, added []stored) formed {
	t.Helper()
	return newAdapterOf(t, newFormedBase(t, shards, wanted), 1, wanted, added)
}

// newFormedBase puts a base on disk, in as many shards.
func newFormedBase(t testing.TB, shards int, wanted []form) *base.Base {
	t.Helper()
	dir, random := filepath.Join(t.TempDir(), "base"), rand.New(rand.NewPCG(3, 4))
	var weightMap []string
	for i := range shards {
		name := "model.safetensors"
		if shards > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, shards)
		}
		tensors := []stored{{fmt.Sprintf("untouched.%d", i), tensor.F32, []int{5}}}
		for j, f := range wanted {
			if j%shards == i {
				tensors = append(tensors, f.stored)
			}
		}
		for _, x := range tensors {
			weightMap = append(weightMap, fmt.Sprintf("%q: %q", x.name, name))
		}
		putTB(t, filepath.Join(dir, name), container(tensors, `, "__metadata__": {"format": "pt"}`, random))
	}
	if shards > 1 {
		putTB(t, filepath.Join(dir, "model.safetensors.index.json"),
			[]byte(`{"metadata": {"total_size": 1, "total_parameters": 2, "made_by": "x"}, "weight_map": {`+strings.Join(weightMap, ", ")+`}}`))
	}
	putTB(t, filepath.Join(dir, "config.json"), []byte(`{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_size":8,"intermediate_size":12,`+
		`"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":1,"vocab_size":10,"max_position_embeddings":32,"rms_norm_eps":1e-5,`+
		`"rope_theta":500000,"tie_word_embeddings":false,"torch_dtype":"bfloat16","bos_token_id":1,"eos_token_id":2,"hidden_act":"silu"}`))
	b, err := base.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// newAdapterOf makes an adapter of some forms. The seed decides its values and its name.
func newAdapterOf(t testing.TB, b *base.Base, seed byte, wanted []form, added []stored) formed {
	t.Helper()
	made := formed{data: map[string][]float64{}}
	made.binding = &adapter.Binding{Base: b, Adapter: &adapter.Adapter{Ref: fmt.Sprintf("forms-%d", seed), Digest: [32]byte{seed}}}
	maker := &formMaker{t: t, formed: made, random: rand.New(rand.NewPCG(5, uint64(seed)))}
	for i, f := range wanted {
		// In turn in the adapter's own file and in what was derived from it, and in turn of several dtypes.
		maker.describe(f, i%2, []tensor.DType{tensor.F32, tensor.BF16, tensor.F16}[i%3])
	}
	for _, x := range added {
		maker.want(0, safetensors.Entry{Name: x.name, DType: x.dtype, Shape: x.shape}, 1)
	}
	return maker.finish(wanted, added)
}

func putTB(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// formMaker makes the two files of an adapter.
type formMaker struct {
	formed
	t       testing.TB
	random  *rand.Rand
	entries [2][]safetensors.Entry
	bytes   [2][]byte
}

// want gives a file one more tensor of random values around 0, or of positive ones.
func (m *formMaker) want(file int, e safetensors.Entry, size float64) {
	n := 1
	for _, d := range e.Shape {
		n *= d
	}
	for range n {
		v := float32(m.random.NormFloat64() * size)
		if strings.HasSuffix(e.Name, ".magnitude") {
			v = 1 + float32(m.random.Float64())
		}
		switch e.DType {
		case tensor.F32:
			m.bytes[file] = binary.LittleEndian.AppendUint32(m.bytes[file], math.Float32bits(v))
		case tensor.F16:
			v = tensor.F16ToF32(tensor.F32ToF16(v))
			m.bytes[file] = binary.LittleEndian.AppendUint16(m.bytes[file], tensor.F32ToF16(v))
		default:
			v = tensor.BF16ToF32(tensor.F32ToBF16(v))
			m.bytes[file] = binary.LittleEndian.AppendUint16(m.bytes[file], tensor.F32ToBF16(v))
		}
		m.data[e.Name] = append(m.data[e.Name], float64(v))
	}
	m.entries[file] = append(m.entries[file], e)
}

func (m *formMaker) describe(f form, file int, dtype tensor.DType) {
	entry := func(part string, size float64, shape ...int) {
		m.want(file, safetensors.Entry{Name: f.name + "." + part, DType: dtype, Shape: shape}, size)
	}
	if f.rank > 0 {
		entry("a", .5, max(1, f.blocks)*f.rank, f.in)
		entry("b", .5, max(1, f.blocks)*f.out, f.rank)
	}
	if f.dense != nil {
		entry("dense", .5, f.dense...)
	}
	if f.start != nil {
		entry("start", .25, f.start...)
	}
	if f.magnitude > 0 {
		entry("magnitude", 1, f.magnitude)
	}
}

// finish makes the files and the targets.
func (m *formMaker) finish(wanted []form, added []stored) formed {
	var files [2]*safetensors.File
	for i := range files {
		file, err := safetensors.Derive("the adapter", m.entries[i], nil, func(w io.Writer) error {
			_, err := w.Write(m.bytes[i])
			return err
		})
		if err != nil {
			m.t.Fatal(err)
		}
		files[i] = file
	}
	m.binding.Adapter.Weights, m.binding.Derived = files[0], files[1]
	m.t.Cleanup(func() { m.binding.Close() })
	find := func(name string) (found safetensors.Tensor) {
		for i, f := range files {
			if t, ok := f.Tensor(name); ok {
				found = t
				found.File = i
			}
		}
		return found
	}
	for _, f := range wanted {
		weight, _ := m.binding.Base.Tensor(f.name)
		t := adapter.Target{Name: f.name, Base: weight, Blocks: max(1, f.blocks), In: f.in, Out: f.out, FanInFanOut: f.fan, StartRows: f.rows, MagnitudeOfInputs: f.ofInputs}
		t.A, t.B, t.Rank = find(f.name+".a"), find(f.name+".b"), f.rank
		if f.rank > 0 || f.dense != nil {
			t.Pair.Scale = formScale
		}
		t.Dense, t.Start, t.Magnitude = find(f.name+".dense"), find(f.name+".start"), find(f.name+".magnitude")
		m.binding.Targets = append(m.binding.Targets, t)
	}
	for _, x := range added {
		m.binding.Targets = append(m.binding.Targets, adapter.Target{Name: x.name, Start: find(x.name)})
	}
	return m.formed
}
