package cpu

import (
	"encoding/binary"
	"math"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// A matrix that is stored transposed is read in tiles of tileRows stored rows and tileColumns stored columns, which fit the nearest cache.
const (
	tileRows    = 64
	tileColumns = 128
)

// columns is the product with such a matrix under way: dst = W x for n vectors, W stored as m.cols x m.rows.
type columns struct {
	m      *matrix
	dst, x []float32
	n      int
	step   func(i, worker int)
}

// timesTransposed computes dst = W x for each of n vectors, where W is stored transposed. Each number adds in the order of kernel.AddWeighted, so it
// depends neither on n nor on the number of workers.
func (p *pass) timesTransposed(dst []float32, m *matrix, x []float32, n int) {
	c := &p.columns
	if c.step == nil {
		c.step = p.multiplyColumns
	}
	c.m, c.dst, c.x, c.n = m, dst, x, n
	p.crew.each((m.rows+tileColumns-1)/tileColumns, n*m.cols*tileColumns, c.step)
	c.m, c.dst, c.x = nil, nil, nil
}

// multiplyColumns computes one block of every vector's numbers.
func (p *pass) multiplyColumns(block, worker int) {
	c := &p.columns
	m, tile := c.m, p.spare(worker, tileRows*tileColumns)
	first := block * tileColumns
	width, size := min(tileColumns, m.rows-first), m.dtype.Size()
	for v := range c.n {
		clear(c.dst[v*m.rows+first:][:width])
	}
	for row := 0; row < m.cols; row += tileRows {
		height := min(tileRows, m.cols-row)
		for i := range height {
			widenRow(tile[i*width:][:width], m.bytes[((row+i)*m.rows+first)*size:][:width*size], m.dtype)
		}
		for v := range c.n {
			kernel.AddWeighted(c.dst[v*m.rows+first:][:width], c.x[v*m.cols+row:][:height], tile[:height*width])
		}
	}
}

// widenRow is tensor.ToF32, several numbers at a time where there are many and it is cheap.
func widenRow(dst []float32, src []byte, dtype tensor.DType) {
	switch dtype {
	case tensor.F32:
		for len(dst) >= 8 && len(src) >= 32 {
			to, from := (*[8]float32)(dst), (*[32]byte)(src)
			for i := range 4 {
				two := binary.LittleEndian.Uint64(from[8*i:])
				to[2*i], to[2*i+1] = math.Float32frombits(uint32(two)), math.Float32frombits(uint32(two>>32))
			}
			dst, src = dst[8:], src[32:]
		}
	case tensor.BF16:
		for len(dst) >= 8 && len(src) >= 16 {
			to, from := (*[8]float32)(dst), (*[16]byte)(src)
			a, b := binary.LittleEndian.Uint64(from[:]), binary.LittleEndian.Uint64(from[8:])
			to[0], to[1] = math.Float32frombits(uint32(a<<16)), math.Float32frombits(uint32(a)&0xffff_0000)
			to[2], to[3] = math.Float32frombits(uint32(a>>32)<<16), math.Float32frombits(uint32(a>>32)&0xffff_0000)
			to[4], to[5] = math.Float32frombits(uint32(b<<16)), math.Float32frombits(uint32(b)&0xffff_0000)
			to[6], to[7] = math.Float32frombits(uint32(b>>32)<<16), math.Float32frombits(uint32(b>>32)&0xffff_0000)
			dst, src = dst[8:], src[16:]
		}
	}
	if err := tensor.ToF32(dst, src, dtype); err != nil {
		panic(err) // newModel lets no dtype pass that has no f32
	}
}
