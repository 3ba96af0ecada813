package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// TestProjectOrders: whichever side is multiplied first, however wide, stored as any dtype, and whatever number of processors.
func TestProjectOrders(t *testing.T) {
	r := newRand()
	const out, in = 230, 1100
	w := random(r, out, in)
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32, tensor.F64} {
		stored, flipped := storedMatrix(dtype, w), storedMatrix(dtype, transposed(w))
		exact := whole(t, stored)
		for _, k := range [][2]int{{1, 9}, {9, 1}, {17, 17}, {3, 40}} {
			t.Run(fmt.Sprintf("%v/%v", dtype, k), func(t *testing.T) {
				u, v := random(r, out, k[0]), random(r, in, k[1])
				want := naiveProduct(naiveProduct(u, exact, true, false), v, false, false)
				for _, turned := range []bool{false, true} {
					source := stored
					if turned {
						source = flipped
					}
					var first *Matrix
					runtimeIndependent(t, func() (bool, error) {
						got, _, err := ProjectStats(source, turned, u, v, dtype)
						if err != nil {
							return false, err
						}
						if first == nil {
							first = got
						}
						if d := distance(t, got, want); d > 1e-11 {
							t.Errorf("transposed %t: off by %g", turned, d)
						}
						return distance(t, got, first) == 0, nil
					})
				}
			})
		}
	}
}

// TestShortFiles: a file that ends in a later block gives the error of the first that is missing.
func TestShortFiles(t *testing.T) {
	w := random(newRand(), 700, 600)
	stored := storedMatrix(tensor.F32, w)
	stored.Reader = bytes.NewReader(encode(tensor.F32, w.Data...)[:4*600*250])
	first := fmt.Sprint(4 * 600 * 2 * blockRows(700, 600))
	for name, run := range map[string]func() error{
		"stats":       func() error { _, err := Stats(stored, tensor.F32); return err },
		"left first":  func() error { _, err := Project(stored, false, NewMatrix(700, 1), NewMatrix(600, 2)); return err },
		"right first": func() error { _, err := Project(stored, false, NewMatrix(700, 2), NewMatrix(600, 1)); return err },
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), " at "+first) {
				t.Errorf("error %v, not at %s", err, first)
			}
		})
	}
}

// TestStatsOfStoredRows: every kind of value, in rows that the fast way takes and in rows that it does not.
func TestStatsOfStoredRows(t *testing.T) {
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
		w := random(newRand(), 300, 1000)
		w.Data[5], w.Data[7*1000+1], w.Data[7*1000+2], w.Data[200*1000] = 0, math.NaN(), math.Inf(1), math.Inf(-1)
		for j := range 1000 {
			w.Data[9*1000+j] = 0
		}
		stored := storedMatrix(dtype, w)
		got, err := Stats(stored, dtype)
		if err != nil {
			t.Fatal(err)
		}
		want := got
		want.Sum, want.SumSquares, want.Min, want.Max = 0, 0, math.Inf(1), math.Inf(-1)
		for _, v := range whole(t, stored).Data {
			if v-v == 0 {
				want.Sum += v
				want.SumSquares += v * v
				want.Min, want.Max = min(want.Min, v), max(want.Max, v)
			}
		}
		if got.NaN != 1 || got.Inf != 2 || got.FirstNonFinite != 7001 || got.ZeroRows != 1 || got.ZeroCols != 0 || got.Zero < 1001 ||
			got.Min != want.Min || got.Max != want.Max || math.Abs(got.Sum-want.Sum) > 1e-9 || math.Abs(got.SumSquares/want.SumSquares-1) > 1e-12 {
			t.Errorf("%v: %+v, sums %g and %g", dtype, got, want.Sum, want.SumSquares)
		}
	}
}
