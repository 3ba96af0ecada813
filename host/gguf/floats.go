package gguf

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync"
)

// Floats reads a tensor as if it were stored as little-endian F32, row-major, from offset 0: 4 bytes an element, dequantised on the way. A read
// may begin and end anywhere; it decodes whole blocks, a bounded number at a time, and is safe beside others. A type that Dequantize does not
// read gives its error at the first read.
func (f *File) Floats(t Tensor) io.ReaderAt { return Floats(f, t) }

// Floats is File.Floats for the bytes behind r, whose offsets are t's.
func Floats(r io.ReaderAt, t Tensor) io.ReaderAt { return floats{r, t} }

type floats struct {
	r io.ReaderAt
	t Tensor
}

// floatsChunk is decoded at a time, in elements: a multiple of every block.
const floatsChunk = 16 << 10

// floatsBuffers are what one read needs: a chunk of values, and their bytes, of which F32 has most.
type floatsBuffers struct {
	values [floatsChunk]float32
	raw    [4 * floatsChunk]byte
}

var floatsPool = sync.Pool{New: func() any { return new(floatsBuffers) }}

// ReadAt fills p with the bytes of the F32 values from offset on.
func (f floats) ReadAt(p []byte, offset int64) (done int, err error) {
	size := 4 * int64(f.t.Elements())
	if offset < 0 {
		return 0, fmt.Errorf("read tensor %q: negative offset %d", f.t.Name, offset)
	}
	block, bytes := f.t.Type.Block()
	if block == 0 || !f.t.Type.Readable() {
		return 0, unreadable(f.t.Type)
	}
	buffers := floatsPool.Get().(*floatsBuffers)
	defer floatsPool.Put(buffers)
	values, raw := buffers.values[:], buffers.raw[:floatsChunk/block*bytes]
	for done < len(p) {
		at := offset + int64(done)
		if at >= size {
			return done, io.EOF
		}
		first := at / 4 / int64(block) // the block that holds the next byte
		blocks := min(int64(floatsChunk/block), size/4/int64(block)-first)
		last := (offset + int64(len(p)) + 3) / 4 // the first element that is not wanted
		blocks = min(blocks, (last+int64(block)-1)/int64(block)-first)
		part, some := raw[:blocks*int64(bytes)], values[:blocks*int64(block)]
		if failed := readFull(f.r, part, f.t.Offset+first*int64(bytes)); failed != nil {
			return done, failed.Of(f.t.Name)
		}
		if err := Dequantize(some, part, f.t.Type); err != nil {
			return done, err
		}
		done += copyFloats(p[done:], some, int(at-4*first*int64(block)))
	}
	return done, nil
}

// copyFloats copies the little-endian bytes of the values, from the given byte on, and returns how many there were room for.
func copyFloats(p []byte, values []float32, from int) int {
	n := min(len(p), 4*len(values)-from)
	if from%4 == 0 && n%4 == 0 {
		for i, v := range values[from/4 : (from+n)/4] {
			binary.LittleEndian.PutUint32(p[4*i:], math.Float32bits(v))
		}
		return n
	}
	for i := range n {
		p[i] = byte(math.Float32bits(values[(from+i)/4]) >> (8 * ((from + i) % 4)))
	}
	return n
}
