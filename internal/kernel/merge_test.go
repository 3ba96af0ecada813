package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// encode stores values as dtype.
func encode(dtype tensor.DType, values ...float64) []byte {
	var out []byte
	for _, v := range values {
		switch dtype {
		case tensor.BF16:
			out = binary.LittleEndian.AppendUint16(out, tensor.F64ToBF16(v))
		case tensor.F16:
			out = binary.LittleEndian.AppendUint16(out, tensor.F64ToF16(v))
		case tensor.F32:
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)))
		case tensor.F64:
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(v))
		}
	}
	return out
}

func gaussian(r *rand.Rand, dtype tensor.DType, n int, size float64) []byte {
	values := make([]float64, n)
	for i := range values {
		values[i] = size * r.NormFloat64()
	}
	return encode(dtype, values...)
}

// naiveMerge is rule 5 as it is written, one entry at a time.
func naiveMerge(t *testing.T, src []byte, dtype tensor.DType, d *Delta) ([]byte, []float32, Counts) {
	t.Helper()
	rows, cols := d.Shape()
	w := make([]float32, rows*cols)
	if err := tensor.ToF32(w, src, dtype); err != nil {
		t.Fatal(err)
	}
	delta := make([]float32, rows*cols)
	var dst []byte
	var counts Counts
	size := dtype.Size()
	for row := range rows {
		for col := range cols {
			i, j := row, col
			if d.FanInFanOut {
				i, j = col, row
			}
			var sum float32
			for k := range d.Rank {
				sum = FMA32(d.SB[i*d.Rank+k], d.A[k*d.In+j], sum)
			}
			at := row*cols + col
			delta[at] = sum
			merged := float64(w[at] + sum)
			entry := encode(dtype, merged)
			before := src[at*size : (at+1)*size]
			if w[at] != w[at] {
				entry = quiet(before, dtype)
			} else if merged != merged {
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
	}
	return dst, delta, counts
}

// quiet sets the bit that makes a stored NaN a quiet one.
func quiet(entry []byte, dtype tensor.DType) []byte {
	at, bit := map[tensor.DType]int{tensor.BF16: 0, tensor.F16: 1, tensor.F32: 2}[dtype], map[tensor.DType]byte{tensor.BF16: 0x40, tensor.F16: 2, tensor.F32: 0x40}[dtype]
	entry = bytes.Clone(entry)
	entry[at] |= bit
	return entry
}

func finite(f float32) bool { return f-f == 0 }

func newDelta(t testing.TB, a []byte, aType tensor.DType, b []byte, bType tensor.DType, rank, in, out int, scale float64, fan bool) *Delta {
	t.Helper()
	d, err := NewDelta(a, aType, b, bType, rank, in, out, scale, fan)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMergeRowsIsRuleFive(t *testing.T) {
	eachImplementation(t, testMergeRowsIsRuleFive)
}

func testMergeRowsIsRuleFive(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
		for _, shape := range []struct{ out, in, rank int }{{1, 1, 1}, {3, 5, 2}, {7, 4, 9}, {16, 70, 4}, {5, 300, 257}, {26, 97, 33}, {2, 2500, 3}} {
			if underRace && shape.in > 100 {
				continue
			}
			for _, sizes := range []struct {
				name    string
				a, b, w float64
			}{{"usual", 0.1, 0.05, 0.02}, {"tiny", 1e-20, 1e-19, 1e-39}, {"mixed", 1e-30, 1, 1e-30}, {"overflowing", 1e20, 1e19, 1e38}, {"infinite", 1e30, 1e30, 1}} {
				for _, fan := range []bool{false, true} {
					t.Run(fmt.Sprintf("%v/%dx%dr%d/%s/fan=%v", dtype, shape.out, shape.in, shape.rank, sizes.name, fan), func(t *testing.T) {
						factors := tensor.F32
						if r.IntN(2) == 0 {
							factors = tensor.BF16
						}
						a, b := gaussian(r, factors, shape.rank*shape.in, sizes.a), gaussian(r, factors, shape.out*shape.rank, sizes.b)
						src := gaussian(r, dtype, shape.out*shape.in, sizes.w)
						checkMerge(t, src, dtype, newDelta(t, a, factors, b, factors, shape.rank, shape.in, shape.out, 1.5, fan))
					})
				}
			}
		}
	}
}

// checkMerge compares MergeRows, in one piece, in two and in place, and DeltaRows, with naiveMerge.
func checkMerge(t *testing.T, src []byte, dtype tensor.DType, d *Delta) {
	t.Helper()
	want, wantDelta, wantCounts := naiveMerge(t, src, dtype, d)
	rows, cols := d.Shape()
	got := make([]byte, len(src))
	counts, err := MergeRows(got, src, dtype, d, 0, rows)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("merged in one piece: other bytes than rule 5")
	}
	if counts != wantCounts {
		t.Errorf("counts %+v, want %+v", counts, wantCounts)
	}
	inPlace, cut := bytes.Clone(src), rows/2*cols*dtype.Size()
	first, err := MergeRows(inPlace[:cut], inPlace[:cut], dtype, d, 0, rows/2)
	if err != nil {
		t.Fatal(err)
	}
	second, err := MergeRows(inPlace[cut:], inPlace[cut:], dtype, d, rows/2, rows-rows/2)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(inPlace, want) || first.Add(second) != wantCounts {
		t.Error("merged in place and in two pieces: other bytes or counts")
	}
	row := make([]float32, cols)
	for i := range rows {
		DeltaRows(row, d, i, 1)
		for j, v := range row {
			if !sameBits(v, wantDelta[i*cols+j]) {
				t.Fatalf("DeltaRows(%d)[%d] = %x, want %x", i, j, v, wantDelta[i*cols+j])
			}
		}
	}
}

func TestMergeRowsKeepsNaN(t *testing.T) {
	eachImplementation(t, testMergeRowsKeepsNaN)
}

func testMergeRowsKeepsNaN(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	d := newDelta(t, encode(tensor.F32, 1, inf, -inf, 1), tensor.F32, encode(tensor.F32, 1, nan), tensor.F32, 1, 4, 2, 1, false)
	signalling := map[tensor.DType][]byte{tensor.BF16: {0x81, 0xff}, tensor.F16: {0x01, 0xfd}, tensor.F32: {1, 0, 0x80, 0xff}}
	for dtype, odd := range signalling {
		t.Run(dtype.String(), func(t *testing.T) {
			src := append(encode(dtype, 1, 2, inf), odd...)
			src = append(src, encode(dtype, inf, 0, -1, nan)...)
			checkMerge(t, src, dtype, d)
		})
	}
}

// TestZeroTimesInfinity guards the fast path for factors of zeros.
func TestZeroTimesInfinity(t *testing.T) {
	eachImplementation(t, testZeroTimesInfinity)
}

func testZeroTimesInfinity(t *testing.T) {
	for _, v := range []float64{math.Inf(1), math.NaN(), math.MaxFloat32, 0x1p-149} {
		d := newDelta(t, encode(tensor.F32, v, 1), tensor.F32, make([]byte, 8), tensor.F32, 1, 2, 2, 1, false)
		checkMerge(t, encode(tensor.BF16, 1, 2, 3, 4), tensor.BF16, d)
	}
}

func TestZeroDeltaChangesNothing(t *testing.T) {
	eachImplementation(t, testZeroDeltaChangesNothing)
}

func testZeroDeltaChangesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	a, b := gaussian(r, tensor.F32, 4*33, 1), make([]byte, 4*4*9)
	d := newDelta(t, a, tensor.F32, b, tensor.F32, 4, 33, 9, 2, false)
	src := gaussian(r, tensor.BF16, 9*33, 1)
	dst := make([]byte, len(src))
	counts, err := MergeRows(dst, src, tensor.BF16, d, 0, 9)
	if err != nil || counts != (Counts{}) || !bytes.Equal(dst, src) {
		t.Errorf("counts %+v, error %v, equal %v", counts, err, bytes.Equal(dst, src))
	}
}

