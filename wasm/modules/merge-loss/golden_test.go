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
	"github.com/tenon-ml/tenon/wasm/modules/internal/reference"
)

func wantNear(t *testing.T, report *diagtest.Report, target string, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		if got, ok := report.Metric(target, "", name); !ok || !(math.Abs(got-value) <= 1e-9*math.Abs(value)) {
			t.Errorf("%s of %s is %.17g, %t, want %.17g", name, target, got, ok, value)
		}
	}
}

func TestReferenceSwamping(t *testing.T) {
	golden := reference.ReadDiagnostics(t)
	target := golden.Own()
	target.BaseDType = abi.DTypeBF16
	report := run(t, nil, target)
	s := golden.Swamping
	wantNear(t, report, "w", map[string]float64{
		"merge_gain": s["gain"], "merge_lost": s["lost_frac"], "merge_relerr": s["rel_err"], "merge_cosine": s["cos"],
	})
}

func TestReferenceTinyLlama(t *testing.T) {
	var golden struct {
		Adapters map[string]struct {
			Scale   float64 `json:"scale"`
			Targets map[string]struct {
				Metrics map[string]float64 `json:"metrics"`
			} `json:"targets"`
		} `json:"adapters"`
	}
	reference.Read(t, &golden, "models", "tiny-llama", "golden.json")
	folder := reference.File(t, "models", "tiny-llama")
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
