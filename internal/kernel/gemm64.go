package kernel

import (
	"fmt"
	"math"
	"sync"
	"unsafe"
)

// gemm64Kernels are gemm32Kernels in f64. addRows is add for a left factor by rows: a[p,i] is p entries into row i, whose rows are aStride
// entries apart. Where it is nil, every left factor is packed for add. cut, which may be nil as well, copies n times rows entries from src
// on, one after the other, to places step entries apart from dst on; n is at least 1.
type gemm64Kernels struct {
	rows, cols int
	add        func(k, panels int, a, b, c *float64, stride int)
	addRows    func(k, panels int, a *float64, aStride int, b, c *float64, stride int)
	cut        func(n int, dst *float64, step int, src *float64)
}

var gemm64Generic = gemm64Kernels{rows: 2, cols: 4, add: gemm64AddGeneric}

const (
	gemm64Depth = 256 // steps of the inner dimension at a time: the panels of both factors stay in the caches
	gemm64Cols  = 96  // columns of the right factor at a time
	gemm64Rows  = 96  // rows of the left factor that are packed at a time; more where the inner dimension is shorter

	mostRows64, mostCols64 = 12, 16 // of any tile; each divides gemm64Rows or gemm64Cols
)

// View64 is an f64 matrix where it lies: entry (i, j) is Data[i*Stride+j], or Data[j*Stride+i] where Transposed.
type View64 struct {
	Data       []float64
	Stride     int
	Transposed bool
}

// check panics where a view of rows x cols would reach beyond its data.
func (v View64) check(rows, cols int) {
	if v.Transposed {
		rows, cols = cols, rows
	}
	if rows > 1 && v.Stride < cols { // also a negative one: assembly would read in front of the data
		panic(fmt.Sprintf("kernel: rows of %d entries lie %d apart", cols, v.Stride))
	}
	if rows > 0 && cols > 0 {
		_ = v.Data[(rows-1)*v.Stride+cols-1]
	}
}

// Packed64 is the right factor of products, inner x cols, in the order in which the kernels read it. The zero value is ready to Pack. It may
// be used by several goroutines at once, but not while it is packed.
type Packed64 struct {
	kernels     gemm64Kernels
	inner, cols int
	padded      int       // cols, rounded up to whole panels
	data        []float64 // by gemm64Depth rows, by panels of kernels.cols columns, by rows; missing columns are zero
}

// Pack copies b, inner x cols, reusing what room p has.
func (p *Packed64) Pack(b View64, inner, cols int) {
	b.check(inner, cols)
	p.kernels, p.inner, p.cols = active.gemm64, inner, cols
	width := p.kernels.cols
	p.padded = (cols + width - 1) / width * width
	if cap(p.data) < inner*p.padded {
		p.data = make([]float64, inner*p.padded)
	}
	p.data = p.data[:inner*p.padded]
	for from := 0; from < inner; from += gemm64Depth {
		size := min(gemm64Depth, inner-from)
		for j := 0; j < cols; j += width {
			packStrip(p.panel(from, j, size), b.from(from, j), size, min(width, cols-j), width)
		}
	}
}

// panel is the panel of column j, a multiple of the panels' width, in the size rows from from on.
func (p *Packed64) panel(from, j, size int) []float64 {
	return p.data[from*p.padded+j*size:][:size*p.kernels.cols]
}

// from is the view from entry (i, j) on.
func (v View64) from(i, j int) View64 {
	if v.Transposed {
		i, j = j, i
	}
	v.Data = v.Data[i*v.Stride+j:]
	return v
}

// packStrip copies the first size x n entries of v to dst, by rows of width entries, n of them from v and the others zero.
func packStrip(dst []float64, v View64, size, n, width int) {
	if n < width {
		clear(dst[:size*width])
	}
	if v.Transposed {
		Transpose64(dst, width, v.Data, v.Stride, n, size)
		return
	}
	if n == 8 && width == 8 {
		for k := range size {
			copy8(dst[k*8:], v.Data[k*v.Stride:])
		}
		return
	}
	for k := range size {
		copy(dst[k*width:][:n], v.Data[k*v.Stride:])
	}
}

// copy8 copies eight values, without the call that copy makes.
func copy8(dst, src []float64) {
	to, from := (*[8]float64)(dst), (*[8]float64)(src)
	a, b, c, d, e, f, g, h := from[0], from[1], from[2], from[3], from[4], from[5], from[6], from[7]
	to[0], to[1], to[2], to[3], to[4], to[5], to[6], to[7] = a, b, c, d, e, f, g, h
}

// packStrips copies the first n x size entries of a to dst, strip after strip of so many rows, each by columns. Missing rows are zero.
func packStrips(dst []float64, a View64, size, n, tile int, cut func(n int, dst *float64, step int, src *float64)) {
	done := 0
	if a.Transposed && cut != nil && n >= tile {
		done = n / tile * tile
		for k := range size {
			cut(n/tile, &dst[k*tile], size*tile, &a.Data[k*a.Stride])
		}
	}
	for i := done; i < n; i += tile {
		left := a.from(i, 0)
		left.Transposed = !left.Transposed
		packStrip(dst[i*size:][:tile*size], left, size, min(tile, n-i), tile)
	}
}

