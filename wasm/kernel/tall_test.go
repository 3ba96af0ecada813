package kernel

import (
	"fmt"
	"math"
	"runtime"
	"testing"
)

// TestTall holds factorisations in many blocks against their definition.
func TestTall(t *testing.T) {
	r := newRand()
	shapes := [][2]int{{511, 3}, {512, 3}, {1300, 5}, {2000, 1}, {3000, 70}, {1025, 128}}
	if underRace {
		shapes = shapes[:3]
	}
	for _, shape := range shapes {
		for _, transposed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v transposed=%t", shape, transposed), func(t *testing.T) {
				m := random(r, shape[0], shape[1])
				source := m
				if transposed {
					source = columnsOf(m, false).byRows()
				}
				f := newTall(source, transposed, 2)
				factorizeAll(true, f)
				unit := newColumns(shape[1], shape[1])
				for j := range unit.cols {
					unit.column(j)[j] = 1
				}
				q, upper := f.apply(unit), f.r().matrix()
				checkOrthonormal(t, "Q", q)
				product, err := MatMul(q, upper, false, false)
				if err != nil {
					t.Fatal(err)
				}
				if d := distance(t, product, scaled(2, m)); d > 1e-12 {
					t.Errorf("QR is off by %g", d)
				}
				bare := newTall(source, transposed, 2)
				factorizeAll(false, bare)
				if d := distance(t, bare.r().matrix(), upper); d != 0 {
					t.Errorf("R without Q differs by %g", d)
				}
			})
		}
	}
}

// TestDeltaOfManyBlocks: rank, values and vectors of factors that are cut into blocks, also where columns depend on each other.
func TestDeltaOfManyBlocks(t *testing.T) {
	r := newRand()
	const out, in, rank = 1100, 600, 6
	b, a := random(r, out, rank), random(r, rank, in)
	dependent := &Matrix{out, rank, append([]float64(nil), b.Data...)}
	for i := range out {
		dependent.Data[i*rank+3], dependent.Data[i*rank+4] = dependent.Data[i*rank]-dependent.Data[i*rank+1], 0
		if i < 700 {
			dependent.Data[i*rank+5] = 0 // whole blocks of zeros
		}
	}
	for _, c := range []struct {
		name string
		b    *Matrix
		rank int
	}{{"full rank", b, 6}, {"dependent and zero columns", dependent, 4}} {
		t.Run(c.name, func(t *testing.T) {
			u, s, v, got, err := DeltaSVD(c.b, a, -0.5)
			if err != nil || got != c.rank {
				t.Fatalf("rank %d, %v", got, err)
			}
			checkOrthonormal(t, "U", u)
			checkOrthonormal(t, "V", v)
			checkSigns(t, u)
			if d := distance(t, compose(u, s, v), scaled(-0.5, naiveProduct(c.b, a, false, false))); d > 1e-12*norm(c.b) {
				t.Errorf("U S V' is off by %g", d)
			}
		})
	}
}

// TestDeltaValues: the values of DeltaSVD to the bit, whatever the number of processors.
func TestDeltaValues(t *testing.T) {
	r := newRand()
	for _, c := range []struct{ out, in, rank int }{{1, 1, 5}, {40, 30, 6}, {1500, 4000, 16}, {600, 700, 100}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			b, a := random(r, c.out, c.rank), random(r, c.rank, c.in)
			_, want, _, _, err := DeltaSVD(b, a, 0.3)
			if err != nil {
				t.Fatal(err)
			}
			for _, processors := range []int{1, 2, 5} {
				before := runtime.GOMAXPROCS(processors)
				got, err := DeltaValues(b, a, 0.3)
				runtime.GOMAXPROCS(before)
				if err != nil || len(got) != len(want) {
					t.Fatalf("%d values, %v", len(got), err)
				}
				for i, v := range got {
					if math.Float64bits(v) != math.Float64bits(want[i]) {
						t.Errorf("%d processors: value %d is %x, of DeltaSVD %x", processors, i, v, want[i])
					}
				}
			}
		})
	}
	if s, err := DeltaValues(NewMatrix(600, 2), random(r, 2, 600), 1); err != nil || s != nil {
		t.Errorf("of a zero product: %v, %v", s, err)
	}
}

// TestFactorsOfAnySize: the power of two that brings a factor to size 1 is itself in range, or is not needed.
func TestFactorsOfAnySize(t *testing.T) {
	b, a := random(newRand(), 5, 2), random(newRand(), 2, 4)
	want, err := DeltaValues(b, a, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, exponent := range []int{-1020, -999, 1000, 1020} {
		got, err := DeltaValues(scaled(math.Ldexp(1, exponent), b), scaled(math.Ldexp(1, -exponent), a), 1)
		if err != nil || len(got) != 2 {
			t.Fatalf("2^%d: %v, %v", exponent, got, err)
		}
		for i, v := range got {
			if math.Abs(v/want[i]-1) > 1e-12 {
				t.Errorf("2^%d: value %d is %g, want %g", exponent, i, v, want[i])
			}
		}
	}
}
