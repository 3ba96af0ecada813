package kernel

import (
	"fmt"
	"math"
	"testing"
)

// checkDelta compares DeltaSVD with the product it never forms.
func checkDelta(t *testing.T, b, a *Matrix, scale float64, wantRank int) (*Matrix, []float64, *Matrix) {
	t.Helper()
	u, s, v, rank, err := DeltaSVD(b, a, scale)
	if err != nil {
		t.Fatal(err)
	}
	if rank != wantRank || len(s) != rank {
		t.Fatalf("rank %d with %d singular values, want %d", rank, len(s), wantRank)
	}
	if rank == 0 {
		if u != nil || v != nil {
			t.Error("vectors of nothing")
		}
		return nil, nil, nil
	}
	checkOrthonormal(t, "U", u)
	checkOrthonormal(t, "V", v)
	checkSigns(t, u)
	full := scaled(scale, naiveProduct(b, a, false, false))
	if d := distance(t, compose(u, s, v), full); d > 1e-13*math.Abs(scale)*norm(b)*norm(a) {
		t.Errorf("U S V' is off by %g", d)
	}
	_, direct, _, err := SVD(full)
	if err != nil {
		t.Fatal(err)
	}
	for i, sigma := range s {
		if math.Abs(sigma-direct[i]) > 1e-13*math.Abs(scale)*norm(b)*norm(a) {
			t.Errorf("singular value %d is %g, of the product %g", i, sigma, direct[i])
		}
	}
	return u, s, v
}

func TestDeltaSVD(t *testing.T) {
	r := newRand()
	for _, c := range []struct{ out, in, rank int }{{1, 1, 1}, {1, 1, 5}, {9, 7, 1}, {40, 30, 6}, {30, 40, 6}, {12, 40, 30}, {40, 12, 30},
		{5, 6, 64}} {
		for _, scale := range []float64{1, 2.5, -2} {
			t.Run(fmt.Sprintf("%dx%d r=%d s=%g", c.out, c.in, c.rank, scale), func(t *testing.T) {
				checkDelta(t, random(r, c.out, c.rank), random(r, c.rank, c.in), scale, min(c.out, c.in, c.rank))
			})
		}
	}
}

func TestDeltaSVDFindsTheRank(t *testing.T) {
	r := newRand()
	b, a := random(r, 30, 6), random(r, 6, 20)
	t.Run("zero B", func(t *testing.T) { checkDelta(t, NewMatrix(30, 6), a, 2, 0) })
	t.Run("zero A", func(t *testing.T) { checkDelta(t, b, NewMatrix(6, 20), 2, 0) })
	t.Run("zero scale", func(t *testing.T) { checkDelta(t, b, a, 0, 0) })
	t.Run("dependent and zero columns", func(t *testing.T) {
		dependent := &Matrix{30, 6, append([]float64(nil), b.Data...)}
		for i := range 30 {
			dependent.Data[i*6+3], dependent.Data[i*6+4] = dependent.Data[i*6], 0
		}
		checkDelta(t, dependent, a, 2, 4)
	})
	t.Run("factors that cancel", func(t *testing.T) {
		// B = [X, -X], A = [Y; Y]: the product is rounding noise only.
		left, right := NewMatrix(30, 6), NewMatrix(6, 20)
		for i := range 30 {
			for j := range 3 {
				left.Data[i*6+j], left.Data[i*6+j+3] = b.Data[i*6+j], -b.Data[i*6+j]
			}
		}
		copy(right.Data, a.Data[:60])
		copy(right.Data[60:], a.Data[:60])
		checkDelta(t, left, right, 2, 0)
	})
	t.Run("rank one of many", func(t *testing.T) {
		left, right := NewMatrix(30, 6), NewMatrix(6, 20)
		for i := range left.Data {
			left.Data[i] = float64(1 + i/6)
		}
		for i := range right.Data {
			right.Data[i] = float64(1 + i%20)
		}
		checkDelta(t, left, right, 0.5, 1)
	})
}

