package adaptertest

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Tensor is one tensor of a file, with its bytes.
type Tensor struct {
	DType tensor.DType
	Shape []int
	Bytes []byte
}

// Read returns the tensors of a safetensors file by name.
func Read(t testing.TB, path string) map[string]Tensor {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tensors := make(map[string]Tensor, len(f.Tensors))
	for _, stored := range f.Tensors {
		content, err := f.Read(stored)
		if err != nil {
			t.Fatal(err)
		}
		tensors[stored.Name] = Tensor{DType: stored.DType, Shape: stored.Shape, Bytes: slices.Clone(content)}
	}
	return tensors
}

// Write writes a safetensors file, its tensors by name.
func Write(t testing.TB, path string, tensors map[string]Tensor) {
	t.Helper()
	var entries []safetensors.Entry
	names := slices.Sorted(maps.Keys(tensors))
	for _, name := range names {
		entries = append(entries, safetensors.Entry{Name: name, DType: tensors[name].DType, Shape: tensors[name].Shape})
	}
	var file bytes.Buffer
	w, err := safetensors.NewWriter(&file, entries, map[string]string{"format": "pt"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, err := w.Write(tensors[name].Bytes); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, path, file.Bytes())
}

func put(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Floats are the values, exactly.
func (x Tensor) Floats(t testing.TB) []float64 {
	t.Helper()
	values := make([]float64, len(x.Bytes)/x.DType.Size())
	if err := tensor.ToF64(values, x.Bytes, x.DType); err != nil {
		t.Fatal(err)
	}
	return values
}

// Rounded is a tensor in another type, each value rounded once, to nearest and ties to even.
func (x Tensor) Rounded(t testing.TB, d tensor.DType) Tensor {
	t.Helper()
	var stored []byte
	for _, v := range x.Floats(t) {
		switch d {
		case tensor.F64:
			stored = binary.LittleEndian.AppendUint64(stored, math.Float64bits(v))
		case tensor.F32:
			stored = binary.LittleEndian.AppendUint32(stored, math.Float32bits(float32(v)))
		case tensor.F16:
			stored = binary.LittleEndian.AppendUint16(stored, tensor.F64ToF16(v))
		case tensor.BF16:
			stored = binary.LittleEndian.AppendUint16(stored, tensor.F64ToBF16(v))
		default:
			t.Fatalf("no values are rounded to %v", d)
		}
	}
	return Tensor{DType: d, Shape: x.Shape, Bytes: stored}
}

// Ulps is the largest distance between two tensors of one type and shape, in units in the last place: how many values of the type lie between.
func Ulps(t testing.TB, x, y Tensor) int64 {
	t.Helper()
	if x.DType != y.DType || !slices.Equal(x.Shape, y.Shape) || len(x.Bytes) != len(y.Bytes) {
		t.Fatalf("%v %v beside %v %v", x.DType, x.Shape, y.DType, y.Shape)
	}
	most, size := int64(0), x.DType.Size()
	for at := 0; at < len(x.Bytes); at += size {
		most = max(most, distance(ordinal(x.Bytes[at:at+size]), ordinal(y.Bytes[at:at+size])))
	}
	return most
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// ordinal numbers the values of a type in their order, both zeros 0.
func ordinal(stored []byte) int64 {
	var bits, sign int64
	if len(stored) == 2 {
		bits, sign = int64(binary.LittleEndian.Uint16(stored)), 1<<15
	} else {
		bits, sign = int64(binary.LittleEndian.Uint32(stored)), 1<<31
	}
	if bits&sign != 0 {
		return -(bits &^ sign)
	}
	return bits
}
