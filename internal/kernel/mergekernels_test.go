package kernel

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

var mergeable = []tensor.DType{tensor.BF16, tensor.F16, tensor.F32}

// unaligned copies b to an address that only suits single bytes.
func unaligned(b []byte) []byte {
	return append(make([]byte, 1, len(b)+1), b...)[1:]
}

// TestMergeEveryRank merges shapes around the edges of tiles, from and to odd addresses.
func TestMergeEveryRank(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 12))
		for rank := 1; rank <= 40; rank++ {
			if underRace && rank%8 != 1 {
				continue
			}
			rows, cols := 1+r.IntN(30), 1+r.IntN(80)
			for _, dtype := range mergeable {
				for _, fan := range []bool{false, true} {
					d := randomDelta(t, r, rank, rows, cols, fan)
					src := unaligned(gaussian(r, dtype, rows*cols, 0.02))
					want, _, wantCounts := naiveMerge(t, src, dtype, d)
					dst := unaligned(make([]byte, len(src)))
					counts, err := MergeRows(dst, src, dtype, d, 0, rows)
					if err != nil || !bytes.Equal(dst, want) || counts != wantCounts {
						t.Errorf("%v rank %d, %d x %d, fan %v: equal %v, %+v, want %+v, error %v", dtype, rank, rows, cols, fan, bytes.Equal(dst, want),
							counts, wantCounts, err)
					}
				}
			}
		}
	})
}

// randomDelta is for a stored weight of rows x cols.
func randomDelta(t testing.TB, r *rand.Rand, rank, rows, cols int, fan bool) *Delta {
	out, in := rows, cols
	if fan {
		out, in = cols, rows
	}
	return newDelta(t, gaussian(r, tensor.F32, rank*in, 0.1), tensor.F32, gaussian(r, tensor.F32, out*rank, 0.05), tensor.F32, rank, in, out, 1.5, fan)
}

// TestMergeSpecialValues strews values that vectors could get wrong: one in a few entries of W and the factors is subnormal, a zero of either sign,
// an infinity, a NaN with payload, or at the end of the range.
func TestMergeSpecialValues(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 14))
		for _, dtype := range mergeable {
			for _, every := range []int{3, 40, 400} {
				for _, inFactors := range []bool{false, true} {
					for _, rank := range []int{1, 5} {
						const rows, cols = 19, 75
						a, b := gaussian(r, tensor.F32, rank*cols, 0.1), gaussian(r, tensor.F32, rows*rank, 0.05)
						src := gaussian(r, dtype, rows*cols, 0.02)
						strew(r, src, dtype, every)
						if inFactors {
							strew(r, a, tensor.F32, every)
							strew(r, b, tensor.F32, every)
						}
						t.Run(fmt.Sprintf("%v/every=%d/factors=%v/rank=%d", dtype, every, inFactors, rank), func(t *testing.T) {
							checkMerge(t, src, dtype, newDelta(t, a, tensor.F32, b, tensor.F32, rank, cols, rows, 1, false))
						})
					}
				}
			}
		}
	})
}

// strew replaces one in every entries.
func strew(r *rand.Rand, entries []byte, dtype tensor.DType, every int) {
	size := dtype.Size()
	for at := 0; at < len(entries); at += size {
		if r.IntN(every) > 0 {
			continue
		}
		switch r.IntN(4) {
		case 0:
			copy(entries[at:], encode(dtype, []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN()}[r.IntN(5)]))
		case 1: // any bits at all
			for i := range size {
				entries[at+i] = byte(r.Uint32())
			}
		case 2: // all exponents equal to or beside the smallest or the largest
			entries[at+size-1] = []byte{0x00, 0x80, 0x7f, 0xff, 0x7b, 0xfb, 0x7c, 0xfc}[r.IntN(8)]
		case 3: // ties and near ties
			copy(entries[at:], encode(dtype, math.Ldexp(float64(r.IntN(9)-4), -r.IntN(24))))
		}
	}
}

