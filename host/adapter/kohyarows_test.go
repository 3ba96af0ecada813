package adapter

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// expectation is the expect.json of a row.
type expectation struct {
	Tool    string              `json:"tool"`
	Applied int                 `json:"applied"`
	Ignored int                 `json:"ignored"`
	Notes   []string            `json:"notes"`
	Forms   map[string][]string `json:"forms"`
}

// readSingleFile reads a file as a single-file adapter, with what is wrong with it inside.
func readSingleFile(t *testing.T, path string) *Adapter {
	t.Helper()
	weights, err := safetensors.Snapshot(path, safetensors.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	a, err := readKohya(path, path, weights)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func openBase(t *testing.T, dir string) *base.Base {
	t.Helper()
	b, err := base.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func rowPaths(t *testing.T) []string {
	t.Helper()
	rows, err := filepath.Glob(filepath.Join("testdata", "kohya", "*"))
	if err != nil || len(rows) < 20 {
		t.Fatal(len(rows), err)
	}
	return rows
}

// TestSingleFiles binds every row and computes its targets by the definition of Target, in f64: the weights must be the oracle's, which another
// program computed from the same file.
func TestSingleFiles(t *testing.T) {
	for _, row := range rowPaths(t) {
		t.Run(filepath.Base(row), func(t *testing.T) {
			var want expectation
			text, err := os.ReadFile(filepath.Join(row, "expect.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			a := readSingleFile(t, filepath.Join(row, "adapter.safetensors"))
			b := openBase(t, filepath.Join(row, "base"))
			binding, err := a.Bind(b)
			if err != nil {
				t.Fatal(err)
			}
			defer binding.Close()
			if c := binding.Coverage; c.Applied != want.Applied || c.Ignored != want.Ignored || c.Rejected != 0 || c.Replaced != 0 {
				t.Errorf("coverage %+v", c)
			}
			for _, part := range want.Notes {
				mention(t, binding.Notes.Error(), part)
			}
			for name, forms := range want.Forms {
				i := slices.IndexFunc(binding.Targets, func(t Target) bool { return t.Name == name })
				if i < 0 || !slices.Equal(binding.Targets[i].Forms(), forms) {
					t.Errorf("forms of %s: %v", name, binding.Targets[i].Forms())
				}
			}
			compareWithOracle(t, binding, filepath.Join(row, "oracle.safetensors"))
			if _, err := a.Unbound(); err != nil && !strings.Contains(err.Error(), "give the base") {
				t.Errorf("unbound: %v", err)
			}
		})
	}
}

// compareWithOracle holds every target against the weight that it must give. What is rounded once to F32 on the way is allowed for.
func compareWithOracle(t *testing.T, binding *Binding, path string) {
	t.Helper()
	oracle, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer oracle.Close()
	if len(oracle.Tensors) != len(binding.Targets) {
		t.Errorf("%d targets for %d weights", len(binding.Targets), len(oracle.Tensors))
	}
	for i := range binding.Targets {
		target := &binding.Targets[i]
		wanted, ok := oracle.Tensor(target.Name)
		if !ok {
			t.Errorf("%s is not to change", target.Name)
			continue
		}
		want := values(t, oracle, wanted)
		got := evaluated(t, binding, target)
		largest, off, moved := 0.0, 0.0, 0.0
		raw, err := binding.Base.Read(target.Base)
		if err != nil {
			t.Fatal(err)
		}
		before := make([]float64, target.Base.Elements())
		if err := tensor.ToF64(before, raw, target.Base.DType); err != nil {
			t.Fatal(err)
		}
		for j := range want {
			largest, off, moved = max(largest, math.Abs(want[j])), max(off, math.Abs(want[j]-got[j])), max(moved, math.Abs(want[j]-before[j]))
		}
		if !(off <= 5e-7*largest) || moved < 1e-3 {
			t.Errorf("%s is off by %g of %g, and moves by %g", target.Name, off, largest, moved)
		}
	}
}

func values(t *testing.T, file *safetensors.File, s safetensors.Tensor) []float64 {
	t.Helper()
	v := make([]float64, s.Elements())
	if err := tensor.ToF64(v, file.Bytes(s), s.DType); err != nil {
		t.Fatal(err)
	}
	return v
}

// evaluated is W' of a target as the doc comment of Target defines it, in f64 and in the order of the base's bytes. Start is not among the forms
// of a single file.
func evaluated(t *testing.T, binding *Binding, target *Target) []float64 {
	t.Helper()
	raw, err := binding.Base.Read(target.Base)
	if err != nil {
		t.Fatal(err)
	}
	w := make([]float64, target.Base.Elements())
	if err := tensor.ToF64(w, raw, target.Base.DType); err != nil {
		t.Fatal(err)
	}
	rows, cols := target.Matrix()
	if rows*cols != len(w) || target.FanInFanOut || target.Start.Shape != nil {
		t.Fatalf("%s is %d x %d of %d values", target.Name, rows, cols, len(w))
	}
	get := func(s safetensors.Tensor) []float64 { return values(t, binding.File(s), s) }
	switch {
	case target.LowRank():
		a, b, r := get(target.A), get(target.B), target.Rank
		if len(a) != target.Blocks*r*target.In || len(b) != target.Blocks*target.Out*r {
			t.Fatalf("%s: factors of %d and %d values for %d blocks of %d x %d x %d", target.Name, len(a), len(b), target.Blocks, target.Out, r, target.In)
		}
		for i := range rows {
			block := i / target.Out
			for j := range cols {
				sum := 0.0
				for k := range r {
					sum += b[i*r+k] * a[(block*r+k)*target.In+j]
				}
				w[i*cols+j] += target.Scale * sum
			}
		}
	default:
		for i, v := range get(target.Dense) {
			w[i] += target.Scale * v
		}
	}
	if target.Magnitude.Shape == nil {
		return w
	}
	m := get(target.Magnitude)
	belongs := func(i int) int { return i / cols }
	if target.MagnitudeOfInputs {
		belongs = func(i int) int { return i % cols / (cols / len(m)) }
	} else if len(m) != rows {
		t.Fatalf("%s: %d magnitudes for %d outputs", target.Name, len(m), rows)
	}
	squares := make([]float64, len(m))
	for i, v := range w {
		squares[belongs(i)] += v * v
	}
	for i := range w {
		w[i] *= m[belongs(i)] / math.Sqrt(squares[belongs(i)])
	}
	return w
}
