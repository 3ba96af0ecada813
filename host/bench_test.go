package host

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// BenchmarkCheckFactors8B checks, with the policy factors and a warm cache, an adapter of rank 16 on all seven linear layers of a base with
// the shape of Llama 3 8B: 224 weights, 42 million parameters.
func BenchmarkCheckFactors8B(b *testing.B) {
	dir := b.TempDir()
	baseDir, adapterDir, cache := filepath.Join(dir, "base"), filepath.Join(dir, "adapter"), filepath.Join(dir, "cache")
	writeSparse8B(b, baseDir)
	parameters := write8BAdapter(b, adapterDir, 16)
	time.Sleep(3 * time.Second) // a file that was just written is not remembered
	policy, _ := gate.Builtin("factors")
	h, err := New(Options{CacheDir: cache, Policy: policy})
	if err != nil {
		b.Fatal(err)
	}
	var modules []report.Module
	run := func() {
		opened, err := base.OpenCached(baseDir, cache)
		if err != nil {
			b.Fatal(err)
		}
		defer opened.Close()
		checked, err := h.Check(b.Context(), opened, adapterDir, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer checked.Close()
		if checked.Report.Verdict == report.Inconclusive {
			b.Fatalf("the check came to nothing: %+v", checked.Report.Modules)
		}
		modules = checked.Report.Modules
	}
	run() // hashes the base, compiles the modules
	b.ReportMetric(float64(parameters), "parameters")
	for b.Loop() {
		run()
	}
	for _, m := range modules {
		b.ReportMetric(m.Usage.WallMs, m.ID+"-ms")
	}
}

// shape8B lists the linear layers of a layer of Llama 3 8B as out x in.
var shape8B = []struct {
	name    string
	out, in int
}{
	{"self_attn.q_proj", 4096, 4096}, {"self_attn.k_proj", 1024, 4096}, {"self_attn.v_proj", 1024, 4096}, {"self_attn.o_proj", 4096, 4096},
	{"mlp.gate_proj", 14336, 4096}, {"mlp.up_proj", 14336, 4096}, {"mlp.down_proj", 4096, 14336},
}

const layers8B = 32

// writeSparse8B writes a base of the right shapes whose weights are a hole in the file: nothing here reads them but the digest.
func writeSparse8B(b *testing.B, dir string) {
	b.Helper()
	var entries []safetensors.Entry
	for layer := range layers8B {
		for _, s := range shape8B {
			entries = append(entries, safetensors.Entry{Name: fmt.Sprintf("model.layers.%d.%s.weight", layer, s.name), DType: tensor.BF16, Shape: []int{s.out, s.in}})
		}
	}
	header, _, size, err := safetensors.Layout(entries, nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(dir, "model.safetensors")
	write(b, path, header)
	if err := os.Truncate(path, size); err != nil {
		b.Fatal(err)
	}
	write(b, filepath.Join(dir, "config.json"), []byte(`{"architectures":["LlamaForCausalLM"],"model_type":"llama"}`))
}

// write8BAdapter writes factors of noise in F32 and gives their number.
func write8BAdapter(b *testing.B, dir string, rank int) (parameters int) {
	b.Helper()
	var entries []safetensors.Entry
	for layer := range layers8B {
		for _, s := range shape8B {
			prefix := fmt.Sprintf("base_model.model.model.layers.%d.%s.lora_", layer, s.name)
			entries = append(entries, safetensors.Entry{Name: prefix + "A.weight", DType: tensor.F32, Shape: []int{rank, s.in}},
				safetensors.Entry{Name: prefix + "B.weight", DType: tensor.F32, Shape: []int{s.out, rank}})
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	file, err := os.Create(filepath.Join(dir, "adapter_model.safetensors"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	buffered := bufio.NewWriterSize(file, 1<<20)
	w, err := safetensors.NewWriter(buffered, entries, nil)
	if err != nil {
		b.Fatal(err)
	}
	state := uint64(1)
	for _, ref := range w.Refs() {
		raw := bytes.Buffer{}
		for range ref.Elements() {
			state = state*6364136223846793005 + 1442695040888963407
			var word [4]byte
			binary.LittleEndian.PutUint32(word[:], math.Float32bits(float32(int32(state>>32))/(1<<31)/64))
			raw.Write(word[:])
		}
		parameters += ref.Elements()
		if _, err := w.Write(raw.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	if err := buffered.Flush(); err != nil {
		b.Fatal(err)
	}
	write(b, filepath.Join(dir, "adapter_config.json"), fmt.Appendf(nil, `{"peft_type":"LORA","r":%d,"lora_alpha":32,"target_modules":`+
		`["q_proj","k_proj","v_proj","o_proj","gate_proj","up_proj","down_proj"],"base_model_name_or_path":null}`, rank))
	return parameters
}

func write(b *testing.B, path string, text []byte) {
	b.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		b.Fatal(err)
	}
}
