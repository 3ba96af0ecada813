package kernel

import (
	"errors"
	"fmt"
	"math"
	"testing"
)

func TestQR(t *testing.T) {
	r := newRand()
	deficient := random(r, 8, 4)
	for i := range 8 {
		deficient.Data[i*4+2] = deficient.Data[i*4]
	}
	for name, m := range map[string]*Matrix{
		"1x1": random(r, 1, 1), "tall": random(r, 50, 7), "square": random(r, 9, 9), "wide": random(r, 5, 12), "zero": NewMatrix(6, 3),
		"deficient": deficient, "huge": scaled(0x1p1000, random(r, 6, 4)), "tiny": scaled(0x1p-1040, random(r, 6, 4)),
	} {
		t.Run(name, func(t *testing.T) {
			q, upper, err := QR(m)
			if err != nil {
				t.Fatal(err)
			}
			checkOrthonormal(t, "Q", q)
			size := norm(scaled(1/maxAbs(m), m)) * maxAbs(m)
			if maxAbs(m) == 0 {
				size = 1
			}
			if d := distance(t, naiveProduct(q, upper, false, false), m); d > 1e-14*size+0x1p-1070 {
				t.Errorf("QR is off by %g", d)
			}
			for i := range upper.Rows {
				for j := range min(i, upper.Cols) {
					if upper.Data[i*upper.Cols+j] != 0 {
						t.Errorf("R(%d,%d) = %g", i, j, upper.Data[i*upper.Cols+j])
					}
				}
			}
		})
	}
}

func maxAbs(m *Matrix) float64 {
	var largest float64
	for _, v := range m.Data {
		largest = max(largest, math.Abs(v))
	}
	return largest
}

func TestSVD(t *testing.T) {
	r := newRand()
	deficient, _ := MatMul(random(r, 9, 2), random(r, 2, 6), false, false)
	repeated := NewMatrix(5, 5)
	for i := range 5 {
		repeated.Data[i*5+(i+2)%5] = -3
	}
	for name, m := range map[string]*Matrix{
		"1x1": {1, 1, []float64{-2}}, "row": random(r, 1, 6), "column": random(r, 6, 1), "tall": random(r, 60, 11), "wide": random(r, 11, 60),
		"square": random(r, 40, 40), "zero": NewMatrix(4, 3), "deficient": deficient, "repeated": repeated,
		"huge": scaled(0x1p1000, random(r, 6, 4)), "tiny": scaled(0x1p-1000, random(r, 6, 4)),
	} {
		t.Run(name, func(t *testing.T) {
			u, s, v, err := SVD(m)
			if err != nil {
				t.Fatal(err)
			}
			if len(s) != min(m.Rows, m.Cols) {
				t.Fatalf("%d singular values", len(s))
			}
			checkOrthonormal(t, "U", u)
			checkOrthonormal(t, "V", v)
			checkSigns(t, u)
			for i := 1; i < len(s); i++ {
				if s[i] > s[i-1] || s[i] < 0 {
					t.Errorf("singular values %v are not descending", s)
				}
			}
			if d := distance(t, compose(u, s, v), m); d > 1e-13*s[0] {
				t.Errorf("U S V' is off by %g", d)
			}
		})
	}
}

// TestSVDKeepsSmallSingularValues uses a graded matrix D G: every singular value is determined to many digits, down to 1e-40.
func TestSVDKeepsSmallSingularValues(t *testing.T) {
	const n = 8
	r := newRand()
	g, _, err := QR(random(r, n, n))
	if err != nil {
		t.Fatal(err)
	}
	m := NewMatrix(n, n)
	for i := range n {
		for j := range n {
			m.Data[i*n+j] = g.Data[i*n+j] * math.Pow(10, -5*float64(j))
		}
	}
	_, s, _, err := SVD(m)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range s {
		if want := math.Pow(10, -5*float64(i)); math.Abs(v/want-1) > 1e-12 {
			t.Errorf("singular value %d is %g, want %g", i, v, want)
		}
	}
}

func TestNonFiniteIsRefused(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			bad, good := &Matrix{2, 1, []float64{1, v}}, &Matrix{1, 2, []float64{1, 2}}
			flipped := &Matrix{1, 2, bad.Data}
			_, _, qr := QR(bad)
			_, _, _, svd := SVD(bad)
			_, _, _, _, b := DeltaSVD(bad, good, 1)
			_, _, _, _, a := DeltaSVD(&Matrix{2, 1, good.Data}, flipped, 1)
			_, _, _, _, scale := DeltaSVD(&Matrix{2, 1, good.Data}, good, v)
			_, _, _, top := TopSVD(t.Context(), bad, false, 1)
			for name, err := range map[string]error{"qr": qr, "svd": svd, "b": b, "a": a, "scale": scale, "top": top} {
				if !errors.Is(err, ErrNumeric) {
					t.Errorf("%s: error %v", name, err)
				}
			}
		})
	}
	one, big := &Matrix{1, 1, []float64{1}}, &Matrix{1, 1, []float64{0x1p1000}}
	if _, _, _, _, err := DeltaSVD(big, big, 1); !errors.Is(err, ErrNumeric) {
		t.Errorf("a singular value that overflows: %v", err)
	}
	if _, s, _, _, err := DeltaSVD(big, one, 0x1p-1000); err != nil || s[0] != 1 {
		t.Errorf("a scale that undoes the size: %v, %v", s, err)
	}
}