// TestDeltaSVDIsAFunctionOfTheProduct: what leaves B A alone leaves the triples alone, and what changes it changes them as it should.
func TestDeltaSVDIsAFunctionOfTheProduct(t *testing.T) {
	const out, in, rank = 40, 25, 5
	r := newRand()
	b, a := random(r, out, rank), random(r, rank, in)
	u, s, v := checkDelta(t, b, a, 2, rank)
	same := func(t *testing.T, u2 *Matrix, s2 []float64, v2 *Matrix) {
		t.Helper()
		for i := range s {
			if math.Abs(s2[i]/s[i]-1) > 1e-11 {
				t.Errorf("singular value %d is %g, not %g", i, s2[i], s[i])
			}
		}
		if distance(t, u, u2) > 1e-10 || distance(t, v, v2) > 1e-10 {
			t.Error("other vectors")
		}
	}
	t.Run("another factorisation", func(t *testing.T) {
		// G = I + strictly upper N with N² = 0, so that its inverse is I - N.
		g, inverse := NewMatrix(rank, rank), NewMatrix(rank, rank)
		for i := range rank {
			g.Data[i*rank+i], inverse.Data[i*rank+i] = 1, 1
		}
		g.Data[1], inverse.Data[1] = 3, -3
		g.Data[2*rank+4], inverse.Data[2*rank+4] = -7, 7
		u2, s2, v2 := checkDelta(t, naiveProduct(b, g, false, false), naiveProduct(inverse, a, false, false), 2, rank)
		same(t, u2, s2, v2)
	})
	t.Run("scale moved into a factor", func(t *testing.T) {
		u2, s2, v2 := checkDelta(t, scaled(8, b), scaled(0.25, a), 1, rank)
		same(t, u2, s2, v2)
	})
	t.Run("padded rank", func(t *testing.T) {
		left, right := NewMatrix(out, rank+2), NewMatrix(rank+2, in)
		for i := range out {
			copy(left.Row(i), b.Row(i))
		}
		copy(right.Data, a.Data)
		u2, s2, v2 := checkDelta(t, left, right, 2, rank)
		same(t, u2, s2, v2)
	})
	t.Run("negative scale", func(t *testing.T) {
		u2, s2, v2 := checkDelta(t, b, a, -2, rank)
		same(t, u2, s2, scaled(-1, v2)) // U's signs are fixed: V takes the minus
	})
	t.Run("transpose", func(t *testing.T) {
		left, right := columnsOf(a, true).matrix(), columnsOf(b, true).matrix()
		u2, s2, v2 := checkDelta(t, left, right, 2, rank)
		for j := range rank { // signs are fixed by the other side
			if u2.Data[j]*v.Data[j] < 0 {
				for i := range in {
					u2.Data[i*rank+j] = -u2.Data[i*rank+j]
				}
				for i := range out {
					v2.Data[i*rank+j] = -v2.Data[i*rank+j]
				}
			}
		}
		same(t, v2, s2, u2)
	})
}

// TestDeltaSVDKeepsSmallSingularValues: a Gram matrix would lose everything below 1e-8.
func TestDeltaSVDKeepsSmallSingularValues(t *testing.T) {
	const out, in, rank = 96, 72, 6
	r := newRand()
	left, _, _ := QR(random(r, out, rank))
	right, _, _ := QR(random(r, in, rank))
	mix, _, _ := QR(random(r, rank, rank))
	for i := range out {
		for j := range rank {
			left.Data[i*rank+j] *= math.Pow(10, -12*float64(j)/5)
		}
	}
	_, s, _, got, err := DeltaSVD(naiveProduct(left, mix, false, false), naiveProduct(mix, right, true, true), 1)
	if err != nil || got != rank {
		t.Fatalf("rank %d, error %v", got, err)
	}
	for j, v := range s {
		if want := math.Pow(10, -12*float64(j)/5); math.Abs(v/want-1) > 1e-2 {
			t.Errorf("singular value %d is %g, want %g", j, v, want)
		}
	}
}

func FuzzDeltaSVD(f *testing.F) {
	f.Add(uint8(3), uint8(2), uint8(4), 1.0, []byte("some bytes for the factors"))
	f.Add(uint8(1), uint8(7), uint8(1), -1e300, []byte{0, 0, 255})
	f.Fuzz(func(t *testing.T, out, rank, in uint8, scale float64, bytes []byte) {
		b, a := NewMatrix(1+int(out%12), 1+int(rank%12)), NewMatrix(1+int(rank%12), 1+int(in%12))
		at := 0
		for _, m := range []*Matrix{b, a} {
			for i := range m.Data {
				if len(bytes) > 0 {
					v := bytes[at%len(bytes)]
					m.Data[i] = math.Ldexp(float64(int8(v)), int(v%37)*int(int8(out))/8)
					at++
				}
			}
		}
		u, s, v, k, err := DeltaSVD(b, a, scale)
		if err != nil || k == 0 {
			return
		}
		checkOrthonormal(t, "U", u)
		checkOrthonormal(t, "V", v)
		plain := norm(b) * norm(a)
		size := plain * math.Abs(scale)
		if min(plain, size) > 1e-200 && max(plain, size) < 1e200 { // else the product here loses bits, or all
			if d := distance(t, compose(u, s, v), scaled(scale, naiveProduct(b, a, false, false))); d > 1e-11*size {
				t.Errorf("U S V' is off by %g of %g", d, size)
			}
		}
	})
}
