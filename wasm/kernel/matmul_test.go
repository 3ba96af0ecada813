package kernel

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"
)

func TestMatMul(t *testing.T) {
	r := newRand()
	for _, shape := range [][3]int{{1, 1, 1}, {2, 3, 4}, {5, 7, 3}, {64, 300, 5}, {67, 513, 9}, {130, 17, 66}} {
		for flags := range 4 {
			transA, transB := flags&1 != 0, flags&2 != 0
			t.Run(fmt.Sprint(shape, transA, transB), func(t *testing.T) {
				a, b := random(r, shape[0], shape[1]), random(r, shape[1], shape[2])
				if transA {
					a = random(r, shape[1], shape[0])
				}
				if transB {
					b = random(r, shape[2], shape[1])
				}
				got, err := MatMul(a, b, transA, transB)
				if err != nil {
					t.Fatal(err)
				}
				if d := distance(t, got, naiveProduct(a, b, transA, transB)); d != 0 {
					t.Errorf("differs from sums in ascending order by %g", d)
				}
			})
		}
	}
}

func TestMatMulKeepsNonFinite(t *testing.T) {
	a, b := &Matrix{1, 2, []float64{math.Inf(1), 1}}, &Matrix{2, 1, []float64{0, 1}}
	p, err := MatMul(a, b, false, false)
	if err != nil || !math.IsNaN(p.Data[0]) {
		t.Errorf("%v, %v", p, err)
	}
}

func TestShapesAreRefused(t *testing.T) {
	good, bad := NewMatrix(2, 3), &Matrix{Rows: 2, Cols: 3, Data: make([]float64, 5)}
	for name, run := range map[string]func() error{
		"inner":        func() error { _, err := MatMul(good, good, false, false); return err },
		"left data":    func() error { _, err := MatMul(bad, good, false, true); return err },
		"right data":   func() error { _, err := MatMul(good, bad, false, true); return err },
		"empty":        func() error { _, err := MatMul(&Matrix{}, good, false, false); return err },
		"qr":           func() error { _, _, err := QR(bad); return err },
		"svd":          func() error { _, _, _, err := SVD(bad); return err },
		"delta":        func() error { _, _, _, _, err := DeltaSVD(good, good, 1); return err },
		"delta data":   func() error { _, _, _, _, err := DeltaSVD(good, bad, 1); return err },
		"project u":    func() error { _, err := Project(good, false, NewMatrix(3, 1), NewMatrix(3, 1)); return err },
		"project v":    func() error { _, err := Project(good, true, NewMatrix(3, 1), NewMatrix(3, 1)); return err },
		"project data": func() error { _, err := Project(good, false, bad, NewMatrix(3, 1)); return err },
		"read":         func() error { return good.Read(make([]float64, 9), 1, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(); !errors.Is(err, ErrShape) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestResultsIgnoreProcessors runs everything that works in parallel with one processor and with several.
func TestResultsIgnoreProcessors(t *testing.T) {
	r := newRand()
	a, b := random(r, 301, 257), random(r, 257, 131)
	tall, wide := random(r, 900, 40), random(r, 40, 700)
	run := func(processors int) [][]float64 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		product, err := MatMul(a, b, false, false)
		if err != nil {
			t.Fatal(err)
		}
		q, upper, err := QR(tall)
		if err != nil {
			t.Fatal(err)
		}
		u, s, v, _, err := DeltaSVD(tall, wide, -0.5)
		if err != nil {
			t.Fatal(err)
		}
		projection, err := Project(a, false, random(newRand(), 301, 7), random(newRand(), 257, 5))
		if err != nil {
			t.Fatal(err)
		}
		return [][]float64{product.Data, q.Data, upper.Data, u.Data, s, v.Data, projection.Data}
	}
	want := run(1)
	for _, processors := range []int{2, 3, 8} {
		for i, got := range run(processors) {
			for j, v := range got {
				if math.Float64bits(v) != math.Float64bits(want[i][j]) {
					t.Fatalf("%d processors: result %d differs at %d: %x, not %x", processors, i, j, v, want[i][j])
				}
			}
		}
	}
}
