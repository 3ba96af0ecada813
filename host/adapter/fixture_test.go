package adapter

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// stored is the dtype and shape of one tensor of a test's file; its values are zero.
type stored struct {
	dtype tensor.DType
	shape []int
}

func f32(shape ...int) stored { return stored{tensor.F32, shape} }

const (
	qProj = "base_model.model.model.layers.0.self_attn.q_proj"
	vProj = "base_model.model.model.layers.0.self_attn.v_proj"
)

// plainTensors are two rank-4 pairs, for bases of width 16 with 8 values per key-value projection.
func plainTensors() map[string]stored {
	return map[string]stored{
		qProj + ".lora_A.weight": f32(4, 16), qProj + ".lora_B.weight": f32(16, 4),
		vProj + ".lora_A.weight": f32(4, 16), vProj + ".lora_B.weight": f32(8, 4),
	}
}

func plainConfig() map[string]any {
	return map[string]any{
		"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "none", "target_modules": []string{"q_proj", "v_proj"},
	}
}

// with returns a copy of a map with some entries set; a nil interface value deletes.
func with[V any](m map[string]V, changes map[string]any) map[string]V {
	m = maps.Clone(m)
	for key, value := range changes {
		if value == nil {
			delete(m, key)
			continue
		}
		m[key] = value.(V)
	}
	return m
}

func weightsFile(t *testing.T, tensors map[string]stored) []byte {
	t.Helper()
	var entries []safetensors.Entry
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		entries = append(entries, safetensors.Entry{Name: name, DType: tensors[name].dtype, Shape: tensors[name].shape})
	}
	var file bytes.Buffer
	w, err := safetensors.NewWriter(&file, entries, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range w.Refs() {
		if _, err := w.Write(make([]byte, ref.Length)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func configFile(t *testing.T, config map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(config, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// folder writes files into a new directory.
func folder(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func adapterFolder(t *testing.T, config map[string]any, tensors map[string]stored) string {
	t.Helper()
	return folder(t, map[string][]byte{configName: configFile(t, config), weightsName: weightsFile(t, tensors)})
}

func opened(t *testing.T, dir string) *Adapter {
	t.Helper()
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func codes(err error) []fault.Code {
	var all []fault.Code
	for _, e := range fault.All(err) {
		all = append(all, e.Code)
	}
	return all
}

// expect fails unless err carries exactly these codes, in any order, and each says what to do.
func expect(t *testing.T, err error, want ...fault.Code) {
	t.Helper()
	got := codes(err)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("codes %v, want %v\n%v", got, want, err)
	}
	for _, e := range fault.All(err) {
		if e.Remedy == "" {
			t.Errorf("no remedy: %v", e)
		}
		if e.File == "" && e.Code != fault.UsageFlag {
			t.Errorf("no file: %v", e)
		}
	}
}

func mention(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not said in:\n%s", part, text)
		}
	}
}

// shared returns a path in the data beside the repository, and skips the test where there is none.
func shared(t *testing.T, path string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", "shared", path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no test data: %v", err)
	}
	return dir
}
