package merge_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/merge"
)

// The small GGUF model: tensors of every type that is read, some of them merged, and the adapter's rank.
const ggufWidth, ggufRank = 256, 3

var ggufModel = []gguf.Tensor{
	{Name: "token_embd.weight", Type: gguf.Q6_K, Shape: []int{5, ggufWidth}}, {Name: "output.weight", Type: gguf.Q8_0, Shape: []int{5, ggufWidth}},
	{Name: "blk.0.attn_norm.weight", Type: gguf.F32, Shape: []int{ggufWidth}}, {Name: "blk.0.attn_q.weight", Type: gguf.Q4_K, Shape: []int{8, ggufWidth}},
	{Name: "blk.0.attn_k.weight", Type: gguf.Q8_0, Shape: []int{700, ggufWidth}}, {Name: "blk.0.attn_v.weight", Type: gguf.F16, Shape: []int{8, ggufWidth}},
	{Name: "blk.0.attn_output.weight", Type: gguf.BF16, Shape: []int{8, ggufWidth}}, {Name: "blk.0.ffn_up.weight", Type: gguf.F32, Shape: []int{3, ggufWidth}},
	{Name: "blk.0.ffn_down.weight", Type: gguf.Q4_0, Shape: []int{4, 32}},
}

var (
	ggufKept      = []string{"blk.0.attn_k.weight", "blk.0.attn_v.weight", "blk.0.attn_output.weight", "blk.0.ffn_up.weight"} // that keep their types
	ggufQuantized = []string{"token_embd.weight", "blk.0.attn_q.weight", "blk.0.ffn_down.weight"}                             // that cannot
)

// smallGGUF writes the model and an adapter of the named tensors, with factors of the given size. The padding between
// the tensors is zero and the file ends with the last tensor.
func smallGGUF(t *testing.T, names []string, size float64) (model, lora string) {
	t.Helper()
	dir, r := t.TempDir(), rand.New(rand.NewPCG(9, 10))
	model, lora = filepath.Join(dir, "base.gguf"), filepath.Join(dir, "adapter.gguf")
	tensors := ggufModel
	pairs := []gguf.Pair{gguf.TextPair("general.architecture", "llama"), gguf.TextPair("general.type", "model"),
		gguf.TextsPair("tokenizer.ggml.tokens", []string{"a", "\xff", ""}), gguf.UintPair("llama.embedding_length", ggufWidth)}
	writeGGUF(t, model, pairs, tensors, func(x gguf.Tensor) []byte { return randomBlocks(r, x) })
	pairs = []gguf.Pair{gguf.TextPair("general.architecture", "llama"), gguf.TextPair("general.type", "adapter"), gguf.TextPair("adapter.type", "lora"),
		gguf.FloatPair("adapter.lora.alpha", 2*ggufRank)}
	var factors []gguf.Tensor
	for _, x := range tensors {
		if !slices.Contains(names, x.Name) {
			continue
		}
		rows, cols := x.Shape[0], x.Shape[1]
		a, b := []int{ggufRank, cols}, []int{rows, ggufRank}
		if x.Name == "token_embd.weight" { // its A is stored as rows x rank, of the rows of the table
			a, b = []int{rows, ggufRank}, []int{cols, ggufRank}
		}
		factors = append(factors, gguf.Tensor{Name: x.Name + ".lora_a", Type: gguf.F32, Shape: a}, gguf.Tensor{Name: x.Name + ".lora_b", Type: gguf.F32, Shape: b})
	}
	writeGGUF(t, lora, pairs, factors, func(x gguf.Tensor) []byte {
		var out []byte
		for range x.Elements() {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(size*r.NormFloat64())))
		}
		return out
	})
	return model, lora
}

// randomBlocks are blocks whose values are of the size of weights.
func randomBlocks(r *rand.Rand, x gguf.Tensor) []byte {
	out := make([]byte, x.Length)
	if x.Type.Writable() {
		values := make([]float32, x.Elements())
		for i := range values {
			values[i] = float32(0.05 * r.NormFloat64())
		}
		if err := gguf.EncodeRow(out, values, x.Type); err != nil {
			panic(err)
		}
		return out
	}
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	_, size := x.Type.Block()
	scales := map[gguf.Type][]int{gguf.Q4_0: {0}, gguf.Q4_K: {0, 2}, gguf.Q6_K: {208}}[x.Type]
	for at := 0; at < len(out); at += size {
		for _, scale := range scales {
			exponent := uint16(0x1000) // about 5e-4
			if x.Type == gguf.Q6_K {   // which has scales of 8 bits besides
				exponent = 0x0400
			}
			binary.LittleEndian.PutUint16(out[at+scale:], exponent|uint16(r.UintN(256)))
		}
	}
	return out
}

func writeGGUF(t testing.TB, path string, pairs []gguf.Pair, tensors []gguf.Tensor, data func(gguf.Tensor) []byte) {
	t.Helper()
	var out bytes.Buffer
	w, err := gguf.NewWriter(&out, pairs, tensors, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range w.Tensors() {
		if _, err := w.Write(data(x)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, path, out.Bytes())
}

// planGGUF opens both and plans the merge.
func planGGUF(t *testing.T, model, lora string) *merge.Plan {
	t.Helper()
	b, err := base.Open(model)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	a, err := adapter.Open(lora)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	binding, err := a.Bind(b)
	if err != nil {
		t.Fatal(err)
	}
	p, err := merge.NewPlan(binding, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var overridden = merge.ReceiptGate{Override: "a test"}

// ggufValues decodes a tensor of a file.
func ggufValues(t *testing.T, f *gguf.File, name string) []float32 {
	t.Helper()
	x, ok := f.Tensor(name)
	if !ok {
		t.Fatalf("%s is gone", name)
	}
	raw, err := f.Read(x)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, x.Elements())
	if err := gguf.Dequantize(out, raw, x.Type); err != nil {
		t.Fatal(err)
	}
	return out
}

func openGGUF(t *testing.T, path string) *gguf.File {
	t.Helper()
	f, err := gguf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// mergedByRule is the merge rule as it is written, on decoded values: one entry at a time, at the scale 1 (alpha/rank is 2, and the user's 0.5).
func mergedByRule(t *testing.T, model, lora *gguf.File, name string) []float32 {
	t.Helper()
	w, a, b := ggufValues(t, model, name), ggufValues(t, lora, name+".lora_a"), ggufValues(t, lora, name+".lora_b")
	x, _ := model.Tensor(name)
	cols := x.Shape[1]
	for i := range w {
		row, col := i/cols, i%cols
		sum := float32(0)
		for k := range ggufRank {
			left, right := b[row*ggufRank+k], a[min(k*cols+col, len(a)-1)]
			if name == "token_embd.weight" {
				left, right = b[col*ggufRank+k], a[row*ggufRank+k]
			}
			exact := float64(left) * float64(right) // exact
			sum = addOnce(exact, float64(sum))
		}
		w[i] += sum
	}
	return w
}

// addOnce is x + y, rounded once to f32, for x of up to 48 bits: a fused multiply-add.
func addOnce(x, y float64) float32 {
	sum := x + y
	rest := y - (sum - x) // exact where |x| >= |y|; the other way round the sum below is
	if math.Abs(x) < math.Abs(y) {
		rest = x - (sum - y)
	}
	if rest != 0 { // round the f64 to odd, so that the second rounding is the only one
		bits := math.Float64bits(sum)
		if bits&1 == 0 {
			if (rest > 0) == (sum > 0) {
				bits++
			} else {
				bits--
			}
			sum = math.Float64frombits(bits | 1)
		}
	}
	return float32(sum)
}
