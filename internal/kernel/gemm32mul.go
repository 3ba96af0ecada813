package kernel

import "fmt"

// Sizes of the blocks that MatMul32 cuts its operands into. They decide only how fast it is.
const (
	mulSteps = 128 // of the chains that run before others continue
	mulCols  = 512 // of C that one goroutine has at a time: the packed columns, 256 KiB, stay in the second-level cache
	mulRows  = 768
	mulStrip = 192 // rows whose packed factors, 96 KiB, stay there too
)

// Factor32 is an f32 matrix as a factor of a product: row-major, or stored as its transpose.
type Factor32 struct {
	Data       []float32
	Transposed bool
}

// MatMul32 adds a product: c += a b, where c is rows x cols, a is rows x inner and b is inner x cols as they are multiplied, and nothing
// overlaps. Each entry is one chain c[i,j] = fma(a[i,p], b[p,j], c[i,j]), p ascending, so there are the same bits on every machine and whatever
// workers is; it is as in ParallelMergeRows. NaN payloads are unspecified.
//
// Every step rounds once. With u = 2^-24 and γ = inner·u/(1 - inner·u), and |·| and ≤ entry by entry, the error is at most γ(|c| + |a||b|), c as
// it was, plus inner·2^-150 for underflow, as long as nothing overflows (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 3.1).
//
// It panics when a slice has not the length that its shape asks for.
func MatMul32(c []float32, rows, cols, inner int, a, b Factor32, workers int) {
	for _, m := range []struct {
		name       string
		have       int
		rows, cols int
	}{{"c", len(c), rows, cols}, {"a", len(a.Data), rows, inner}, {"b", len(b.Data), inner, cols}} {
		if m.rows < 0 || m.cols < 0 || m.rows*m.cols != m.have {
			panic(fmt.Sprintf("matmul: %s has %d entries for %d x %d", m.name, m.have, m.rows, m.cols))
		}
	}
	if rows == 0 || cols == 0 || inner == 0 {
		return
	}
	p := product32{c, rows, cols, inner, a, b, &active.gemm32}
	if p.kernels.rows == 0 {
		p.kernels = &portable32
	}
	down, across := (rows+mulRows-1)/mulRows, (cols+mulCols-1)/mulCols
	deal(down*across, 1, workers, func(first, n int) {
		s := scratches.Get().(*scratch)
		defer scratches.Put(s)
		for block := first; block < first+n; block++ {
			p.block(s, block/across*mulRows, block%across*mulCols)
		}
	})
}

// portable32 is a tile without assembly.
var portable32 = gemm32Kernels{rows: 1, cols: 16}

// product32 is a call of MatMul32.
type product32 struct {
	c                 []float32
	rows, cols, inner int
	a, b              Factor32
	kernels           *gemm32Kernels
}

// block computes the block of c that begins at row and col.
func (p *product32) block(s *scratch, row, col int) {
	k := p.kernels
	width, bottom := min(mulCols, p.cols-col), min(row+mulRows, p.rows)
	strip := mulStrip / k.rows * k.rows
	columns := s.columnFactors((width + k.cols - 1) / k.cols * k.cols * mulSteps)
	factors := s.rowFactors(strip * mulSteps)
	for step := 0; step < p.inner; step += mulSteps {
		steps := min(mulSteps, p.inner-step)
		for j := 0; j < width; j += k.cols {
			p.b.pack(columns[j*steps:], k.cols, p.cols, p.inner, col+j, min(k.cols, width-j), step, steps, !p.b.Transposed)
		}
		for top := row; top < bottom; top += strip {
			rows := min(strip, bottom-top)
			for i := 0; i < rows; i += k.rows {
				p.a.pack(factors[i*steps:], k.rows, p.rows, p.inner, top+i, min(k.rows, rows-i), step, steps, p.a.Transposed)
			}
			for i := 0; i < rows; i += k.rows {
				k.addPadded(s, steps, min(k.rows, rows-i), width, factors[i*steps:], columns, p.c[(top+i)*p.cols+col:], p.cols)
			}
		}
	}
}

// pack writes steps [step, step+steps) of n rows of a, or columns of b, from first on: for each step height numbers, with zeros for those that
// are missing. There are total of them, and inner steps. together says that the numbers of one step lie together in memory, not those of one row
// or column.
func (f Factor32) pack(dst []float32, height, total, inner, first, n, step, steps int, together bool) {
	dst = dst[:height*steps]
	if n < height {
		clear(dst)
	}
	if together {
		packTogether(dst, height, f.Data[step*total+first:], total, n, steps)
	} else {
		packApart(dst, height, f.Data[first*inner+step:], inner, n, steps)
	}
}

// addPortable is gemm32Kernels.add for any tile.
func (g *gemm32Kernels) addPortable(k, panels int, a, b, c []float32, stride int) {
	for panel := range panels {
		b, c := b[panel*k*g.cols:], c[panel*g.cols:]
		for i := range g.rows {
			row := c[i*stride:][:g.cols]
			for step := range k {
				factor := a[step*g.rows+i]
				for j, v := range b[step*g.cols:][:g.cols] {
					row[j] = FMA32(factor, v, row[j])
				}
			}
		}
	}
}
