package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// bigFMA is the definition: the exact x*y+z, rounded once. Infinite, NaN and zero results follow f64 arithmetic, which is exact for them.
type bigFMA struct{ x, y, z, product, sum big.Float }

func newBigFMA() *bigFMA {
	b := new(bigFMA)
	b.product.SetPrec(48)
	b.sum.SetPrec(640) // from 2^256 down to 2^-298, with room
	return b
}

func (b *bigFMA) fma(x, y, z float32) float32 {
	inexact := float64(x)*float64(y) + float64(z)
	if math.IsNaN(inexact) || math.IsInf(inexact, 0) {
		return float32(inexact)
	}
	b.product.Mul(b.x.SetFloat64(float64(x)), b.y.SetFloat64(float64(y)))
	b.sum.Add(&b.product, b.z.SetFloat64(float64(z)))
	if b.sum.Sign() == 0 {
		return float32(inexact) // a zero's sign: +0 unless both terms are -0
	}
	f, _ := b.sum.Float32()
	return f
}

func sameBits(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

// midpointTriple makes x*y+z fall on, or a hair beside, a midpoint of f32: z has an even or odd last bit, x*y is half of it.
func midpointTriple(r *rand.Rand) (x, y, z float32) {
	exponent := r.IntN(200) - 100
	z = float32(math.Ldexp(float64(1<<23+r.IntN(1<<23)), exponent))
	half := math.Ldexp(1, exponent-1)
	switch r.IntN(4) {
	case 0: // exactly half
		shift := r.IntN(20) - 10
		x, y = float32(math.Ldexp(1, shift)), float32(math.Ldexp(half, -shift))
	case 1: // half, and a little more or less, below the last bit of the f64 sum: (1+e)(1-e) = 1-e²
		e := math.Ldexp(1, -23+r.IntN(3))
		x, y = float32(1+e), float32(half*(1-e))
	case 2: // (1+e)² = 1 + 2e + e²
		e := math.Ldexp(1, -r.IntN(24))
		x, y = float32(1+e), float32(half*(1+e))
	case 3:
		x, y = float32(math.Ldexp(float64(1<<23+r.IntN(1<<23)), -23)), float32(half)
	}
	if r.IntN(2) == 0 {
		x = -x
	}
	if r.IntN(2) == 0 {
		z = -z
	}
	return x, y, z
}

func TestFMA32RoundsOnce(t *testing.T) {
	special := []float32{
		0, float32(math.Copysign(0, -1)), 1, -1, 0x1p-149, -0x1p-149, 0x1p-126, -0x1p-126, 0x1p-126 - 0x1p-149, 0x1p-127, 0x1p-75, 0x1p-74, -0x1p-74,
		math.MaxFloat32, -math.MaxFloat32, 0x1p103, 0x1p102, 0x1p64, 1 + 0x1p-23, 1 - 0x1p-24, 0x1p-24, 0x1p-25, 3, 0x1.8p-149 * 2,
		float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
	}
	oracle := newBigFMA()
	check := func(x, y, z float32) {
		if got, want := FMA32(x, y, z), oracle.fma(x, y, z); !sameBits(got, want) {
			t.Fatalf("FMA32(%x, %x, %x) = %x (%#08x), want %x (%#08x)", x, y, z, got, math.Float32bits(got), want, math.Float32bits(want))
		}
	}
	for _, x := range special {
		for _, y := range special {
			for _, z := range special {
				check(x, y, z)
			}
		}
	}
	each := 400_000
	if underRace {
		each = 10_000
	}
	r := rand.New(rand.NewPCG(1, 2))
	families := []struct {
		name string
		next func() (x, y, z float32)
	}{
		{"any bits", func() (x, y, z float32) {
			return math.Float32frombits(r.Uint32()), math.Float32frombits(r.Uint32()), math.Float32frombits(r.Uint32())
		}},
		{"gaussian", func() (x, y, z float32) {
			return float32(r.NormFloat64()), float32(r.NormFloat64()), float32(r.NormFloat64())
		}},
		{"midpoints", func() (x, y, z float32) { return midpointTriple(r) }},
		{"subnormal results", func() (x, y, z float32) {
			x, y = float32(math.Ldexp(r.NormFloat64(), -60-r.IntN(30))), float32(math.Ldexp(r.NormFloat64(), -60-r.IntN(30)))
			return x, y, math.Float32frombits(r.Uint32()&0x80ffffff | r.Uint32()>>uint(8+r.IntN(24)))
		}},
		{"cancellation", func() (x, y, z float32) {
			x, y = float32(r.NormFloat64()), float32(r.NormFloat64())
			return x, y, math.Float32frombits(math.Float32bits(-x*y) + uint32(r.IntN(5)) - 2)
		}},
		{"near overflow", func() (x, y, z float32) {
			x, y = float32(math.Ldexp(1+r.Float64(), 63+r.IntN(3)-1)), float32(math.Ldexp(1+r.Float64(), 63))
			return x, y, math.Float32frombits(0x7f000000 + r.Uint32N(0x00ffffff) | r.Uint32()&(1<<31))
		}},
		{"short significands", func() (x, y, z float32) {
			mask := uint32(0xffff0000)
			return math.Float32frombits(math.Float32bits(float32(r.NormFloat64())) & mask), math.Float32frombits(math.Float32bits(float32(r.NormFloat64())) & mask),
				math.Float32frombits(math.Float32bits(float32(math.Ldexp(r.NormFloat64(), r.IntN(16)))) &^ 0xff)
		}},
	}
	for _, family := range families {
		t.Run(family.name, func(t *testing.T) {
			for range each {
				check(family.next())
			}
		})
	}
}

// TestDoubleRoundingMatters shows that the slow path is reached: rounding to f64 and then to f32 gives other bits.
func TestDoubleRoundingMatters(t *testing.T) {
	x, y, z := float32(1+0x1p-23), float32(0x1p-24*(1-0x1p-23)), float32(1)
	naive := float32(float64(x)*float64(y) + float64(z))
	if got := FMA32(x, y, z); got != 1 || naive != 1 { // below the midpoint by 2^-70: ties to even agrees here
		t.Errorf("below an even midpoint: %x, naively %x", got, naive)
	}
	z = 1 + 0x1p-23
	naive = float32(float64(x)*float64(y) + float64(z))
	if got := FMA32(x, y, z); got != 1+0x1p-23 || naive != 1+0x1p-22 {
		t.Errorf("below an odd midpoint: %x, naively %x", got, naive)
	}
}

func FuzzFMA32(f *testing.F) {
	f.Add(uint32(0x3f800001), uint32(0x337ffffe), uint32(0x3f800001))
	f.Add(uint32(1), uint32(0x3f000000), uint32(0x80000001))
	oracle := newBigFMA()
	f.Fuzz(func(t *testing.T, a, b, c uint32) {
		x, y, z := math.Float32frombits(a), math.Float32frombits(b), math.Float32frombits(c)
		if got, want := FMA32(x, y, z), oracle.fma(x, y, z); !sameBits(got, want) {
			t.Fatalf("FMA32(%x, %x, %x) = %x, want %x", x, y, z, got, want)
		}
	})
}
