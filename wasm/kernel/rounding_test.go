package kernel

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

var everyFormat = []abi.Format{abi.FormatF16, abi.FormatBF16, abi.FormatF32, abi.FormatQ8_0, abi.FormatQ4_0, abi.FormatNF4}

// TestOneRounding: the roundings on bits are those of package tensor, at every exponent and around midpoints.
func TestOneRounding(t *testing.T) {
	var values []float64
	for exponent := -160; exponent <= 140; exponent++ {
		for _, m := range []float64{1, 1 + 0x1p-7, 1 + 0x1p-8, 1 + 0x1p-8 + 0x1p-40, 1 + 0x3p-8, 1 + 0x1p-11, 1 + 0x3p-11, 1.3, 2 - 0x1p-8,
			2 - 0x1p-12, 2 - 0x1p-52} {
			values = append(values, math.Ldexp(m, exponent), -math.Ldexp(m, exponent))
		}
	}
	values = append(values, 0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, 5e-324)
	for name, c := range map[string]struct {
		round func([]float64)
		want  func(float64) float64
	}{
		"bf16": {kernel.RoundBF16, func(v float64) float64 { return float64(tensor.BF16ToF32(tensor.F64ToBF16(v))) }},
		"f16":  {kernel.RoundF16, func(v float64) float64 { return float64(tensor.F16ToF32(tensor.F64ToF16(v))) }},
	} {
		t.Run(name, func(t *testing.T) {
			got := append([]float64(nil), values...)
			c.round(got)
			for i, v := range values {
				if want := c.want(v); math.Float64bits(got[i]) != math.Float64bits(want) && (v == v || got[i] == got[i]) {
					t.Fatalf("%x becomes %x, want %x", v, got[i], want)
				}
			}
		})
	}
}

// TestBlocks: what is known of the formats of blocks without computing them.
func TestBlocks(t *testing.T) {
	block := func(n int, values ...float64) []float64 { return append(values, make([]float64, n-len(values))...) }
	for _, c := range []struct {
		name     string
		round    func([]float64)
		in, want []float64
	}{
		{"Q8_0 of whole numbers", formats[abi.FormatQ8_0].round, block(32, 127, -126, 0.5, -0.5, 0.49, 1.5), block(32, 127, -126, 1, -1, 0, 2)},
		{"Q8_0's scale is an f16", formats[abi.FormatQ8_0].round, block(32, 1), block(32, 127*float64(tensor.F16ToF32(tensor.F64ToF16(1./127))))},
		{"Q8_0 of zeros", formats[abi.FormatQ8_0].round, block(32), block(32)},
		{"Q4_0 has 7 above and 8 below", formats[abi.FormatQ4_0].round, block(32, -8, 7, 7.6, 0.5, -0.5, 0.4), block(32, -8, 7, 7, 1, 0, 0)},
		{"Q4_0 turned over", formats[abi.FormatQ4_0].round, block(32, 8, -7, -8), block(32, 8, -7, -7)},
		{"NF4", formats[abi.FormatNF4].round, block(64, -2, 2, 0.1, 0.0794, -1.7),
			block(64, -2, 2, 2*0.07958029955625534, 0, -2)},
		{"NF4 of zeros", formats[abi.FormatNF4].round, block(64), block(64)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := append([]float64(nil), c.in...)
			c.round(got)
			for i, want := range c.want {
				if got[i] != want {
					t.Errorf("%g becomes %g, want %g", c.in[i], got[i], want)
				}
			}
			again := append([]float64(nil), got...)
			if c.round(again); fmt.Sprint(again) != fmt.Sprint(got) {
				t.Error("what was rounded rounds to something else")
			}
		})
	}
	for _, f := range []abi.Format{abi.FormatQ8_0, abi.FormatQ4_0, abi.FormatNF4} {
		x := make([]float64, 128)
		x[3], x[70] = math.Inf(-1), 1
		formats[f].round(x)
		if x[0] == x[0] || x[3] == x[3] || x[70] != x[70] {
			t.Errorf("format %d: a block that is not finite becomes %v", f, x)
		}
	}
}