func TestNewDeltaRefuses(t *testing.T) {
	two := make([]byte, 4*2)
	for _, c := range []struct {
		name          string
		a, b          []byte
		dtype         tensor.DType
		rank, in, out int
		scale         float64
	}{
		{"no rank", nil, nil, tensor.F32, 0, 2, 2, 1},
		{"negative shape", two, two, tensor.F32, 1, -2, 2, 1},
		{"short A", two[:4], two, tensor.F32, 1, 2, 2, 1},
		{"long B", two, make([]byte, 12), tensor.F32, 1, 2, 2, 1},
		{"odd bytes", two, make([]byte, 9), tensor.F32, 1, 2, 2, 1},
		{"huge shape", two, two, tensor.F32, math.MaxInt, math.MaxInt, 2, 1},
		{"integers", two, two, tensor.I32, 1, 2, 2, 1},
		{"sub-byte", two, two, tensor.F4, 1, 2, 2, 1},
		{"infinite scale", two, two, tensor.F32, 1, 2, 2, 1e39},
		{"NaN scale", two, two, tensor.F32, 1, 2, 2, math.NaN()},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d, err := NewDelta(c.a, c.dtype, c.b, c.dtype, c.rank, c.in, c.out, c.scale, false); err == nil {
				t.Errorf("accepted as %+v", d)
			}
		})
	}
}

func TestMergeRowsRefuses(t *testing.T) {
	d := newDelta(t, make([]byte, 8), tensor.F32, make([]byte, 12), tensor.F32, 1, 2, 3, 1, false)
	for _, c := range []struct {
		name        string
		dst, src    int
		dtype       tensor.DType
		first, rows int
	}{
		{"negative first", 4, 4, tensor.BF16, -1, 1}, {"negative rows", 0, 0, tensor.BF16, 1, -1}, {"past the end", 8, 8, tensor.BF16, 2, 2},
		{"short source", 4, 2, tensor.BF16, 0, 1}, {"short target", 2, 4, tensor.BF16, 0, 1}, {"f64", 16, 16, tensor.F64, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := MergeRows(make([]byte, c.dst), make([]byte, c.src), c.dtype, d, c.first, c.rows); err == nil {
				t.Error("accepted")
			}
		})
	}
}
