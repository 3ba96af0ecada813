package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestTilesFit: what AddProduct keeps room for.
func TestTilesFit(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		k := active.gemm64
		if k.rows > mostRows64 || k.cols > mostCols64 || gemm64Rows%k.rows != 0 || gemm64Cols%k.cols != 0 {
			t.Errorf("tiles of %d x %d", k.rows, k.cols)
		}
	})
}

// TestAddProduct holds products of all layouts against the chain that defines an entry, and looks for writes beside them.
func TestAddProduct(t *testing.T) {
	shapes := [][3]int{ // rows, inner, columns
		{1, 1, 1}, {2, 4, 4}, {6, 8, 8}, {12, 16, 16}, {5, 7, 3}, {13, 255, 17}, {7, 256, 33}, {96, 257, 16}, {97, 40, 96}, {101, 3, 97}, {200, 513, 9},
		{25, 0, 10}, {0, 5, 5}, {5, 5, 0},
	}
	r := rand.New(rand.NewPCG(7, 8))
	for range 30 {
		shapes = append(shapes, [3]int{1 + r.IntN(40), 1 + r.IntN(40), 1 + r.IntN(40)})
	}
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 10))
		var packed Packed64 // reused
		for _, shape := range shapes {
			for flags := range 8 {
				special := flags&4 != 0
				rows, inner, cols := shape[0], shape[1], shape[2]
				a, b := newView(r, rows, inner, flags&1 != 0, special), newView(r, inner, cols, flags&2 != 0, special)
				stride := cols + r.IntN(4)
				start := normal64(r, rows*stride+5, special)
				dst := append([]float64(nil), start...)
				packed.Pack(b, inner, cols)
				packed.AddProduct(dst, stride, a, rows)
				for i := range dst {
					want := start[i]
					if row, col := i/max(stride, 1), i%max(stride, 1); row < rows && col < cols {
						for k := range inner {
							want = math.FMA(a.at(row, k), b.at(k, col), want)
						}
					}
					if !sameBits64(dst[i], want) {
						t.Fatalf("%v, layout %d: entry %d, rows %d apart, is %x, want %x", shape, flags, i, stride, dst[i], want)
					}
				}
			}
		}
	})
}

func newView(r *rand.Rand, rows, cols int, transposed, special bool) View64 {
	if transposed {
		rows, cols = cols, rows
	}
	stride := cols + r.IntN(3)
	return View64{Data: normal64(r, rows*stride+1, special)[r.IntN(2):], Stride: stride, Transposed: transposed}
}

func (v View64) at(i, j int) float64 {
	if v.Transposed {
		i, j = j, i
	}
	return v.Data[i*v.Stride+j]
}

func BenchmarkAddProduct(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, shape := range [][3]int{{64, 64, 64}, {96, 4096, 16}, {96, 4096, 32}, {512, 512, 512}, {512, 16, 256}} {
		rows, inner, cols := shape[0], shape[1], shape[2]
		for _, transposed := range []bool{false, true} {
			b.Run(fmt.Sprintf("%v/transposed=%t", shape, transposed), func(b *testing.B) {
				a, right := View64{normal64(r, rows*inner, false), inner, false}, View64{normal64(r, inner*cols, false), cols, false}
				dst := make([]float64, rows*cols)
				if transposed {
					a.Stride, a.Transposed = rows, true
				}
				var p Packed64
				p.Pack(right, inner, cols)
				for b.Loop() {
					p.AddProduct(dst, cols, a, rows)
				}
				b.ReportMetric(2*float64(rows*inner*cols)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}

func BenchmarkVector64(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{4, 16, 64, 256, 4096} {
		x, y, z := normal64(r, n, false), normal64(r, n, false), normal64(r, n, false)
		for _, c := range []struct {
			name string
			run  func()
		}{
			{"Dot64", func() { Dot64(x, y) }}, {"TwoDots64", func() { TwoDots64(x, y, z) }}, {"AddScaled64", func() { AddScaled64(1e-9, x, y) }},
			{"ScatterScaled64", func() { ScatterScaled64(1e-9, 1e-9, x, y, z) }}, {"Rotate64", func() { Rotate64(x, y, 0.6, 0.8) }},
		} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				for b.Loop() {
					c.run()
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "G/s")
			})
		}
	}
}

// TestViewsMustHoldTheirRows: a stride that no matrix has would make assembly read outside the data.
func TestViewsMustHoldTheirRows(t *testing.T) {
	for _, c := range []struct {
		name string
		view View64
		rows int
		bad  bool
	}{
		{"as it should be", View64{Data: make([]float64, 7), Stride: 4}, 2, false},
		{"one row needs no stride", View64{Data: make([]float64, 3)}, 1, false},
		{"rows overlap", View64{Data: make([]float64, 7), Stride: 2}, 2, true},
		{"backwards", View64{Data: make([]float64, 7), Stride: -4}, 2, true},
		{"too short", View64{Data: make([]float64, 6), Stride: 4}, 2, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if failure := recover(); (failure != nil) != c.bad {
					t.Errorf("it panicked with %v", failure)
				}
			}()
			new(Packed64).Pack(c.view, c.rows, 3)
		})
	}
}