// naiveRounding follows the definitions, with the formats' own roundings of a whole row.
func naiveRounding(w, product *Matrix, scale float64, f abi.Format, first, rows int) abi.Rounding {
	r := abi.Rounding{Count: int64(rows * w.Cols)}
	for i := first; i < first+rows; i++ {
		base := append([]float64(nil), w.Row(i)...)
		formats[f].round(base)
		merged := append([]float64(nil), base...)
		for j := range merged {
			merged[j] += float64(scale * product.Row(i)[j])
		}
		formats[f].round(merged)
		for j, x := range w.Row(i) {
			d, change := float64(scale*product.Row(i)[j]), merged[j]-base[j]
			switch {
			case x-x != 0 || d-d != 0:
				r.NonFinite++
				continue
			case d != 0:
				r.NonZero++
			}
			if change != 0 {
				r.Changed++
			} else if d != 0 {
				r.Lost++
			}
			if merged[j]-merged[j] != 0 {
				r.Overflow++
				continue
			}
			r.Dot += change * d
			r.DeltaSquares += d * d
			r.RoundedSquares += change * change
			r.ErrorSquares += (change - d) * (change - d)
			r.BaseSquares += x * x
			r.BaseError += (x - base[j]) * (x - base[j])
		}
	}
	return r
}

func TestRoundings(t *testing.T) {
	r := newRand()
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32, tensor.F64} {
		for _, fan := range []bool{false, true} {
			for _, size := range []float64{1e-4, 1, 3e4} { // the last overflows f16
				if underRace && (dtype != tensor.BF16 || size != 1) {
					continue
				}
				t.Run(fmt.Sprintf("%v/fan=%v/%g", dtype, fan, size), func(t *testing.T) {
					const out, in, rank = 128, 1088, 5
					update := Update{B: scaled(size, random(r, out, rank)), A: random(r, rank, in), Scale: 0.5, Transposed: fan}
					stored := storedMatrix(dtype, random(r, out, in))
					if fan {
						stored = storedMatrix(dtype, random(r, in, out))
					}
					update.A.Data[7] = math.NaN()
					w := whole(t, stored)
					first, rows := 3, w.Rows-5
					got, err := Roundings(stored, update, everyFormat, first, rows)
					if err != nil {
						t.Fatal(err)
					}
					left, right := update.stored()
					product := naiveProduct(left, right, false, false)
					for i, f := range everyFormat {
						checkRounding(t, f, got[i], naiveRounding(w, product, update.Scale, f, first, rows))
					}
					if dtype != tensor.BF16 {
						return
					}
					runtimeIndependent(t, func() ([6]abi.Rounding, error) {
						all, err := Roundings(stored, update, everyFormat, first, rows)
						return [6]abi.Rounding(all), err
					})
				})
			}
		}
	}
}

func checkRounding(t *testing.T, f abi.Format, got, want abi.Rounding) {
	t.Helper()
	counts := func(r abi.Rounding) [6]int64 {
		return [6]int64{r.Count, r.NonZero, r.Lost, r.Changed, r.Overflow, r.NonFinite}
	}
	if counts(got) != counts(want) {
		t.Errorf("format %d: counts %v, want %v", f, counts(got), counts(want))
	}
	sums := func(r abi.Rounding) [6]float64 {
		return [6]float64{r.Dot, r.DeltaSquares, r.RoundedSquares, r.ErrorSquares, r.BaseSquares, r.BaseError}
	}
	for i, v := range sums(got) {
		if w := sums(want)[i]; !(math.Abs(v-w) <= 1e-11*math.Abs(w)) {
			t.Errorf("format %d: sum %d is %g, want %g", f, i, v, w)
		}
	}
}

func TestRoundingsRefuse(t *testing.T) {
	w := storedMatrix(tensor.BF16, NewMatrix(4, 96))
	update := Update{B: NewMatrix(4, 1), A: NewMatrix(1, 96), Scale: 1}
	flipped := update
	flipped.Transposed = true
	short, integers := w, w
	short.Ref.Offset = 2
	integers.DType = tensor.I16
	for _, c := range []struct {
		name        string
		w           Stored
		update      Update
		format      abi.Format
		first, rows int
		want        error
	}{
		{"other shape", w, flipped, abi.FormatBF16, 0, 4, ErrShape},
		{"no rows", w, update, abi.FormatBF16, 0, 0, ErrShape},
		{"rows before the first", w, update, abi.FormatBF16, -1, 2, ErrShape},
		{"rows after the last", w, update, abi.FormatBF16, 1, 4, ErrShape},
		{"all rows there are", w, update, abi.FormatBF16, 1, math.MaxInt, ErrShape},
		{"part of a block", w, update, abi.FormatNF4, 0, 4, ErrShape},
		{"unknown format", w, update, 99, 0, 4, ErrDType},
		{"no format", w, update, 0, 0, 4, ErrDType},
		{"integers", integers, update, abi.FormatBF16, 0, 4, ErrDType},
		{"short file", short, update, abi.FormatBF16, 0, 4, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Roundings(c.w, c.update, []abi.Format{c.format}, c.first, c.rows); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}
