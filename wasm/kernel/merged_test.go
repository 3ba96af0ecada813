package kernel

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// TestMergedSVD compares with the SVD of the sum, factorised as a whole and iterated, also where the weight is stored transposed.
func TestMergedSVD(t *testing.T) {
	r := newRand()
	w := decaying(300, 160)
	update := Update{B: random(r, 300, 3), A: random(r, 3, 160), Scale: 0.5}
	sum := scaled(0.5, naiveProduct(update.B, update.A, false, false))
	for i, v := range w.Data {
		sum.Data[i] += v
	}
	want := singularValues(t, sum)
	left, right := update.stored()
	for name, run := range map[string]func() (*Matrix, []float64, *Matrix, error){
		"whole": func() (*Matrix, []float64, *Matrix, error) { return MergedSVD(t.Context(), w, update, 5) },
		"stored transposed": func() (*Matrix, []float64, *Matrix, error) {
			flipped := update
			flipped.Transposed = true
			return MergedSVD(t.Context(), storedMatrix(tensor.F64, columnsOf(w, false).byRows()), flipped, 5)
		},
		"iterated": func() (*Matrix, []float64, *Matrix, error) {
			u, s, v, err := krylovSVD(t.Context(), operator{storedMatrix(tensor.F64, w), scaled(0.5, left), right}, 5)
			if err != nil {
				return nil, nil, nil, err
			}
			fixSigns(u, v)
			return u.matrix(), s, v.matrix(), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			u, s, v, err := run()
			if err != nil {
				t.Fatal(err)
			}
			checkTop(t, sum, u, want, s, v, 5, 1e-11)
		})
	}
}

func TestMergedSVDIgnoresProcessors(t *testing.T) {
	r := newRand()
	w := storedMatrix(tensor.F64, decaying(1300, 102))
	o := operator{w, random(r, 1300, 2), random(r, 2, 102)}
	var want []float64
	for _, processors := range []int{1, 4} {
		before := runtime.GOMAXPROCS(processors)
		u, s, v, err := krylovSVD(t.Context(), o, 6)
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		got := append(append(s, u.column(5)...), v.column(5)...)
		for i, x := range want {
			if math.Float64bits(x) != math.Float64bits(got[i]) {
				t.Fatalf("value %d is %x with %d processors, %x with one", i, got[i], processors, x)
			}
		}
		want = got
	}
}

func TestMergedSVDRefuses(t *testing.T) {
	w, b, a := NewMatrix(4, 3), NewMatrix(4, 2), NewMatrix(2, 3)
	nan := &Matrix{2, 3, []float64{0, 0, math.NaN(), 0, 0, 0}}
	for _, c := range []struct {
		update Update
		k      int
		want   error
	}{
		{Update{B: b, A: a, Scale: 1}, 0, ErrShape},
		{Update{B: b, A: a, Scale: 1}, 4, ErrShape},
		{Update{B: b, A: a, Scale: 1, Transposed: true}, 1, ErrShape},
		{Update{B: a, A: a, Scale: 1}, 1, ErrShape},
		{Update{B: b, A: nan, Scale: 1}, 1, ErrNumeric},
		{Update{B: b, A: a, Scale: math.Inf(1)}, 1, ErrNumeric},
	} {
		t.Run(fmt.Sprint(c.want, c.k), func(t *testing.T) {
			if _, _, _, err := MergedSVD(t.Context(), w, c.update, c.k); !errors.Is(err, c.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}
