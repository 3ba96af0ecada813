package sandbox

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/abi"
)

// chunk is how many elements are read from a file at a time.
const chunk = 1 << 16

// span reads elements first to first+n-1 of a source, in the order of the file, in chunks whose bytes it hands to take. The bytes are only
// good until take returns.
func (r *run) span(s Source, first int64, n int, take func(raw []byte, at int) error) error {
	size := s.DType.Size()
	if need := min(n, chunk) * size; len(r.raw) < need {
		r.raw = make([]byte, need)
	}
	for at := 0; at < n; at += chunk {
		raw := r.raw[:min(n-at, chunk)*size]
		if got, err := s.Reader.ReadAt(raw, s.Offset+(first+int64(at))*int64(size)); got < len(raw) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fail(abi.Internal, "reading %s: %v", s.Name, err)
		}
		if err := take(raw, at); err != nil {
			return err
		}
	}
	return nil
}

// element reads elements first to first+n-1 of a stored matrix as the guest sees it, row-major, in chunks of its file's dtype.
func (r *run) elements(s *stored, first int64, n int, take func(raw []byte, at int) error) error {
	if !s.transposed {
		return r.span(s.Source, first, n, take)
	}
	// The file holds columns of what the guest sees. A run of the guest's row i is a column of the file: element by element, which only
	// small reads do; whole passes go through the kernels in the file's own order.
	for at := range n {
		index := first + int64(at)
		i, j := index/int64(s.cols), index%int64(s.cols)
		if err := r.span(s.Source, j*int64(s.rows)+i, 1, func(raw []byte, _ int) error { return take(raw, at) }); err != nil {
			return err
		}
	}
	return nil
}

// readF64 reads elements first to first+len(dst)-1 as the guest sees them.
func (r *run) readF64(s *stored, dst []float64, first int64) error {
	return r.elements(s, first, len(dst), func(raw []byte, at int) error {
		kernel.Widen(dst[at:at+len(raw)/s.DType.Size()], raw, s.DType)
		return nil
	})
}

// check holds the input against itself. The host has checked every file; a mistake in handing over must not become a wrong verdict.
func (in Input) check() error {
	for i, t := range in.Targets {
		if err := t.check(); err != nil {
			return fmt.Errorf("target %d %s: %w", i, t.Name, err)
		}
	}
	if err := in.Bank.check(len(in.Targets)); err != nil {
		return err
	}
	for i, p := range in.Peers {
		if len(p.Targets) != len(in.Targets) {
			return fmt.Errorf("peer %d %s has %d targets, the adapter has %d", i, p.Name, len(p.Targets), len(in.Targets))
		}
		for j, t := range p.Targets {
			if t == nil {
				continue
			}
			if err := t.check(); err != nil {
				return fmt.Errorf("peer %d %s, target %d: %w", i, p.Name, j, err)
			}
			if t.In != in.Targets[j].In || t.Out != in.Targets[j].Out {
				return fmt.Errorf("peer %d %s, target %d is %d x %d, the adapter's is %d x %d", i, p.Name, j, t.Out, t.In,
					in.Targets[j].Out, in.Targets[j].In)
			}
		}
	}
	return nil
}

func (t *Target) check() error {
	if min(t.Rank, t.In, t.Out) < 1 || max(t.Rank, t.In, t.Out) > math.MaxInt32 {
		return fmt.Errorf("rank %d, in %d, out %d", t.Rank, t.In, t.Out)
	}
	if err := t.A.check("A", t.Rank, t.In); err != nil {
		return err
	}
	if err := t.B.check("B", t.Out, t.Rank); err != nil {
		return err
	}
	if t.Base.Present() {
		rows, cols := t.Out, t.In
		if t.FanInFanOut {
			rows, cols = cols, rows
		}
		if err := t.Base.check("W", rows, cols); err != nil {
			return err
		}
	}
	if u, s, v := t.BaseSVD.U, t.BaseSVD.S, t.BaseSVD.V; u.Present() || s.Present() || v.Present() {
		if !u.Present() || !s.Present() || !v.Present() || s.Elements() < 1 {
			return errors.New("the SVD of the base is incomplete")
		}
		k := s.Elements()
		return errors.Join(u.check("U of the base", t.Out, k), s.check("S of the base", 1, k), v.check("V of the base", t.In, k))
	}
	return nil
}

func (s Source) check(what string, rows, cols int) error {
	switch elements := int64(rows) * int64(cols); {
	case !s.Present():
		return fmt.Errorf("%s is missing", what)
	case !s.DType.IsWeight():
		return fmt.Errorf("%s has dtype %v, which cannot be computed with", what, s.DType)
	case elements/int64(rows) != int64(cols) || int64(s.Elements()) != elements:
		return fmt.Errorf("%s has shape %v, not %d x %d", what, s.Shape, rows, cols)
	case s.Offset < 0 || s.Length/int64(s.DType.Size()) != elements || s.Length%int64(s.DType.Size()) != 0:
		return fmt.Errorf("%s has %d bytes at %d for %d elements of %v", what, s.Length, s.Offset, elements, s.DType)
	}
	return nil
}
