package diagtest

import (
	"math"
	"math/rand/v2"
	"testing"
)

func random(rng *rand.Rand, rows, cols int) Matrix {
	m := Zeros(rows, cols)
	for i := range m.Values {
		m.Values[i] = rng.NormFloat64()
	}
	return m
}

func wantEqual(t *testing.T, what string, got, want Matrix) {
	t.Helper()
	if got.Rows != want.Rows || got.Cols != want.Cols {
		t.Fatalf("%s is %d x %d, want %d x %d", what, got.Rows, got.Cols, want.Rows, want.Cols)
	}
	for i, v := range got.Values {
		if !(math.Abs(v-want.Values[i]) < 1e-10) {
			t.Fatalf("%s: element %d is %g, want %g", what, i, v, want.Values[i])
		}
	}
}

func identity(n int) Matrix {
	m := Zeros(n, n)
	for i := range n {
		m.set(i, i, 1)
	}
	return m
}

func diagonal(s []float64) Matrix {
	m := Zeros(len(s), len(s))
	for i, v := range s {
		m.set(i, i, v)
	}
	return m
}

// The fake host's algebra is held against its definitions: the factors multiply to the matrix and are orthonormal.
func TestFactorizations(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, shape := range [][2]int{{1, 1}, {5, 3}, {3, 5}, {7, 7}, {40, 1}, {1, 40}} {
		m := random(rng, shape[0], shape[1])
		k := min(m.Rows, m.Cols)
		q, r := qr(m)
		wantEqual(t, "QR", q.Times(r), m)
		wantEqual(t, "Q'Q", q.Transposed().Times(q), identity(k))
		u, s, v := svd(m)
		wantEqual(t, "USV'", u.Times(diagonal(s)).Times(v.Transposed()), m)
		wantEqual(t, "U'U", u.Transposed().Times(u), identity(k))
		wantEqual(t, "V'V", v.Transposed().Times(v), identity(k))
		for i := 1; i < k; i++ {
			if s[i] > s[i-1] {
				t.Errorf("singular values %v do not descend", s)
			}
		}
	}
}

func TestDeltaSVD(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	full := random(rng, 9, 4)
	dependent := random(rng, 9, 4)
	for i := range 9 {
		dependent.set(i, 2, dependent.At(i, 0)-dependent.At(i, 1))
		dependent.set(i, 3, 0)
	}
	tests := []struct {
		name  string
		b, a  Matrix
		scale float64
		rank  int
	}{
		{"full", full, random(rng, 4, 6), 0.5, 4},
		{"negative scale", full, random(rng, 4, 6), -3, 4},
		{"dependent columns", dependent, random(rng, 4, 6), 2, 2},
		{"rank above the width", random(rng, 9, 8), random(rng, 8, 3), 1, 3},
		{"zero factor", Zeros(9, 4), random(rng, 4, 6), 1, 0},
		{"zero scale", full, random(rng, 4, 6), 0, 0},
		{"zero product", Rows([]float64{1, 0}), Rows([]float64{0, 0, 0}, []float64{1, 2, 3}), 1, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u, s, v := deltaSVD(test.b, test.a, test.scale)
			if len(s) != test.rank {
				t.Fatalf("rank is %d, want %d: %v", len(s), test.rank, s)
			}
			want := test.b.Times(test.a)
			for i := range want.Values {
				want.Values[i] *= test.scale
			}
			wantEqual(t, "USV'", u.Times(diagonal(s)).Times(v.Transposed()), want)
			wantEqual(t, "U'U", u.Transposed().Times(u), identity(test.rank))
			wantEqual(t, "V'V", v.Transposed().Times(v), identity(test.rank))
		})
	}
}