// gemm64Scratch is what a product works in: a tile at the edge, and packed strips of the left factor.
type gemm64Scratch struct {
	tile   [mostRows64 * mostCols64]float64
	strips [gemm64Rows * gemm64Depth]float64
}

var gemm64Pool = sync.Pool{New: func() any { return new(gemm64Scratch) }}

// AddProduct adds the product of a, rows x inner, and p to dst, rows x cols, whose rows are stride entries apart. Each entry of dst becomes
// the chain fma(a[i,k], b[k,j], dst[i,j]) over k, ascending. It does not depend on what rows are computed together. NaN and infinities go
// through.
func (p *Packed64) AddProduct(dst []float64, stride int, a View64, rows int) {
	if rows == 0 || p.cols == 0 {
		return
	}
	a.check(rows, p.inner)
	View64{Data: dst, Stride: stride}.check(rows, p.cols)
	scratch := gemm64Pool.Get().(*gemm64Scratch)
	defer gemm64Pool.Put(scratch)
	tile := p.kernels.rows
	direct := 0 // rows that the kernels read where they lie
	if p.kernels.addRows != nil && !a.Transposed {
		direct = rows / tile * tile
	}
	for from := 0; from < p.inner; from += gemm64Depth {
		size := min(gemm64Depth, p.inner-from)
		if direct > 0 {
			p.addStrips(dst, stride, direct, from, size, scratch, func(i, panels int, b, c *float64, stride int) {
				p.kernels.addRows(size, panels, &a.Data[i*a.Stride+from], a.Stride, b, c, stride)
			})
		}
		atOnce := len(scratch.strips) / size / tile * tile
		for first := direct; first < rows; first += atOnce {
			n := min(atOnce, rows-first)
			packStrips(scratch.strips[:], a.from(first, from), size, n, tile, p.kernels.cut)
			p.addStrips(dst[first*stride:], stride, n, from, size, scratch, func(i, panels int, b, c *float64, stride int) {
				p.kernels.add(size, panels, &scratch.strips[i*size], b, c, stride)
			})
		}
	}
}

// addStrips adds rows of the product, from the size rows of the right factor from from on. add is given strips from row i on.
func (p *Packed64) addStrips(dst []float64, stride, rows, from, size int, scratch *gemm64Scratch,
	add func(i, panels int, b, c *float64, stride int),
) {
	tile, width := p.kernels.rows, p.kernels.cols
	for col := 0; col < p.cols; col += gemm64Cols {
		cols := min(gemm64Cols, p.cols-col)
		whole := cols / width
		for i := 0; i < rows; i += tile {
			n := min(tile, rows-i)
			done := 0
			if n == tile && whole > 0 {
				add(i, whole, &p.panel(from, col, size)[0], &dst[i*stride+col], stride)
				done = whole * width
			}
			for ; done < cols; done += width { // at an edge, in a copy of the tile
				m := min(width, cols-done)
				for r := range n {
					copy(scratch.tile[r*width:][:m], dst[(i+r)*stride+col+done:])
				}
				add(i, 1, &p.panel(from, col+done, size)[0], &scratch.tile[0], width)
				for r := range n {
					copy(dst[(i+r)*stride+col+done:][:m], scratch.tile[r*width:])
				}
			}
		}
	}
}

// gemm64AddGeneric is gemm64Kernels.add for tiles of 2 by 4: as many sums as the scalar registers of amd64 hold beside their operands.
func gemm64AddGeneric(k, panels int, a, b, c *float64, stride int) {
	left := unsafe.Slice(a, 2*k)
	right := unsafe.Slice(b, 4*k*panels)
	rows := unsafe.Slice(c, stride+4*panels)
	for j := range panels {
		c0, c1 := rows[4*j:][:4], rows[stride+4*j:][:4]
		s00, s01, s02, s03, s10, s11, s12, s13 := c0[0], c0[1], c0[2], c0[3], c1[0], c1[1], c1[2], c1[3]
		for a := left; len(a) >= 2 && len(right) >= 4; a, right = a[2:], right[4:] {
			a0, a1, b0, b1, b2, b3 := a[0], a[1], right[0], right[1], right[2], right[3]
			s00, s01, s02, s03 = math.FMA(a0, b0, s00), math.FMA(a0, b1, s01), math.FMA(a0, b2, s02), math.FMA(a0, b3, s03)
			s10, s11, s12, s13 = math.FMA(a1, b0, s10), math.FMA(a1, b1, s11), math.FMA(a1, b2, s12), math.FMA(a1, b3, s13)
		}
		c0[0], c0[1], c0[2], c0[3], c1[0], c1[1], c1[2], c1[3] = s00, s01, s02, s03, s10, s11, s12, s13
	}
}
