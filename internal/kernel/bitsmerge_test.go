package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// bitCase is a merge of random values.
type bitCase struct {
	dtype         tensor.DType
	rank, in, out int
	fan           bool
	values        string // of bitValues
}

func (c bitCase) String() string {
	return fmt.Sprintf("%v/%dx%d/r=%d/fan=%v/%s", c.dtype, c.out, c.in, c.rank, c.fan, c.values)
}

// bitValues are the kinds of numbers that a merge may meet: how large its factors and its weight are, and how many of them in 1,000 are any
// pattern at all instead.
var bitValues = map[string]struct {
	a, b, w float64
	wild    int
}{
	"usual":       {a: 0.1, b: 0.05, w: 0.02},
	"subnormal":   {a: 1e-20, b: 1e-19, w: 1e-39},
	"underflow":   {a: 1e-23, b: 1e-23, w: 1e-44},
	"half tiny":   {a: 1e-4, b: 1e-3, w: 1e-7},
	"overflowing": {a: 1e19, b: 1e19, w: 1e38},
	"half huge":   {a: 100, b: 100, w: 30_000},
	"some wild":   {a: 0.1, b: 0.05, w: 0.02, wild: 1},
	"wild":        {wild: 1000},
}

var bitKinds = func() (kinds []string) {
	for kind := range bitValues {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}()

// draw makes the delta and the stored weight of a case.
func (c bitCase) draw(t *testing.T, r *rand.Rand) (*Delta, []byte) {
	t.Helper()
	v := bitValues[c.values]
	fill := func(dtype tensor.DType, n int, size float64) []byte {
		stored := gaussian(r, dtype, n, size)
		for i := range n {
			if r.IntN(1000) < v.wild {
				for j := range dtype.Size() {
					stored[i*dtype.Size()+j] = byte(r.Uint32())
				}
			}
		}
		return stored
	}
	factors := []tensor.DType{tensor.F32, tensor.BF16, tensor.F16}[r.IntN(3)]
	if c.values != "usual" && factors == tensor.F16 {
		factors = tensor.F32 // which can hold what the others ask for
	}
	a, b := fill(factors, c.rank*c.in, v.a), fill(factors, c.out*c.rank, v.b)
	return newDelta(t, a, factors, b, factors, c.rank, c.in, c.out, 1.5, c.fan), fill(c.dtype, c.in*c.out, v.w)
}

// guarded is a buffer at an odd address between bytes that nothing may write.
type guarded struct{ all, inner []byte }

const guard = 64

func newGuarded(content []byte, offset int) guarded {
	all := bytes.Repeat([]byte{0xa5}, len(content)+2*guard+offset)
	g := guarded{all, all[guard+offset:][:len(content)]}
	copy(g.inner, content)
	return g
}

// intact says that the bytes around the buffer are as they were.
func (g guarded) intact() bool {
	from := cap(g.all) - cap(g.inner)
	around := slices.Concat(g.all[:from], g.all[from+len(g.inner):])
	return bytes.Count(around, []byte{0xa5}) == len(around)
}

// mergeBits merges a weight by the active implementation, at odd addresses, elsewhere and in place, in pieces of rows, and by goroutines, and fails
// where a result is not want.
func mergeBits(t *testing.T, c bitCase, d *Delta, src, want []byte, wantCounts Counts, wantDelta []float32) {
	t.Helper()
	rows, cols := d.Shape()
	check := func(how string, got []byte, counts Counts, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if !sameStored(got, want, c.dtype) {
			size := c.dtype.Size()
			at := 0
			for bytes.Equal(got[at*size:(at+1)*size], want[at*size:(at+1)*size]) {
				at++
			}
			t.Fatalf("%v, %s: row %d, column %d: W %x becomes %x, want %x", c, how, at/cols, at%cols,
				src[at*size:(at+1)*size], got[at*size:(at+1)*size], want[at*size:(at+1)*size])
		}
		if counts != wantCounts && bytes.Equal(got, want) {
			t.Fatalf("%v, %s: counts %+v, want %+v", c, how, counts, wantCounts)
		}
	}
	from, to := newGuarded(src, 1+2*(c.rank%29)), newGuarded(make([]byte, len(src)), 1+2*(c.in%29))
	counts, err := MergeRows(to.inner, from.inner, c.dtype, d, 0, rows)
	check("elsewhere", to.inner, counts, err)
	if !to.intact() || !bytes.Equal(from.inner, src) {
		t.Fatalf("%v: bytes outside of the target were written", c)
	}

	stride, cut := cols*c.dtype.Size(), rows/3
	inPlace := newGuarded(src, 1+2*(c.out%29))
	first, err := MergeRows(inPlace.inner[:cut*stride], inPlace.inner[:cut*stride], c.dtype, d, 0, cut)
	if err != nil {
		t.Fatal(err)
	}
	second, err := MergeRows(inPlace.inner[cut*stride:], inPlace.inner[cut*stride:], c.dtype, d, cut, rows-cut)
	check("in place and in two pieces", inPlace.inner, first.Add(second), err)
	if !inPlace.intact() {
		t.Fatalf("%v: bytes around the weight were written", c)
	}

	counts, err = ParallelMergeRows(to.inner, src, c.dtype, d, 0, rows, 3)
	check("by three goroutines", to.inner, counts, err)

	delta := make([]float32, rows*cols)
	DeltaRows(delta, d, 0, rows)
	for i, v := range delta {
		if !sameBits(v, wantDelta[i]) {
			t.Fatalf("%v: DeltaRows gives %x in row %d, column %d, want %x", c, v, i/cols, i%cols, wantDelta[i])
		}
	}
}

// checkBits holds every implementation to the definition.
func checkBits(t *testing.T, cases []bitCase) {
	for _, c := range cases {
		d, src := c.draw(t, rand.New(rand.NewPCG(uint64(c.rank), uint64(c.in*1000+c.out))))
		want, wantDelta, wantCounts := naiveMerge(t, src, c.dtype, d)
		before := active
		for _, i := range usable() {
			active = i
			if !t.Run(c.String()+"/"+i.name, func(t *testing.T) { mergeBits(t, c, d, src, want, wantCounts, wantDelta) }) {
				break
			}
		}
		active = before
	}
}

// usable returns the implementations that this processor can run.
func usable() []*implementation {
	all := append(implementations[:len(implementations):len(implementations)], generic)
	return slices.DeleteFunc(all, func(i *implementation) bool { return !i.usable })
}

// TestMergeBitsOfRanks merges at every rank that a tile may have to deal with.
func TestMergeBitsOfRanks(t *testing.T) {
	var cases []bitCase
	primes := []int{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41}
	for rank := 1; rank <= 257; rank++ {
		if (testing.Short() || underRace) && rank > 9 && min(rank%64, 64-rank%64) > 1 {
			continue
		}
		for i, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
			n := 3*rank + i
			cases = append(cases, bitCase{dtype, rank, primes[n%len(primes)], primes[n/2%len(primes)], n%2 == 0, bitKinds[n/3%len(bitKinds)]})
		}
	}
	checkBits(t, cases)
}

