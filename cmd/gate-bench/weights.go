package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// matrix is a tensor in memory, row-major.
type matrix struct {
	rows, cols int
	vector     bool // it is stored with one dimension
	data       []float32
}

func (m *matrix) clone() *matrix { return &matrix{m.rows, m.cols, m.vector, slices.Clone(m.data)} }

// norm is the Frobenius norm.
func (m *matrix) norm() float64 {
	var sum float64
	for _, v := range m.data {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum)
}

func (m *matrix) scale(by float64) {
	for i, v := range m.data {
		m.data[i] = float32(float64(v) * by)
	}
}

// lora is a PEFT adapter in memory, to plant faults in.
type lora struct {
	name    string
	config  map[string]any
	tensors map[string]*matrix
	after   func(dir string) error // changes the written files; nil changes nothing
}

// clone is a copy that shares nothing.
func (a *lora) clone() *lora {
	out := &lora{name: a.name, config: maps.Clone(a.config), tensors: map[string]*matrix{}}
	for name, m := range a.tensors {
		out.tensors[name] = m.clone()
	}
	return out
}

// names of the tensors that end in suffix, sorted.
func (a *lora) names(suffix string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(a.tensors)) {
		if strings.HasSuffix(name, suffix) {
			names = append(names, name)
		}
	}
	return names
}

// behead takes out whatever is no factor, such as the head of a classifier: Tenon merges factors and refuses the rest by name. It reports
// whether there was any.
func (a *lora) behead() bool {
	before := len(a.tensors)
	maps.DeleteFunc(a.tensors, func(name string, _ *matrix) bool {
		return !strings.HasSuffix(name, suffixA) && !strings.HasSuffix(name, suffixB)
	})
	a.config["modules_to_save"] = nil
	return len(a.tensors) < before
}

const (
	suffixA = ".lora_A.weight"
	suffixB = ".lora_B.weight"
)

// layer is the layer a tensor belongs to, and its name with the number taken out; -1 where it belongs to none.
func layer(name string) (int, string) {
	parts := strings.Split(name, ".")
	for i, part := range parts {
		if n, err := strconv.Atoi(part); err == nil {
			parts[i] = "#"
			return n, strings.Join(parts, ".")
		}
	}
	return -1, name
}

// readAdapter reads a directory in PEFT's layout with F32, F16 or BF16 factors.
func readAdapter(dir string) (*lora, error) {
	text, err := os.ReadFile(filepath.Join(dir, "adapter_config.json"))
	if err != nil {
		return nil, err
	}
	a := &lora{name: filepath.Base(dir)}
	if err := json.Unmarshal(text, &a.config); err != nil {
		return nil, err
	}
	a.tensors, err = readTensors(filepath.Join(dir, "adapter_model.safetensors"))
	return a, err
}

// readTensors reads a file of matrices and vectors.
func readTensors(path string) (map[string]*matrix, error) {
	file, err := safetensors.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	tensors := map[string]*matrix{}
	for _, t := range file.Tensors {
		raw, err := file.Read(t)
		if err != nil {
			return nil, err
		}
		m := &matrix{rows: 1, cols: t.Elements(), vector: true, data: make([]float32, t.Elements())}
		switch len(t.Shape) {
		case 1:
		case 2:
			m.rows, m.cols, m.vector = t.Shape[0], t.Shape[1], false
		default:
			return nil, fmt.Errorf("%s: %s has %d dimensions, and faults are planted in matrices and vectors", path, t.Name, len(t.Shape))
		}
		if err := tensor.ToF32(m.data, raw, t.DType); err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		tensors[t.Name] = m
	}
	return tensors, nil
}

// write writes the adapter to a directory that does not exist yet.
func (a *lora) write(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	config, err := json.Marshal(a.config, json.Deterministic(true), jsontext.WithIndent("  "))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "adapter_config.json"), config, 0o600)
	}
	if err == nil {
		err = writeTensors(filepath.Join(dir, "adapter_model.safetensors"), a.tensors, tensor.F32)
	}
	if err == nil && a.after != nil {
		err = a.after(dir)
	}
	return err
}

// writeTensors writes matrices and vectors as F32 or BF16.
func writeTensors(path string, tensors map[string]*matrix, dtype tensor.DType) error {
	names := slices.Sorted(maps.Keys(tensors))
	var entries []safetensors.Entry
	for _, name := range names {
		m := tensors[name]
		shape := []int{m.rows, m.cols}
		if m.vector {
			shape = shape[1:]
		}
		entries = append(entries, safetensors.Entry{Name: name, DType: dtype, Shape: shape})
	}
	var file bytes.Buffer
	w, err := safetensors.NewWriter(&file, entries, nil)
	if err != nil {
		return err
	}
	for _, name := range names {
		var raw []byte
		for _, v := range tensors[name].data {
			if dtype == tensor.BF16 {
				raw = binary.LittleEndian.AppendUint16(raw, tensor.F32ToBF16(v))
			} else {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
			}
		}
		if _, err := w.Write(raw); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), os.WriteFile(path, file.Bytes(), 0o600))
}
