package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

var scanFormats = []struct {
	name  string
	block int
	round func(values []float64)
}{
	{"bf16", 1, RoundBF16}, {"f16", 1, RoundF16}, {"f32", 1, RoundF32},
	{"q8_0", Q8Block, RoundQ8}, {"q4_0", Q4Block, RoundQ4}, {"nf4", NF4Block, RoundNF4},
}

// formatValues are values of one kind, many of them at or beside a tie.
func formatValues(r *rand.Rand, kind string, n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		v := r.NormFloat64()
		switch kind {
		case "bits":
			v = math.Float64frombits(r.Uint64())
		case "halves":
			v = math.Float64frombits(uint64(r.Uint32())<<32) * 0x1p-14
		case "wide":
			v = math.Ldexp(v, r.IntN(400)-200)
		case "f16 subnormal":
			v = math.Ldexp(float64(r.IntN(4096)-2048), -26)
		case "ties":
			v = (float64(r.IntN(511)) - 255) / 254 * 3
		case "tiny":
			v = math.Float64frombits(uint64(r.IntN(300)))
		case "opposite":
			v = float64(r.IntN(2)*2-1) * 1.5
		case "zero":
			v = 0
		case "f16 end":
			v = 65504 + float64(r.IntN(64))
		case "bf16 end":
			v = (0x1.fep127 + float64(r.IntN(64))*0x1p114) * float64(r.IntN(2)*2-1)
		}
		values[i] = v
	}
	return values
}

var formatKinds = []string{"normal", "bits", "halves", "wide", "f16 subnormal", "ties", "tiny", "opposite", "zero", "f16 end", "bf16 end"}

// TestFormats holds all implementations against portable code, and that against package tensor.
func TestFormats(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		here := active
		defer func() { active = here }()
		for _, f := range scanFormats {
			for _, kind := range formatKinds {
				for _, n := range []int{64, 640, 67} {
					if n%f.block != 0 {
						continue
					}
					r := rand.New(rand.NewPCG(6, uint64(n)))
					values := formatValues(r, kind, n)
					for _, broken := range []float64{1, math.Inf(-1), math.NaN()} {
						if broken != 1 {
							values[n/2] = broken
						}
						got, want := append([]float64(nil), values...), append([]float64(nil), values...)
						active = here
						f.round(got)
						active = generic
						f.round(want)
						for j, w := range want {
							switch f.name {
							case "bf16":
								w = float64(tensor.BF16ToF32(tensor.F64ToBF16(values[j])))
							case "f16":
								w = float64(tensor.F16ToF32(tensor.F64ToF16(values[j])))
							}
							if !same(got[j], w) {
								t.Fatalf("%s of %s: value %d of %d, %x, gives %x, want %x", f.name, kind, j, n, values[j], got[j], w)
							}
						}
					}
				}
			}
		}
	})
}

func TestTakeRounding(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 1))
		for _, n := range []int{1, 3, 4, 5, 64, 1023, 1024} {
			for _, kind := range []string{"normal", "wide", "bits", "zero"} {
				var all [4][]float64
				for i := range all {
					all[i] = formatValues(r, kind, n)
				}
				for j := 0; j < n; j += 3 {
					all[3][j] = all[2][j] // a change that is lost
				}
				all[1][n/2] = 0
				var want roundingTally
				want.add(all[0], all[1], all[2], all[3])
				if got := TakeRounding(all[0], all[1], all[2], all[3]); fmt.Sprint(got) != fmt.Sprint(want.rounding()) {
					t.Errorf("%d values, %s: got  %+v\nwant %+v", n, kind, got, want.rounding())
				}
			}
		}
	})
}

func BenchmarkFormats(b *testing.B) {
	const n = 1024
	r := rand.New(rand.NewPCG(8, 1))
	values, room := formatValues(r, "normal", n), make([]float64, n)
	for _, f := range scanFormats {
		b.Run(f.name, func(b *testing.B) {
			b.SetBytes(int64(tensor.F64.Size() * n))
			for b.Loop() {
				copy(room, values)
				f.round(room)
			}
		})
	}
	b.Run("sums", func(b *testing.B) {
		b.SetBytes(int64(tensor.F64.Size() * n))
		for b.Loop() {
			TakeRounding(values, values, values, values)
		}
	})
}