// TestMergeBitsOfShapes merges weights that fill no tile, one, or many, at small ranks.
func TestMergeBitsOfShapes(t *testing.T) {
	shapes := [][2]int{ // outputs and inputs
		{1, 1}, {1, 2}, {2, 1}, {1, 31}, {31, 1}, {1, 33}, {33, 1}, {1, 1009}, {1009, 1}, {2, 509}, {509, 2},
		{5, 15}, {6, 16}, {7, 17}, {11, 31}, {12, 32}, {13, 37}, {24, 64}, {23, 61}, {25, 67}, {17, 521}, {127, 131},
	}
	var cases []bitCase
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
		for _, shape := range shapes {
			for _, fan := range []bool{false, true} {
				for k, kind := range bitKinds {
					if (testing.Short() || underRace) && (k+shape[0]+shape[1])%8 != 0 {
						continue
					}
					cases = append(cases, bitCase{dtype, 1 + (k+shape[0])%5, shape[1], shape[0], fan, kind})
				}
			}
		}
	}
	checkBits(t, cases)
}

// TestScaledBits holds the implementations of DoRA's passes to the portable one.
func TestScaledBits(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, dtype := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32} {
		for n, shape := range [][2]int{{1, 1}, {1, 37}, {37, 1}, {7, 17}, {13, 67}, {31, 131}, {3, 1031}, {1031, 3}} {
			for k, kind := range bitKinds {
				if (testing.Short() || underRace) && (n+k)%4 != 0 {
					continue
				}
				for _, fan := range []bool{false, true} {
					c := bitCase{dtype, 1 + n, shape[1], shape[0], fan, kind}
					t.Run(c.String(), func(t *testing.T) {
						d, src := c.draw(t, r)
						gains := make([]float32, c.out)
						for i := range gains {
							gains[i] = float32(0.5 + r.Float64())
						}
						scaledBits(t, c, d, src, gains)
					})
				}
			}
		}
	}
}

func scaledBits(t *testing.T, c bitCase, d *Delta, src []byte, gains []float32) {
	before := active
	defer func() { active = before }()
	rows, _ := d.Shape()
	run := func(i *implementation) ([]byte, []uint64, Counts) {
		active = i
		change := scaledChange(d, gains)
		sums, patterns, stored := change.Sums(), make([]uint64, c.out), newGuarded(src, 1+2*(c.in%29))
		if err := change.SquareSums(sums, stored.inner, nil, nil, c.dtype, 0, rows); err != nil {
			t.Fatal(err)
		}
		for i, sum := range sums {
			if sum != sum {
				sum = math.NaN() // the payload of a NaN is any
			}
			patterns[i] = binary.LittleEndian.Uint64(encode(tensor.F64, sum))
		}
		counts, err := change.MergeRows(stored.inner, stored.inner, nil, nil, c.dtype, 0, rows)
		if err != nil {
			t.Fatal(err)
		}
		if !stored.intact() {
			t.Errorf("%s: bytes around the weight were written", i.name)
		}
		return stored.inner, patterns, counts
	}
	want, wantSums, wantCounts := run(generic)
	for _, i := range usable() {
		got, sums, counts := run(i)
		if !sameStored(got, want, c.dtype) || bytes.Equal(got, want) && counts != wantCounts {
			t.Errorf("%s: other bytes or counts than the portable code: %+v, want %+v", i.name, counts, wantCounts)
		}
		if !slices.Equal(sums, wantSums) {
			t.Errorf("%s: other sums of squares than the portable code", i.name)
		}
	}
}
