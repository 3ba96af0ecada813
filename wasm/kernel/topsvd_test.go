package kernel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// decaying returns a matrix whose columns shrink slowly, as the spectra of weights do.
func decaying(rows, cols int) *Matrix {
	m := random(newRand(), rows, cols)
	for i := range m.Data {
		m.Data[i] /= math.Sqrt(1 + float64(i%cols)/10)
	}
	return m
}

func singularValues(t *testing.T, m *Matrix) []float64 {
	t.Helper()
	_, s, _, err := SVD(m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checkTop compares k triples of m with the singular values that a whole factorisation gave.
func checkTop(t *testing.T, m, u *Matrix, want, s []float64, v *Matrix, k int, tolerance float64) {
	t.Helper()
	checkOrthonormal(t, "U", u)
	checkOrthonormal(t, "V", v)
	checkSigns(t, u)
	if len(s) != k || u.Cols != k || v.Cols != k {
		t.Fatalf("%d values, %d and %d vectors, want %d", len(s), u.Cols, v.Cols, k)
	}
	for i := range s {
		if math.Abs(s[i]-want[i]) > tolerance*want[0] {
			t.Errorf("singular value %d is %.15g, want %.15g", i, s[i], want[i])
		}
	}
	if d := distance(t, naiveProduct(m, v, false, false), compose(u, s, identity(k))); d > tolerance*want[0] {
		t.Errorf("W V - U S is %g", d)
	}
	if d := distance(t, naiveProduct(m, u, true, false), compose(v, s, identity(k))); d > 100*tolerance*want[0] {
		t.Errorf("W'U - V S is %g", d)
	}
}

func identity(n int) *Matrix {
	m := NewMatrix(n, n)
	for i := range n {
		m.Data[i*n+i] = 1
	}
	return m
}

// special are weights on which an iteration can go wrong.
func special() map[string]*Matrix {
	r := newRand()
	lowRank := naiveProduct(random(r, 150, 3), random(r, 3, 130), false, false)
	diagonal := NewMatrix(140, 140)
	for i := range 140 {
		diagonal.Data[i*140+i] = float64(1 + i/20) // every singular value twenty times
	}
	if underRace {
		return map[string]*Matrix{"low rank": lowRank}
	}
	return map[string]*Matrix{
		"tall": decaying(300, 120), "wide": decaying(120, 300), "flat": random(r, 160, 160), "low rank": lowRank, "zero": NewMatrix(130, 110),
		"identity": identity(128), "repeated": diagonal, "huge": scaled(0x1p100, decaying(120, 110)),
		"tiny": scaled(0x1p-130, decaying(120, 110)),
	}
}

func TestTopSVD(t *testing.T) {
	matrices := special()
	matrices["1x1"] = &Matrix{1, 1, []float64{-3}}
	matrices["2x3"] = random(newRand(), 2, 3)
	for name, m := range matrices {
		want := singularValues(t, m)
		for _, k := range []int{1, 5, 16, 60} {
			k = min(k, m.Rows, m.Cols)
			t.Run(fmt.Sprintf("%s k=%d", name, k), func(t *testing.T) {
				u, s, v, err := TopSVD(t.Context(), m, false, k)
				if err != nil {
					t.Fatal(err)
				}
				checkTop(t, m, u, want, s, v, k, 1e-12)
			})
		}
	}
}

// TestKrylov runs the iteration on matrices small enough to factorise as a whole.
func TestKrylov(t *testing.T) {
	for name, m := range special() {
		want := singularValues(t, m)
		for _, k := range []int{1, 5, 16} {
			t.Run(fmt.Sprintf("%s k=%d", name, k), func(t *testing.T) {
				left, s, right, err := krylovSVD(t.Context(), operator{Rows: m}, k)
				if err != nil {
					t.Fatal(err)
				}
				fixSigns(left, right)
				checkTop(t, m, left.matrix(), want, s, right.matrix(), k, 1e-11)
			})
		}
	}
}

func TestTopSVDOfStoredRows(t *testing.T) {
	m := decaying(1300, 101) // several blocks
	flipped, want := columnsOf(m, false).byRows(), singularValues(t, m)
	for name, run := range map[string]func() (*Matrix, []float64, *Matrix, error){
		"as it is": func() (*Matrix, []float64, *Matrix, error) {
			return TopSVD(t.Context(), storedMatrix(tensor.F64, m), false, 4)
		},
		"transposed": func() (*Matrix, []float64, *Matrix, error) {
			return TopSVD(t.Context(), storedMatrix(tensor.F64, flipped), true, 4)
		},
	} {
		t.Run(name, func(t *testing.T) {
			u, s, v, err := run()
			if err != nil {
				t.Fatal(err)
			}
			checkTop(t, m, u, want, s, v, 4, 1e-12)
		})
	}
}

func TestKrylovIgnoresProcessors(t *testing.T) {
	m := storedMatrix(tensor.F64, decaying(1300, 102))
	run := func(processors int) []float64 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		u, s, v, err := krylovSVD(t.Context(), operator{Rows: m}, 6)
		if err != nil {
			t.Fatal(err)
		}
		return append(append(s, u.column(5)...), v.column(5)...)
	}
	want := run(1)
	for i, v := range run(4) {
		if math.Float64bits(v) != math.Float64bits(want[i]) {
			t.Fatalf("value %d is %x with four processors, %x with one", i, v, want[i])
		}
	}
}

func TestTopSVDStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := decaying(120, 110)
	if _, _, _, err := TopSVD(ctx, m, false, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("whole: %v", err)
	}
	if _, _, _, err := krylovSVD(ctx, operator{Rows: m}, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("krylov: %v", err)
	}
	for _, k := range []int{-1, 0, 111} {
		if _, _, _, err := TopSVD(t.Context(), m, false, k); !errors.Is(err, ErrShape) {
			t.Errorf("k = %d: %v", k, err)
		}
	}
	m.Data[5000] = math.NaN()
	if _, _, _, err := krylovSVD(t.Context(), operator{Rows: m}, 3); !errors.Is(err, ErrNumeric) {
		t.Errorf("NaN: %v", err)
	}
}
