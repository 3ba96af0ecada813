package kernel

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func TestStoredReads(t *testing.T) {
	m := &Matrix{3, 2, []float64{1, -2, 0.5, 4, 0, -8}}
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32, tensor.F64} {
		t.Run(dtype.String(), func(t *testing.T) {
			s := storedMatrix(dtype, m)
			s.Reader = bytes.NewReader(append([]byte("header"), encode(dtype, m.Data...)...))
			s.Offset = 6
			got := NewMatrix(2, 2)
			if err := s.Read(got.Data, 1, 2); err != nil {
				t.Fatal(err)
			}
			if d := distance(t, got, &Matrix{2, 2, m.Data[2:]}); d != 0 {
				t.Errorf("read %v", got.Data)
			}
		})
	}
}

func TestStoredRefuses(t *testing.T) {
	good := storedMatrix(tensor.BF16, NewMatrix(3, 2))
	short, vector, integers := good, good, good
	short.Reader = bytes.NewReader(make([]byte, 11))
	vector.Ref.Shape = []int{6}
	integers.DType = tensor.I16
	for _, c := range []struct {
		name string
		s    Stored
		want error
	}{{"short file", short, io.ErrUnexpectedEOF}, {"one dimension", vector, ErrShape}, {"integers", integers, ErrDType}} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.s.Read(make([]float64, 6), 0, 3); !errors.Is(err, c.want) {
				t.Errorf("read: %v", err)
			}
			if _, err := Stats(c.s, tensor.BF16); !errors.Is(err, c.want) {
				t.Errorf("stats: %v", err)
			}
			if _, err := Project(c.s, false, NewMatrix(3, 1), NewMatrix(2, 1)); err == nil {
				t.Error("projected")
			}
			if _, _, _, err := TopSVD(t.Context(), c.s, false, 1); !errors.Is(err, c.want) {
				t.Errorf("svd: %v", err)
			}
		})
	}
	for _, span := range [][2]int{{-1, 1}, {0, -1}, {2, 2}, {math.MaxInt, 1}} {
		if err := good.Read(make([]float64, 8), span[0], span[1]); !errors.Is(err, ErrShape) {
			t.Errorf("rows %v: %v", span, err)
		}
	}
}

func TestProject(t *testing.T) {
	r := newRand()
	// 700 x 500 values are read in several blocks.
	w, u, v := random(r, 700, 500), random(r, 700, 6), random(r, 500, 9)
	want := naiveProduct(naiveProduct(u, w, true, false), v, false, false)
	flipped := NewMatrix(500, 700)
	for i := range 700 {
		for j, x := range w.Row(i) {
			flipped.Data[j*700+i] = x
		}
	}
	for name, run := range map[string]func() (*Matrix, error){
		"in memory":         func() (*Matrix, error) { return Project(w, false, u, v) },
		"stored":            func() (*Matrix, error) { return Project(storedMatrix(tensor.F64, w), false, u, v) },
		"stored transposed": func() (*Matrix, error) { return Project(storedMatrix(tensor.F64, flipped), true, u, v) },
	} {
		t.Run(name, func(t *testing.T) {
			got, err := run()
			if err != nil {
				t.Fatal(err)
			}
			if d := distance(t, got, want); d > 1e-9 {
				t.Errorf("off by %g", d)
			}
		})
	}
}

