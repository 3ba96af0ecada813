package adapter

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// held is one tensor of a test's file.
type held struct {
	dtype tensor.DType
	shape []int
	data  []byte
}

// filled is an F32 tensor of ascending values from 0.01 on.
func filled(shape ...int) held {
	h := held{tensor.F32, shape, make([]byte, 4*product(shape))}
	for i := range product(shape) {
		binary.LittleEndian.PutUint32(h.data[4*i:], math.Float32bits(0.01*float32(i%97+1)))
	}
	return h
}

// scalar is an F32 tensor of no dimensions.
func scalar(v float32) held {
	return held{tensor.F32, []int{}, binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))}
}

// with returns the tensor with one value in place of another.
func (h held) with(i int, v float64) held {
	h.data = bytes.Clone(h.data)
	binary.LittleEndian.PutUint32(h.data[4*i:], math.Float32bits(float32(v)))
	return h
}

// flatFile holds two factors with alpha for each of the modules, in Kohya's naming, for weights of 8 x 6.
func flatFile(modules ...string) map[string]held {
	tensors := map[string]held{}
	for _, m := range modules {
		tensors[m+".lora_down.weight"], tensors[m+".lora_up.weight"], tensors[m+".alpha"] = filled(2, 6), filled(8, 2), scalar(1)
	}
	return tensors
}

// edited returns the tensors with some of them others, or gone where they are of no type.
func edited(tensors map[string]held, changes map[string]held) map[string]held {
	tensors = maps.Clone(tensors)
	for name, h := range changes {
		if tensors[name] = h; h.dtype == tensor.Invalid {
			delete(tensors, name)
		}
	}
	return tensors
}

func written(t testing.TB, path string, tensors map[string]held, metadata map[string]string) string {
	t.Helper()
	var entries []safetensors.Entry
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		entries = append(entries, safetensors.Entry{Name: name, DType: tensors[name].dtype, Shape: tensors[name].shape})
	}
	var file bytes.Buffer
	w, err := safetensors.NewWriter(&file, entries, metadata)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := w.Write(tensors[e.Name].data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// singleBase has modules a.b_c, a.d and e_f with weights of 8 x 6, a norm of 8, and a kernel k of 8 x 6 x 3; only e_f and the norm have biases.
func singleBase() map[string]held {
	return map[string]held{
		"a.b_c.weight": filled(8, 6), "a.d.weight": filled(8, 6), "e_f.weight": filled(8, 6), "e_f.bias": filled(8),
		"norm.weight": filled(8), "norm.bias": filled(8), "k.weight": filled(8, 6, 3), "sq.weight": filled(6, 6),
	}
}

func baseFolder(t testing.TB, config string, tensors map[string]held) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	written(t, filepath.Join(dir, "model.safetensors"), tensors, nil)
	return dir
}

// bound reads a file and binds it to a base.
func bound(t *testing.T, config string, baseTensors, tensors map[string]held, metadata map[string]string) (*Binding, error) {
	t.Helper()
	a := readSingleFile(t, written(t, filepath.Join(t.TempDir(), "x.safetensors"), tensors, metadata))
	binding, err := a.Bind(openBase(t, baseFolder(t, config, baseTensors)))
	if binding == nil {
		t.Fatal("no binding")
	}
	t.Cleanup(func() { binding.Close() })
	if err != nil {
		if binding.Targets != nil || binding.Derived != nil {
			t.Error("a refused adapter has targets")
		}
		if fault.ClassOf(err) != fault.Rejected {
			t.Errorf("class %v", fault.ClassOf(err))
		}
	}
	c := binding.Coverage
	if len(c.Tensors) != len(tensors) || c.Applied+c.Ignored+c.Rejected != len(tensors) {
		t.Errorf("coverage of %d tensors: %+v", len(tensors), c)
	}
	return binding, err
}