// TestMergeTies adds deltas of half a unit in the last place, exactly and nearly, to odd and even entries.
func TestMergeTies(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		const rows, cols = 12, 64
		for dtype, bits := range map[tensor.DType]int{tensor.BF16: 8, tensor.F16: 11, tensor.F32: 24} {
			w, column, row := make([]float64, rows*cols), make([]float64, cols), make([]float64, rows)
			for i := range w {
				w[i] = 1 + math.Ldexp(float64(i%7), 1-bits)
				if i%2 == 1 {
					w[i] = -w[i]
				}
			}
			for j := range column {
				column[j] = math.Ldexp(1+math.Ldexp(float64(j%3-1), -22), -bits)
			}
			for i := range row {
				row[i] = []float64{1, -1, 3, -3, 0, math.Copysign(0, -1)}[i%6]
			}
			d := newDelta(t, encode(tensor.F32, column...), tensor.F32, encode(tensor.F32, row...), tensor.F32, 1, cols, rows, 1, false)
			checkMerge(t, encode(dtype, w...), dtype, d)
		}
	})
}

// TestMergeBlocks compares merges of several blocks of rows and columns with the portable code.
func TestMergeBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for _, c := range []struct {
		rank, rows, cols int
		fan, zero        bool
	}{
		{1, 12, maxPanels*32 + 45, false, false}, {1, 12, maxPanels*32 + 45, true, true}, {40, 150, 1800, false, false}, {257, 70, 300, true, false},
		{700, 25, 200, false, false},
	} {
		d := randomDelta(t, r, c.rank, c.rows, c.cols, c.fan)
		if c.zero {
			clear(d.A)
		}
		for _, dtype := range mergeable {
			src := gaussian(r, dtype, c.rows*c.cols, 0.02)
			var want []byte
			var wantCounts Counts
			withGeneric(func() { want, wantCounts = merged(t, src, dtype, d, c.rows, 1) })
			eachImplementation(t, func(t *testing.T) {
				for _, workers := range []int{0, 1, 2, 5} {
					got, counts := merged(t, src, dtype, d, c.rows, workers)
					if !bytes.Equal(got, want) || counts != wantCounts {
						t.Errorf("%v %+v, %d workers: equal %v, %+v, want %+v", dtype, c, workers, bytes.Equal(got, want), counts, wantCounts)
					}
				}
			})
			if underRace || c.cols > maxPanels {
				break
			}
		}
	}
}

func withGeneric(do func()) {
	before := active
	active = generic
	defer func() { active = before }()
	do()
}

func merged(t *testing.T, src []byte, dtype tensor.DType, d *Delta, rows, workers int) ([]byte, Counts) {
	t.Helper()
	dst := make([]byte, len(src))
	counts, err := ParallelMergeRows(dst, src, dtype, d, 0, rows, workers)
	if err != nil {
		t.Fatal(err)
	}
	return dst, counts
}

func TestMergeDoesNotAllocate(t *testing.T) {
	if underRace {
		t.Skip("the race detector empties pools")
	}
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(17, 18))
		const rows, cols = 20, 90
		d := randomDelta(t, r, 8, rows, cols, false)
		src, delta := gaussian(r, tensor.BF16, rows*cols, 0.02), make([]float32, rows*cols)
		copy(src, encode(tensor.BF16, math.Inf(1)))
		if n := testing.AllocsPerRun(50, func() {
			if _, err := MergeRows(src, src, tensor.BF16, d, 0, rows); err != nil {
				t.Fatal(err)
			}
			DeltaRows(delta, d, 0, rows)
		}); n >= 1 {
			t.Errorf("%g allocations", n)
		}
	})
}

// TestMergeDoesNotGrow merges a thousand times and finds no goroutine, and hardly any memory, more than after the first few.
func TestMergeDoesNotGrow(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	const rows, cols = 200, 300
	d := randomDelta(t, r, 8, rows, cols, false)
	src := gaussian(r, tensor.BF16, rows*cols, 0.02)
	dst := make([]byte, len(src))
	measure := func(n int) (goroutines int, heap uint64) {
		for range n {
			if _, err := ParallelMergeRows(dst, src, tensor.BF16, d, 0, rows, 4); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	goroutines, heap := measure(10)
	laterGoroutines, laterHeap := measure(1000)
	if laterGoroutines > goroutines || laterHeap > heap+1<<20 {
		t.Errorf("from %d to %d goroutines, from %d to %d bytes", goroutines, laterGoroutines, heap, laterHeap)
	}
}
