package mergeloss

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

var shared = filepath.Join("..", "..", "..", "..", "shared")

// noInfinity makes JSON of what Python writes; the values compared here are all finite.
var noInfinity = strings.NewReplacer("-Infinity", "null", "Infinity", "null", "NaN", "null")

func readReference(t *testing.T, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("skipped: no reference values: %v", err)
	}
	if err := json.Unmarshal([]byte(noInfinity.Replace(string(text))), v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func wantNear(t *testing.T, report *diagtest.Report, target string, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		if got, ok := report.Metric(target, "", name); !ok || !(math.Abs(got-value) <= 1e-9*math.Abs(value)) {
			t.Errorf("%s of %s is %.17g, %t, want %.17g", name, target, got, ok, value)
		}
	}
}

func TestReferenceSwamping(t *testing.T) {
	var golden struct {
		W, B, A  [][]float64
		Scale    float64
		Swamping map[string]float64 `json:"swamping_bf16"`
	}
	readReference(t, filepath.Join(shared, "reference", "golden_diag.json"), &golden)
	report := run(t, nil, diagtest.Target{
		Name: "w", A: diagtest.Rows(golden.A...), B: diagtest.Rows(golden.B...), Base: diagtest.Rows(golden.W...), Scale: golden.Scale,
		BaseDType: abi.DTypeBF16,
	})
	s := golden.Swamping
	wantNear(t, report, "w", map[string]float64{
		"merge_gain": s["gain"], "merge_lost": s["lost_frac"], "merge_relerr": s["rel_err"], "merge_cosine": s["cos"],
	})
}

func TestReferenceTinyLlama(t *testing.T) {
	folder := filepath.Join(shared, "models", "tiny-llama")
	var golden struct {
		Adapters map[string]struct {
			Scale   float64
			Targets map[string]struct{ Metrics map[string]float64 }
		}
	}
	readReference(t, filepath.Join(folder, "golden.json"), &golden)
	base := readTensors(t, filepath.Join(folder, "base", "model.safetensors"))
	for _, name := range []string{"e2e-qv-r8-s0", "e2e-qv-r1-s0", "webnlg-all-r8"} {
		adapter := golden.Adapters[name]
		factors := readTensors(t, filepath.Join(folder, "adapters", name, "adapter_model.safetensors"))
		var targets []diagtest.Target
		for target := range adapter.Targets {
			module := "base_model.model." + strings.TrimSuffix(target, ".weight")
			targets = append(targets, diagtest.Target{Name: target, Scale: adapter.Scale, Base: base[target], BaseDType: abi.DTypeBF16,
				A: factors[module+".lora_A.weight"], B: factors[module+".lora_B.weight"]})
		}
		report := run(t, nil, targets...)
		for target, want := range adapter.Targets {
			metrics := map[string]float64{}
			for _, metric := range []string{"merge_gain", "merge_lost", "merge_relerr"} {
				metrics[metric] = want.Metrics[metric]
			}
			wantNear(t, report, target, metrics)
		}
	}
}

// readTensors reads a safetensors file the shortest way: this package may not import the host's reader.
func readTensors(t *testing.T, path string) map[string]diagtest.Matrix {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	start := 8 + binary.LittleEndian.Uint64(raw)
	var entries map[string]struct {
		DType   string
		Shape   []int
		Offsets []int `json:"data_offsets"`
	}
	if err := json.Unmarshal(raw[8:start], &entries); err != nil {
		t.Fatal(err)
	}
	tensors := map[string]diagtest.Matrix{}
	for name, entry := range entries {
		if len(entry.Shape) != 2 {
			continue
		}
		m := diagtest.Zeros(entry.Shape[0], entry.Shape[1])
		dtype := map[string]tensor.DType{"F32": tensor.F32, "F16": tensor.F16, "BF16": tensor.BF16}[entry.DType]
		if err := tensor.ToF64(m.Values, raw[start:][entry.Offsets[0]:entry.Offsets[1]], dtype); err != nil {
			t.Fatalf("%s: %s: %v", path, name, err)
		}
		tensors[name] = m
	}
	return tensors
}
