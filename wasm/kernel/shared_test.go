package kernel

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// sharedFile reads a file of the shared test data, or skips the test.
func sharedFile(t testing.TB, elements ...string) []byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "..", "shared"}, elements...)...))
	if err != nil {
		t.Skipf("the shared test data is not here: %v", err)
	}
	return file
}

// storedTensors reads a safetensors file without any checks: these are our own test files.
func storedTensors(t testing.TB, file []byte) map[string]Stored {
	t.Helper()
	start := 8 + int64(binary.LittleEndian.Uint64(file))
	var header map[string]json.RawMessage
	if err := json.Unmarshal(file[8:start], &header); err != nil {
		t.Fatal(err)
	}
	delete(header, "__metadata__")
	tensors := map[string]Stored{}
	for name, raw := range header {
		var entry struct {
			DType   tensor.DType `json:"dtype"`
			Shape   []int        `json:"shape"`
			Offsets [2]int64     `json:"data_offsets"`
		}
		if err := json.Unmarshal(raw, &entry); err != nil {
			t.Fatal(err)
		}
		ref := tensor.Ref{Name: name, DType: entry.DType, Shape: entry.Shape, Offset: start + entry.Offsets[0],
			Length: entry.Offsets[1] - entry.Offsets[0]}
		tensors[name] = Stored{Ref: ref, Reader: bytes.NewReader(file)}
	}
	return tensors
}

// whole reads all of a stored tensor.
func whole(t testing.TB, s Stored) *Matrix {
	t.Helper()
	rows, cols := s.Shape()
	m := NewMatrix(rows, cols)
	if err := s.Read(m.Data, 0, rows); err != nil {
		t.Fatal(err)
	}
	return m
}

// random returns a matrix of independent normal entries.
func random(r *rand.Rand, rows, cols int) *Matrix {
	m := NewMatrix(rows, cols)
	for i := range m.Data {
		m.Data[i] = r.NormFloat64()
	}
	return m
}

// encode stores values as dtype.
func encode(dtype tensor.DType, values ...float64) []byte {
	var out []byte
	for _, v := range values {
		switch dtype {
		case tensor.BF16:
			out = binary.LittleEndian.AppendUint16(out, tensor.F64ToBF16(v))
		case tensor.F16:
			out = binary.LittleEndian.AppendUint16(out, tensor.F64ToF16(v))
		case tensor.F32:
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		case tensor.F64:
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		}
	}
	return out
}

func newRand() *rand.Rand { return rand.New(rand.NewPCG(11, 13)) }

// naiveProduct is op(a) op(b) by the definition.
func naiveProduct(a, b *Matrix, transA, transB bool) *Matrix {
	at := func(m *Matrix, transposed bool, i, j int) float64 {
		if transposed {
			i, j = j, i
		}
		return m.Data[i*m.Cols+j]
	}
	rows, cols, err := ProductShape(a, b, transA, transB)
	if err != nil {
		panic(err)
	}
	inner := a.Cols
	if transA {
		inner = a.Rows
	}
	p := NewMatrix(rows, cols)
	for i := range rows {
		for j := range cols {
			var sum float64
			for k := range inner {
				sum = math.FMA(at(a, transA, i, k), at(b, transB, k, j), sum)
			}
			p.Data[i*cols+j] = sum
		}
	}
	return p
}

// distance is the largest difference of two matrices of one shape.
func distance(t testing.TB, a, b *Matrix) float64 {
	t.Helper()
	if a.Rows != b.Rows || a.Cols != b.Cols {
		t.Fatalf("%d x %d against %d x %d", a.Rows, a.Cols, b.Rows, b.Cols)
	}
	var largest float64
	for i, v := range a.Data {
		if d := math.Abs(v - b.Data[i]); d > largest || d != d {
			largest = d
		}
	}
	return largest
}

// scaled returns f times m.
func scaled(f float64, m *Matrix) *Matrix {
	s := NewMatrix(m.Rows, m.Cols)
	for i, v := range m.Data {
		s.Data[i] = f * v
	}
	return s
}

// compose returns U diag(s) Vᵀ.
func compose(u *Matrix, s []float64, v *Matrix) *Matrix {
	us := NewMatrix(u.Rows, u.Cols)
	for i := range u.Rows {
		for j, x := range u.Row(i) {
			us.Data[i*u.Cols+j] = x * s[j]
		}
	}
	return naiveProduct(us, v, false, true)
}

// checkOrthonormal fails where the columns of m are not.
func checkOrthonormal(t testing.TB, name string, m *Matrix) {
	t.Helper()
	unit := NewMatrix(m.Cols, m.Cols)
	for i := range m.Cols {
		unit.Data[i*m.Cols+i] = 1
	}
	if d := distance(t, naiveProduct(m, m, true, false), unit); !(d < 1e-12) {
		t.Errorf("%s: columns are orthonormal to %g only", name, d)
	}
}

// checkSigns fails where a column's largest entry is negative.
func checkSigns(t testing.TB, u *Matrix) {
	t.Helper()
	for j := range u.Cols {
		var largest float64
		for i := range u.Rows {
			if v := u.Data[i*u.Cols+j]; math.Abs(v) > math.Abs(largest) {
				largest = v
			}
		}
		if largest < 0 {
			t.Errorf("the largest entry of column %d of U is %g", j, largest)
		}
	}
}
