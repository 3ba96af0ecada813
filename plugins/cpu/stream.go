package cpu

import (
	"context"
	"errors"
	"io"
	"os"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// stream is a weight on its way through a patch, block of rows by block of rows. What is read of files lies in a buffer, whose size bounds the
// blocks.
type stream struct {
	*patch
	dtype    tensor.DType
	resident []byte   // the weight, where it is in memory
	file     *os.File // that it is read from otherwise
	offset   int64
	inputs   *files // of the patch
	buffer   []byte
}

// bufferRow is how much of a stream's buffer one row needs.
func (p *patch) bufferRow(dtype tensor.DType, resident bool) int {
	_, cols := p.view()
	bytes := p.start.dtype.Size() + p.dense.dtype.Size()
	if !resident {
		bytes += dtype.Size()
	}
	return cols * bytes
}

// merge merges the weight into the place, which is as long as the weight, or where there is none in the buffer. done gets each block as soon as it is
// merged, and the weight's byte that it begins at.
func (s *stream) merge(ctx context.Context, place []byte, done func(merged []byte, at int64) error) (total kernel.Counts, err error) {
	c, err := s.change()
	if err != nil {
		return total, err
	}
	if s.magnitude.name != "" {
		sums := c.Sums()
		err := s.eachBlock(ctx, c, func(src, start, dense []byte, first, rows int) error {
			if err := c.SquareSums(sums, src, start, dense, s.dtype, first, rows); err != nil {
				return invalid("tensor %q: %v", s.name, err)
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		if err := s.setGains(c, sums); err != nil {
			return total, err
		}
	}
	stride := c.Cols * s.dtype.Size()
	return total, s.eachBlock(ctx, c, func(src, start, dense []byte, first, rows int) error {
		dst, at := src, first*stride
		if place != nil {
			dst = place[at:][:rows*stride]
		}
		counts, err := c.MergeRows(dst, src, start, dense, s.dtype, first, rows)
		if err != nil {
			return invalid("tensor %q: %v", s.name, err)
		}
		total = total.Add(counts)
		return done(dst, int64(at))
	})
}

// eachBlock reads the weight, and what the patch has for its rows, from first to last.
func (s *stream) eachBlock(ctx context.Context, c *kernel.Change, do func(src, start, dense []byte, first, rows int) error) error {
	stride := c.Cols * s.dtype.Size()
	step := max(1, blockBytes/stride)
	if need := s.bufferRow(s.dtype, s.resident != nil); need > 0 {
		step = min(step, len(s.buffer)/need)
	}
	for first := 0; first < c.Rows; first += step {
		if err := canceled(ctx); err != nil {
			return err
		}
		rows, rest := min(step, c.Rows-first), s.buffer
		take := func(n int) (part []byte) {
			part, rest = rest[:n:n], rest[n:]
			return part
		}
		var src []byte
		if at := first * stride; s.resident != nil {
			src = s.resident[at:][:rows*stride]
		} else {
			src = take(rows * stride)
			if err := s.readBlock(s.file, src, s.offset+int64(at), s.offset+int64(c.Rows*stride)); err != nil {
				return err
			}
		}
		dense := take(rows * c.Cols * c.Dense.Size())
		if len(dense) > 0 {
			at := s.dense.offset + int64(first)*int64(c.Cols*c.Dense.Size())
			if err := s.readBlock(s.inputs.open[s.dense.file], dense, at, s.dense.end()); err != nil {
				return err
			}
		}
		start := take(c.StartBytes(first, rows))
		if len(start) > 0 {
			file := s.inputs.open[s.start.file]
			if err := c.ReadStart(start, io.NewSectionReader(file, s.start.offset, s.start.length), first, rows); err != nil {
				return s.failure(file, s.start.offset, err)
			}
		}
		if err := do(src, start, dense, first, rows); err != nil {
			return err
		}
	}
	return nil
}

// readBlock reads a part of a tensor that ends at end, and has the next one begin to be read.
func (s *stream) readBlock(file *os.File, dst []byte, at, end int64) error {
	if _, err := file.ReadAt(dst, at); err != nil {
		return s.failure(file, at, err)
	}
	next := at + int64(len(dst))
	readAhead(file, next, min(int64(len(dst)), end-next))
	return nil
}

// failure is of a file that does not have what it had when it was opened.
func (s *stream) failure(file *os.File, at int64, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return status.Errorf(codes.DataLoss, "tensor %q: %q from byte %d on: %v", s.name, file.Name(), at, err)
}
