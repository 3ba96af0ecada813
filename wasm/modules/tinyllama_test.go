package modules

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// tinyLlama is the model with trained adapters that the reference values were computed on.
var tinyLlama = filepath.Join("..", "..", "..", "shared", "models", "tiny-llama")

// weights are the tensors of a safetensors file by name, read the shortest way: this package may not import host's reader.
type weights map[string]sandbox.Source

func readWeights(t *testing.T, path string) weights {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	var length [8]byte
	if _, err := file.ReadAt(length[:], 0); err != nil {
		t.Fatal(err)
	}
	size := int64(binary.LittleEndian.Uint64(length[:]))
	header := make([]byte, size)
	if _, err := file.ReadAt(header, 8); err != nil {
		t.Fatal(err)
	}
	var entries map[string]struct {
		DType   string  `json:"dtype"`
		Shape   []int   `json:"shape"`
		Offsets []int64 `json:"data_offsets"`
	}
	if err := json.Unmarshal(header, &entries); err != nil {
		t.Fatal(err)
	}
	w := weights{}
	for name, entry := range entries {
		if name == "__metadata__" {
			continue
		}
		dtype, ok := map[string]tensor.DType{"F32": tensor.F32, "F16": tensor.F16, "BF16": tensor.BF16}[entry.DType]
		if !ok {
			t.Fatalf("%s: %s has dtype %s", path, name, entry.DType)
		}
		w[name] = sandbox.Source{
			Ref: tensor.Ref{
				Name: name, DType: dtype, Shape: entry.Shape, Offset: 8 + size + entry.Offsets[0], Length: entry.Offsets[1] - entry.Offsets[0],
			},
			Reader: file,
		}
	}
	return w
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// readTargets gives the targets of one adapter, sorted by name.
func readTargets(t *testing.T, base weights, adapter string) []sandbox.Target {
	t.Helper()
	folder := filepath.Join(tinyLlama, "adapters", adapter)
	var config struct {
		Alpha float64 `json:"lora_alpha"`
		Rank  int     `json:"r"`
	}
	readJSON(t, filepath.Join(folder, "adapter_config.json"), &config)
	factors := readWeights(t, filepath.Join(folder, "adapter_model.safetensors"))
	var targets []sandbox.Target
	for name, a := range factors {
		module, ok := strings.CutSuffix(name, ".lora_A.weight")
		if !ok {
			continue
		}
		b := factors[module+".lora_B.weight"]
		weight := strings.TrimPrefix(module, "base_model.model.") + ".weight"
		targets = append(targets, sandbox.Target{
			Name: weight, A: a, B: b, Base: base[weight],
			Rank: config.Rank, In: a.Shape[1], Out: b.Shape[0], Scale: config.Alpha / float64(config.Rank), Alpha: config.Alpha,
		})
	}
	slices.SortFunc(targets, func(x, y sandbox.Target) int { return strings.Compare(x.Name, y.Name) })
	return targets
}
