package adapter

import (
	"math"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/host/adapter/adaptertest"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/kernel"
)

// TestLoweringIsTheOracles computes every target of every row in f64, straight from what Target's documentation says, and holds it against the
// oracle, which knows nothing of targets. Only what is derived with rounding to F32 may be off by that.
func TestLoweringIsTheOracles(t *testing.T) {
	for _, row := range adaptertest.Rows(t, "testdata/peft") {
		if row.Expect.Refused != "" {
			continue
		}
		t.Run(row.Name, func(t *testing.T) {
			binding, err := loaded(t, row)
			if err != nil {
				t.Fatal(err)
			}
			oracle := row.Oracle(t)
			for i := range binding.Targets {
				target := &binding.Targets[i]
				want, known := oracle[target.Name]
				if !known {
					t.Errorf("the oracle has no %s", target.Name)
					continue
				}
				tolerance := 1e-12
				if binding.Adapter.Config.residual() {
					tolerance = 1e-6
				}
				got, worst := evaluate(t, binding, target), 0.0
				for at, v := range want.Floats(t) {
					worst = max(worst, math.Abs(v-got[at]))
				}
				if len(got) != len(want.Floats(t)) || !(worst <= tolerance) {
					t.Errorf("%s is %g from the oracle", target.Name, worst)
				}
			}
		})
	}
}

// evaluate computes a target in f64: gain · (start + Scale · delta).
func evaluate(t *testing.T, b *Binding, target *Target) []float64 {
	t.Helper()
	read := func(part safetensors.Tensor) []float64 {
		values := make([]float64, part.Elements())
		if err := tensor.ToF64(values, b.File(part).Bytes(part), part.DType); err != nil {
			t.Fatal(err)
		}
		return values
	}
	rows, cols := target.Matrix()
	var w []float64
	if !target.New() {
		stored, err := b.Base.Read(target.Base)
		if err != nil {
			t.Fatal(err)
		}
		w = make([]float64, target.Base.Elements())
		if err := tensor.ToF64(w, stored, target.Base.DType); err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case target.StartRows != nil:
		start := read(target.Start)
		for i, row := range target.StartRows {
			copy(w[int(row)*cols:], start[i*cols:(i+1)*cols])
		}
	case target.Start.Shape != nil:
		w = read(target.Start)
	}
	if len(w) != rows*cols {
		t.Fatalf("%s has %d values, as a matrix %d x %d", target.Name, len(w), rows, cols)
	}
	if target.LowRank() {
		addProduct(w, read(target.A), read(target.B), target)
	}
	if target.Magnitude.Shape != nil {
		magnitude, square := read(target.Magnitude), make([]float64, target.Out)
		output := func(at int) int {
			if target.FanInFanOut {
				return at % cols
			}
			return at / cols
		}
		for at, v := range w {
			square[output(at)] += v * v
		}
		for at := range w {
			w[at] *= magnitude[output(at)] / math.Sqrt(square[output(at)])
		}
	}
	return w
}

func addProduct(w, a, b []float64, target *Target) {
	r, in, out := target.Rank, target.In, target.Out
	for block := range target.Blocks {
		for o := range out {
			for i := range in {
				sum := 0.0
				for k := range r {
					sum += b[(block*out+o)*r+k] * a[(block*r+k)*in+i]
				}
				at := block*out*in + o*in + i
				if target.FanInFanOut {
					at = block*out*in + i*out + o
				}
				w[at] += target.Scale * sum
			}
		}
	}
}

// TestOrthonormalize checks that rows become orthonormal within f64, and that one which depends on those before it is found.
func TestOrthonormalize(t *testing.T) {
	q := testMatrix(5, 40)
	if at := orthonormalize(q); at != -1 {
		t.Fatalf("row %d depends on others", at)
	}
	for i := range q.Rows {
		for j := range i + 1 {
			sum := 0.0
			for k, v := range q.Row(i) {
				sum += v * q.Row(j)[k]
			}
			want := 0.0
			if i == j {
				want = 1
			}
			if math.Abs(sum-want) > 1e-15*40 {
				t.Errorf("rows %d and %d: %g", i, j, sum)
			}
		}
	}
	dependent := testMatrix(4, 40)
	for k := range dependent.Cols {
		dependent.Row(2)[k] = 3*dependent.Row(0)[k] - dependent.Row(1)[k]
	}
	if at := orthonormalize(dependent); at != 2 {
		t.Errorf("row %d depends on others, want 2", at)
	}
	zero := testMatrix(2, 7)
	clear(zero.Row(0))
	if at := orthonormalize(zero); at != 0 {
		t.Errorf("row %d is zero, want 0", at)
	}
}

// TestByExpert rearranges B of three experts of rank two.
func TestByExpert(t *testing.T) {
	// out 2 x (rank 2 · experts 3): entry is out, rank, expert as three digits.
	b := []byte{11, 12, 13, 21, 22, 23, 111, 112, 113, 121, 122, 123}
	want := []byte{11, 21, 111, 121, 12, 22, 112, 122, 13, 23, 113, 123}
	if got := byExpert(b, 1, 3, 2, 2); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// testMatrix is filled with numbers that have nothing to do with one another.
func testMatrix(rows, cols int) *kernel.Matrix {
	m := kernel.NewMatrix(rows, cols)
	state := uint32(1)
	for i := range m.Data {
		state = state*1664525 + 1013904223
		m.Data[i] = float64(int32(state)) / (1 << 31)
	}
	return m
}
