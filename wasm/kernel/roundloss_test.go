package kernel

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

func newDelta(t *testing.T, b, a *Matrix, scale float64, fan bool) *kernel.Delta {
	t.Helper()
	d, err := kernel.NewDelta(encode(tensor.F32, a.Data...), tensor.F32, encode(tensor.F32, b.Data...), tensor.F32, a.Rows, a.Cols, b.Rows,
		scale, fan)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// naiveLoss follows the definitions, with the merge's own bytes.
func naiveLoss(t *testing.T, w Stored, d *kernel.Delta) abi.RoundLoss {
	t.Helper()
	rows, cols := w.Shape()
	before, err := w.read(nil, 0, rows)
	if err != nil {
		t.Fatal(err)
	}
	after := make([]byte, len(before))
	if _, err := kernel.MergeRows(after, before, w.DType, d, 0, rows); err != nil {
		t.Fatal(err)
	}
	old, merged, delta := make([]float64, rows*cols), make([]float64, rows*cols), make([]float32, rows*cols)
	if err := errors.Join(tensor.ToF64(old, before, w.DType), tensor.ToF64(merged, after, w.DType)); err != nil {
		t.Fatal(err)
	}
	kernel.DeltaRows(delta, d, 0, rows)
	loss := abi.RoundLoss{Count: int64(rows * cols), FirstOverflow: -1}
	for i, v := range old {
		d := float64(delta[i])
		change := merged[i] - v
		if merged[i] != v {
			loss.Changed++
		}
		if d != 0 {
			loss.NonZero++
			if merged[i] == v {
				loss.Lost++
			}
		}
		if math.IsInf(merged[i], 0) {
			if loss.Overflow++; loss.FirstOverflow < 0 {
				loss.FirstOverflow = int64(i)
			}
			continue
		}
		loss.Dot += change * d
		loss.DeltaSquares += d * d
		loss.RoundedSquares += change * change
		loss.ErrorSquares += (change - d) * (change - d)
	}
	return loss
}

func TestRoundLoss(t *testing.T) {
	r := newRand()
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
		for _, fan := range []bool{false, true} {
			for _, size := range []float64{1e-4, 1, 300} { // 300 overflows f16
				t.Run(fmt.Sprintf("%v/fan=%v/%g", dtype, fan, size), func(t *testing.T) {
					w := random(r, 150, 33)
					if fan {
						w = random(r, 33, 150)
					}
					stored := storedMatrix(dtype, w)
					d := newDelta(t, scaled(size, random(r, 150, 3)), scaled(size/10, random(r, 3, 33)), 2, fan)
					got, err := RoundLoss(stored, dtype, d)
					if err != nil {
						t.Fatal(err)
					}
					want := naiveLoss(t, stored, d)
					counts := func(l abi.RoundLoss) [6]int64 {
						return [6]int64{l.Count, l.Changed, l.NonZero, l.Lost, l.Overflow, l.FirstOverflow}
					}
					if counts(got) != counts(want) {
						t.Errorf("counts %v, want %v", counts(got), counts(want))
					}
					for name, pair := range map[string][2]float64{
						"dot": {got.Dot, want.Dot}, "delta": {got.DeltaSquares, want.DeltaSquares}, "rounded": {got.RoundedSquares, want.RoundedSquares},
						"error": {got.ErrorSquares, want.ErrorSquares},
					} {
						if math.Abs(pair[0]-pair[1]) > 1e-12*math.Abs(pair[1]) {
							t.Errorf("%s: %g, want %g", name, pair[0], pair[1])
						}
					}
					runtimeIndependent(t, func() (abi.RoundLoss, error) { return RoundLoss(stored, dtype, d) })
				})
			}
		}
	}
}

func runtimeIndependent[T comparable](t *testing.T, run func() (T, error)) {
	t.Helper()
	want, err := run()
	if err != nil {
		t.Fatal(err)
	}
	for _, processors := range []int{1, 2, 5} {
		before := runtime.GOMAXPROCS(processors)
		got, err := run()
		runtime.GOMAXPROCS(before)
		if err != nil || got != want {
			t.Errorf("%d processors: %+v, %v; want %+v", processors, got, err, want)
		}
	}
}

func TestRoundLossLeavesOutNonFinite(t *testing.T) {
	w := storedMatrix(tensor.F16, &Matrix{2, 2, []float64{math.NaN(), math.Inf(1), 65504, 1}})
	d := newDelta(t, &Matrix{2, 1, []float64{1, 1}}, &Matrix{1, 2, []float64{100, 1}}, 1, false)
	got, err := RoundLoss(w, tensor.F16, d)
	want := abi.RoundLoss{Count: 4, Changed: 2, NonZero: 4, Lost: 2, Overflow: 1, FirstOverflow: 2, Dot: 1, DeltaSquares: 1, RoundedSquares: 1}
	if err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func TestRoundLossIntoAnotherDType(t *testing.T) {
	w := storedMatrix(tensor.F32, &Matrix{1, 2, []float64{1 + 0x1p-9, 2}})
	d := newDelta(t, &Matrix{1, 1, []float64{1}}, &Matrix{1, 2, []float64{0, 0x1p-3}}, 1, false)
	got, err := RoundLoss(w, tensor.BF16, d)
	// The first entry's 2^-9 is lost to bf16 although nothing is added there.
	want := abi.RoundLoss{Count: 2, Changed: 2, NonZero: 1, FirstOverflow: -1, Dot: 0x1p-6, DeltaSquares: 0x1p-6,
		RoundedSquares: 0x1p-6 + 0x1p-18, ErrorSquares: 0x1p-18}
	if err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func TestRoundLossRefuses(t *testing.T) {
	good := NewMatrix(4, 3)
	d := newDelta(t, NewMatrix(4, 1), NewMatrix(1, 3), 1, false)
	short := storedMatrix(tensor.BF16, good)
	short.Ref.Offset = 2
	for _, c := range []struct {
		name   string
		w      Stored
		target tensor.DType
		want   error
	}{
		{"other shape", storedMatrix(tensor.BF16, NewMatrix(3, 4)), tensor.BF16, ErrShape},
		{"f64 weight", storedMatrix(tensor.F64, good), tensor.BF16, ErrDType},
		{"integer target", storedMatrix(tensor.BF16, good), tensor.I8, ErrDType},
		{"short file", short, tensor.BF16, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := RoundLoss(c.w, c.target, d); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}