func TestStats(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		name   string
		m      *Matrix
		stored tensor.DType
		want   abi.Stats
	}{
		{"plain", &Matrix{2, 3, []float64{1, 0, -2, 0, 0, 3}}, tensor.BF16,
			abi.Stats{Count: 6, Zero: 3, FirstNonFinite: -1, ZeroCols: 1, Min: -2, Max: 3, Sum: 2, SumSquares: 14}},
		{"zero is the minimum", &Matrix{1, 2, []float64{0, 5}}, tensor.F32,
			abi.Stats{Count: 2, Zero: 1, FirstNonFinite: -1, ZeroCols: 1, Min: 0, Max: 5, Sum: 5, SumSquares: 25}},
		{"all zero", NewMatrix(2, 2), tensor.F16, abi.Stats{Count: 4, Zero: 4, FirstNonFinite: -1, ZeroRows: 2, ZeroCols: 2}},
		{"negative zero", &Matrix{1, 1, []float64{math.Copysign(0, -1)}}, tensor.F16,
			abi.Stats{Count: 1, Zero: 1, FirstNonFinite: -1, ZeroRows: 1, ZeroCols: 1}},
		{"not finite", &Matrix{2, 2, []float64{1, nan, -inf, inf}}, tensor.F16,
			abi.Stats{Count: 4, NaN: 1, Inf: 2, FirstNonFinite: 1, Min: 1, Max: 1, Sum: 1, SumSquares: 1}},
		{"nothing finite", &Matrix{1, 2, []float64{nan, inf}}, tensor.F16, abi.Stats{Count: 2, NaN: 1, Inf: 1}},
		{"f16 subnormals", &Matrix{1, 3, []float64{0x1p-15, -0x1p-24, 0x1p-14}}, tensor.F16,
			abi.Stats{Count: 3, Subnormal: 2, FirstNonFinite: -1, Min: -0x1p-24, Max: 0x1p-14, Sum: 0x1p-15 - 0x1p-24 + 0x1p-14,
				SumSquares: 0x1p-30 + 0x1p-48 + 0x1p-28}},
		{"bf16 subnormals", &Matrix{1, 2, []float64{0x1p-15, 0x1p-127}}, tensor.BF16,
			abi.Stats{Count: 2, Subnormal: 1, FirstNonFinite: -1, Min: 0x1p-127, Max: 0x1p-15, Sum: 0x1p-15, SumSquares: 0x1p-30}},
		{"f64 subnormals", &Matrix{1, 2, []float64{0x1p-127, 0x1p-1023}}, tensor.F64,
			abi.Stats{Count: 2, Subnormal: 1, FirstNonFinite: -1, Min: 0x1p-1023, Max: 0x1p-127, Sum: 0x1p-127, SumSquares: 0x1p-254}},
		{"cancelling rows", &Matrix{3, 1, []float64{1e16, 1, -1e16}}, tensor.F64,
			abi.Stats{Count: 3, FirstNonFinite: -1, Min: -1e16, Max: 1e16, Sum: 1, SumSquares: 2e32}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Stats(c.m, c.stored)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// TestProjectStats: one pass gives what two give, to the bit.
func TestProjectStats(t *testing.T) {
	r := newRand()
	w, u, v := random(r, 700, 500), random(r, 700, 6), random(r, 500, 9)
	w.Data[5], w.Data[600*500] = 0, 0x1p-1060
	stored := storedMatrix(tensor.F64, w)
	for _, transposed := range []bool{false, true} {
		left, right := u, v
		if transposed {
			left, right = v, u
		}
		wantProjection, err := Project(stored, transposed, left, right)
		if err != nil {
			t.Fatal(err)
		}
		wantStats, err := Stats(stored, tensor.F64)
		if err != nil {
			t.Fatal(err)
		}
		runtimeIndependent(t, func() (abi.Stats, error) {
			projection, stats, err := ProjectStats(stored, transposed, left, right, tensor.F64)
			if err == nil && (distance(t, projection, wantProjection) != 0 || stats != wantStats) {
				t.Errorf("transposed %t: %+v, want %+v", transposed, stats, wantStats)
			}
			return stats, err
		})
	}
	if _, _, err := ProjectStats(stored, true, u, v, tensor.F64); !errors.Is(err, ErrShape) {
		t.Errorf("factors of the other side: %v", err)
	}
}

func TestStatsOfBlocks(t *testing.T) {
	w := random(newRand(), 700, 500)
	w.Data[600*500+7] = math.Inf(1)
	memory, err := Stats(w, tensor.F64)
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := Stats(storedMatrix(tensor.F64, w), tensor.F64)
	if err != nil || blocks != memory {
		t.Errorf("in blocks %+v, %v; in memory %+v", blocks, err, memory)
	}
	if memory.FirstNonFinite != 600*500+7 {
		t.Errorf("first non-finite value at %d", memory.FirstNonFinite)
	}
}
