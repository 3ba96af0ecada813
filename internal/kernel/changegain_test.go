package kernel

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// naiveScaled is DoRA as it is documented, one entry at a time, with these gains, or those that magnitudes give.
func naiveScaled(t *testing.T, src []byte, dtype tensor.DType, d *Delta, gains []float32) (dst []byte, sums []float64, counts Counts) {
	t.Helper()
	rows, cols := d.Shape()
	w, delta := make([]float32, rows*cols), make([]float32, rows*cols)
	if err := tensor.ToF32(w, src, dtype); err != nil {
		t.Fatal(err)
	}
	withGeneric(func() { DeltaRows(delta, d, 0, rows) })
	sums = make([]float64, d.Out)
	size := dtype.Size()
	for row := range rows {
		var lane [16]float64
		for col := range cols {
			at := row*cols + col
			v := w[at] + delta[at]
			output := row
			if d.FanInFanOut {
				output = col
				sums[col] += float64(v) * float64(v)
			} else {
				lane[col%16] += float64(v) * float64(v)
			}
			scaled := float64(float32(gains[output] * v))
			before, entry := src[at*size:(at+1)*size], encode(dtype, scaled)
			if w[at] != w[at] {
				entry = quiet(before, dtype)
			} else if scaled != scaled {
				entry = map[tensor.DType][]byte{tensor.BF16: {0xc0, 0x7f}, tensor.F16: {0x00, 0x7e}, tensor.F32: {0, 0, 0xc0, 0x7f}}[dtype]
			}
			after := make([]float32, 1)
			if err := tensor.ToF32(after, entry, dtype); err != nil {
				t.Fatal(err)
			}
			if finite(w[at]) && !finite(after[0]) {
				counts.NonFinite++
			}
			if !bytes.Equal(entry, before) {
				counts.Changed++
			}
			dst = append(dst, entry...)
		}
		if !d.FanInFanOut {
			sums[row] = ((lane[0] + lane[8] + (lane[4] + lane[12])) + (lane[2] + lane[10] + (lane[6] + lane[14]))) +
				((lane[1] + lane[9] + (lane[5] + lane[13])) + (lane[3] + lane[11] + (lane[7] + lane[15])))
		}
	}
	return dst, sums, counts
}

func TestChangeScales(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(23, 24))
		for _, dtype := range mergeable {
			for _, shape := range []struct{ rank, rows, cols, every int }{{1, 1, 1, 0}, {3, 7, 15, 0}, {8, 13, 16, 9}, {5, 30, 97, 0}, {2, 9, 2100, 0}, {4, 14, 70, 30}} {
				for _, fan := range []bool{false, true} {
					t.Run(fmt.Sprintf("%v/%+v/fan=%v", dtype, shape, fan), func(t *testing.T) {
						d := randomDelta(t, r, shape.rank, shape.rows, shape.cols, fan)
						src := gaussian(r, dtype, shape.rows*shape.cols, 0.02)
						if shape.every > 0 {
							strew(r, src, dtype, shape.every)
						}
						checkScaled(t, src, dtype, d, gaussians(r, d.Out), shape.every == 0)
					})
				}
			}
		}
	})
}

// scaledChange is a DoRA.
func scaledChange(d *Delta, gains []float32) *Change {
	rows, cols := d.Shape()
	return &Change{Rows: rows, Cols: cols, Deltas: []*Delta{d}, Gains: gains, OfColumns: d.FanInFanOut}
}

func checkScaled(t *testing.T, src []byte, dtype tensor.DType, d *Delta, gains []float32, withSums bool) {
	t.Helper()
	want, wantSums, wantCounts := naiveScaled(t, src, dtype, d, gains)
	c := scaledChange(d, gains)
	stride := c.Cols * dtype.Size()
	got, sums := make([]byte, len(src)), c.Sums()
	counts, err := c.MergeRows(got, src, nil, nil, dtype, 0, c.Rows)
	if err != nil || !bytes.Equal(got, want) || counts != wantCounts {
		t.Errorf("equal %v, %+v, want %+v, error %v", bytes.Equal(got, want), counts, wantCounts, err)
	}
	cut := c.Rows / 2
	for _, part := range [][2]int{{0, cut}, {cut, c.Rows}} {
		if err := c.SquareSums(sums, src[part[0]*stride:part[1]*stride], nil, nil, dtype, part[0], part[1]-part[0]); err != nil {
			t.Fatal(err)
		}
	}
	if withSums && !slices.Equal(sums, wantSums) {
		t.Error("other sums of squares")
	}
	inPlace := bytes.Clone(src)
	if _, err := c.MergeRows(inPlace, inPlace, nil, nil, dtype, 0, c.Rows); err != nil || !bytes.Equal(inPlace, want) {
		t.Errorf("in place: equal %v, error %v", bytes.Equal(inPlace, want), err)
	}
}

func TestGains(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		name      string
		magnitude float32
		sum       float64
		want      float32
		refused   bool
	}{
		{"usual", 3, 4, 1.5, false}, {"no magnitude", 0, 4, 0, false}, {"rounded once", 1, 3, float32(1 / math.Sqrt(3)), false},
		{"no length", 1, 0, 0, true}, {"infinite", 1, inf, 0, true}, {"NaN", 1, nan, 0, true}, {"overflow", math.MaxFloat32, 1e-3, 0, true},
		{"magnitude NaN", float32(nan), 1, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			gains := make([]float32, 1)
			if err := Gains(gains, []float32{c.magnitude}, []float64{c.sum}); (err != nil) != c.refused || err == nil && gains[0] != c.want {
				t.Errorf("%v, error %v", gains, err)
			}
		})
	}
}
