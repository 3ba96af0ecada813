package kernel

import (
	"errors"
	"fmt"
	"io"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Rows is a matrix that is read in the order it is stored. Read writes rows [first, first+n) to dst, which holds n*cols values at least;
// it is called by one goroutine at a time.
type Rows interface {
	Shape() (rows, cols int)
	Read(dst []float64, first, n int) error
}

// Stored is a tensor of two dimensions in an open file: Rows, and the bytes themselves.
type Stored struct {
	tensor.Ref
	Reader io.ReaderAt
}

var (
	_ Rows = (*Matrix)(nil)
	_ Rows = Stored{}
)

// Shape makes a Stored Rows. It is 0 x 0 where the tensor has not two dimensions.
func (s Stored) Shape() (rows, cols int) {
	if len(s.Ref.Shape) != 2 {
		return 0, 0
	}
	return s.Ref.Shape[0], s.Ref.Shape[1]
}

// Read makes a Stored Rows. The dtype must be a weight type. Reader is read by several goroutines at once.
func (s Stored) Read(dst []float64, first, n int) error {
	rows, cols := s.Shape()
	if first < 0 || n < 0 || first > rows-n {
		return s.outside(first, n)
	}
	parts := workers(n, float64(n)*float64(cols))
	errs := make([]error, parts)
	parallel(parts, func(part int) {
		from, to := n*part/parts, n*(part+1)/parts
		errs[part] = s.readPart(dst[from*cols:], first+from, to-from)
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (s Stored) readPart(dst []float64, first, n int) error {
	bytes, err := s.read(nil, first, n)
	if err != nil {
		return err
	}
	_, cols := s.Shape()
	kernel.Widen(dst[:n*cols], bytes, s.DType)
	return nil
}

// read returns the bytes of rows [first, first+n), in buffer if it is large enough.
func (s Stored) read(buffer []byte, first, n int) ([]byte, error) {
	if !s.DType.IsWeight() {
		return nil, fmt.Errorf("tensor %q: dtype %v is not one that can be computed with: %w", s.Name, s.DType, ErrDType)
	}
	rows, cols := s.Shape()
	if first < 0 || n < 0 || first > rows-n {
		return nil, s.outside(first, n)
	}
	stride := cols * s.DType.Size()
	if len(buffer) < n*stride {
		buffer = make([]byte, n*stride)
	}
	buffer = buffer[:n*stride]
	if got, err := s.Reader.ReadAt(buffer, s.Offset+int64(first)*int64(stride)); got < len(buffer) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("tensor %q: reading %d bytes at %d: %w", s.Name, len(buffer), s.Offset+int64(first)*int64(stride), err)
	}
	return buffer, nil
}

func (s Stored) outside(first, n int) error {
	rows, _ := s.Shape()
	return fmt.Errorf("tensor %q: rows %d to %d of %d: %w", s.Name, first, first+n-1, rows, ErrShape)
}

// blockValues is how many values of a streamed matrix are in memory at a time: 1 MiB of f64.
const blockValues = 1 << 17

// eachBlock reads w once from top to bottom and hands out blocks of whole rows, whose sizes depend on the width only. A block is good until
// visit returns.
func eachBlock(w Rows, visit func(first int, block *Matrix) error) error {
	rows, cols := w.Shape()
	if rows < 1 || cols < 1 {
		return fmt.Errorf("a matrix of %d x %d: %w", rows, cols, ErrShape)
	}
	if m, ok := w.(*Matrix); ok {
		return visit(0, m) // in memory already
	}
	height := min(rows, max(1, blockValues/cols))
	data := make([]float64, height*cols)
	for first := 0; first < rows; first += height {
		n := min(height, rows-first)
		if err := w.Read(data, first, n); err != nil {
			return err
		}
		if err := visit(first, &Matrix{Rows: n, Cols: cols, Data: data[:n*cols]}); err != nil {
			return err
		}
	}
	return nil
}
