package kernel

import (
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// block is some whole rows of a matrix, as they are stored or in memory.
type block struct {
	first, rows, cols int
	bytes             []byte // where the rows are stored, in dtype
	dtype             tensor.DType
	values            []float64 // where they are in memory
}

// blockRows is how many rows a block has: it depends on the shape only. It is a multiple of the rows of every product's tile, and a block is
// no more than a few MiB where the rows are no wider than those of the widest models.
func blockRows(rows, cols int) int {
	const tile, most, values = 12, 96, 1 << 19
	return min(rows, max(tile, min(most, values/cols/tile*tile)))
}

// blockReader reads blocks of w into buffers that it uses again.
type blockReader struct {
	w      Rows
	bytes  []byte
	values []float64
}

// read returns rows [first, first+n). They are good until the next read.
func (r *blockReader) read(first, n int) (block, error) {
	_, cols := r.w.Shape()
	b := block{first: first, rows: n, cols: cols}
	var err error
	switch w := r.w.(type) {
	case Stored:
		b.dtype = w.DType
		b.bytes, err = w.read(r.bytes[:cap(r.bytes)], first, n)
		r.bytes = b.bytes
	case *Matrix:
		b.values = w.Data[first*cols : (first+n)*cols]
	default:
		if len(r.values) < n*cols {
			r.values = make([]float64, n*cols)
		}
		b.values = r.values[:n*cols]
		err = w.Read(b.values, first, n)
	}
	return b, err
}

// row returns n values of row i from the one at from on, in room where they are not in memory.
func (b block) row(room []float64, i, from, n int) []float64 {
	if b.bytes == nil {
		return b.values[i*b.cols+from:][:n]
	}
	size := b.dtype.Size()
	kernel.Widen(room[:n], b.bytes[(i*b.cols+from)*size:][:n*size], b.dtype)
	return room[:n]
}

// eachBlockParallel reads w once, block by block, and hands them out to goroutines in no order: worker is the number of the goroutine, at that
// of the block. There is one goroutine more than processors, so that a block is read while the others are computed. The error is that of the
// first block that cannot be read.
func eachBlockParallel(w Rows, visit func(worker, at int, b block)) error {
	rows, cols := w.Shape()
	height := blockRows(rows, cols)
	errs := make([]error, (rows+height-1)/height)
	var next atomic.Int64
	parallel(passWorkers(rows, cols), func(worker int) {
		reader := blockReader{w: w}
		for at := int(next.Add(1)) - 1; at < len(errs); at = int(next.Add(1)) - 1 {
			b, err := reader.read(at*height, min(height, rows-at*height))
			if err != nil {
				errs[at] = err
				next.Store(int64(len(errs))) // blocks before this one are all taken
				return
			}
			visit(worker, at, b)
		}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// passWorkers is how many goroutines eachBlockParallel starts.
func passWorkers(rows, cols int) int {
	if float64(rows)*float64(cols) < 1<<18 { // not worth a goroutine
		return 1
	}
	height := blockRows(rows, cols)
	return min(runtime.GOMAXPROCS(0)+1, (rows+height-1)/height)
}

// checkRows refuses a matrix without entries.
func checkRows(w Rows) error {
	if rows, cols := w.Shape(); rows < 1 || cols < 1 {
		return fmt.Errorf("a matrix of %d x %d: %w", rows, cols, ErrShape)
	}
	return nil
}
