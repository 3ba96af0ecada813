package compress

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// factor is a tensor of a test's adapter.
type factor struct {
	dtype  tensor.DType
	shape  []int
	values []float64
}

// random is a matrix whose entries are a function of the seed.
func random(dtype tensor.DType, rows, cols int, seed uint64) factor {
	f := factor{dtype, []int{rows, cols}, make([]float64, rows*cols)}
	state := seed
	for i := range f.values {
		state = state*6364136223846793005 + 1442695040888963407
		f.values[i] = float64(int64(state>>11))/(1<<52) - 1
	}
	return f
}

// save writes a PEFT directory.
func save(t *testing.T, config map[string]any, tensors map[string]factor) string {
	t.Helper()
	dir := t.TempDir()
	text, err := json.Marshal(config, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	var entries []safetensors.Entry
	names := slices.Sorted(maps.Keys(tensors))
	for _, name := range names {
		entries = append(entries, safetensors.Entry{Name: name, DType: tensors[name].dtype, Shape: tensors[name].shape})
	}
	var file bytes.Buffer
	w, err := safetensors.NewWriter(&file, entries, map[string]string{"format": "pt", "author": "a test"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		var data []byte
		for _, v := range tensors[name].values {
			switch tensors[name].dtype {
			case tensor.F32:
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
			case tensor.BF16:
				data = binary.LittleEndian.AppendUint16(data, tensor.F64ToBF16(v))
			case tensor.F16:
				data = binary.LittleEndian.AppendUint16(data, tensor.F64ToF16(v))
			}
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{configName: text, weightsName: file.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t *testing.T, dir string) *adapter.Adapter {
	t.Helper()
	a, err := adapter.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// compressed writes an adapter with a choice and opens the result.
func compressed(t *testing.T, a *adapter.Adapter, c Choice) (*Plan, *adapter.Adapter) {
	t.Helper()
	p, err := New(t.Context(), a, c)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := p.Write(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	written := open(t, out)
	if written.Weights.Size() != p.BytesAfter {
		t.Errorf("%d bytes, foretold %d", written.Weights.Size(), p.BytesAfter)
	}
	return p, written
}

// change is ΔW of a module, dense.
func change(t *testing.T, a *adapter.Adapter, module string) []float64 {
	t.Helper()
	for _, pair := range a.Pairs {
		if pair.Module != module {
			continue
		}
		left, err := matrix(a.Weights, pair.B)
		if err != nil {
			t.Fatal(err)
		}
		right, err := matrix(a.Weights, pair.A)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]float64, left.Rows*right.Cols)
		for i := range left.Rows {
			for j := range right.Cols {
				for k := range pair.Rank {
					out[i*right.Cols+j] += pair.Scale * left.Row(i)[k] * right.Row(k)[j]
				}
			}
		}
		return out
	}
	t.Fatalf("no module %s", module)
	return nil
}

// distance is ‖x-y‖/‖x‖.
func distance(x, y []float64) float64 {
	var difference, norm float64
	for i := range x {
		difference += (x[i] - y[i]) * (x[i] - y[i])
		norm += x[i] * x[i]
	}
	return math.Sqrt(difference / norm)
}
