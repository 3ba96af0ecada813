package merge

import (
	"context"
	"errors"
	"math"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/wasm/kernel"
)

// svdRank is the rank of the factors that a sum is truncated to: the wanted one, or the largest that the sum can have.
func (s *sum) svdRank(wanted int) int {
	layout := s.layout()
	rank := min(wanted, layout.out, layout.in)
	if all := s.concatenatedRank(); all > 0 {
		rank = min(rank, all)
	}
	return rank
}

// truncate writes the factors of the part of a sum that is of the greatest singular values, block by block: A = √S Vᵀ and B = U √S, rounded once. A sum
// of lower rank is filled up with zeros.
func (m *mixing) truncate(ctx context.Context, s *sum, w floats) error {
	decompose, err := m.decomposition(ctx, s)
	if err != nil {
		return err
	}
	rank := s.Rank
	a, b := make([]float32, s.Blocks*rank*s.In), make([]float32, s.Blocks*s.Out*rank)
	for block := range s.Blocks {
		u, values, v, err := decompose(block)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var known *fault.Error
			if errors.As(err, &known) {
				return err
			}
			return fault.New(fault.ADNonFinite, "the sum of the changes cannot be decomposed").Of(s.Name).Wrap(err).
				Fix("tenon check names what is not finite; save that adapter again")
		}
		for k := range min(rank, len(values)) {
			root := math.Sqrt(values[k])
			for j := range s.In {
				a[(block*rank+k)*s.In+j] = float32(root * v.Row(j)[k])
			}
			for i := range s.Out {
				b[(block*s.Out+i)*rank+k] = float32(root * u.Row(i)[k])
			}
		}
	}
	if err := w.write(a); err != nil {
		return err
	}
	return w.write(b)
}

// decomposition factorises a block of a sum: of the factors where all addends have factors of one layout, and of the entries otherwise.
func (m *mixing) decomposition(ctx context.Context, s *sum) (func(block int) (u *kernel.Matrix, values []float64, v *kernel.Matrix, err error), error) {
	if s.concatenatedRank() == 0 {
		readers, err := m.readers(s, true)
		return func(block int) (*kernel.Matrix, []float64, *kernel.Matrix, error) {
			rows, cols := s.Matrix()
			rows /= s.Blocks
			return kernel.TopSVD(ctx, &sumRows{readers, rows, cols, block * rows}, s.FanInFanOut, s.Rank)
		}, err
	}
	parts := make([]factors, len(s.addends))
	for i := range s.addends {
		var err error
		if parts[i], err = m.factors(&s.addends[i]); err != nil {
			return nil, err
		}
	}
	return func(block int) (*kernel.Matrix, []float64, *kernel.Matrix, error) {
		a, b := kernel.NewMatrix(s.concatenatedRank(), s.In), kernel.NewMatrix(s.Out, s.concatenatedRank())
		at := 0
		for _, f := range parts {
			for k := range f.rank {
				for j := range s.In {
					a.Row(at + k)[j] = float64(f.a[(block*f.rank+k)*s.In+j])
				}
				for i := range s.Out {
					b.Row(i)[at+k] = float64(f.b[(block*s.Out+i)*f.rank+k])
				}
			}
			at += f.rank
		}
		u, values, v, _, err := kernel.DeltaSVD(b, a, 1)
		return u, values, v, err
	}, ctx.Err()
}

// sumRows is rows of a sum, from one on, as they are stored.
type sumRows struct {
	readers    []*deltaReader
	rows, cols int
	first      int
}

var _ kernel.Rows = (*sumRows)(nil)

// Shape makes a sumRows kernel.Rows.
func (r *sumRows) Shape() (rows, cols int) { return r.rows, r.cols }

// Read makes a sumRows kernel.Rows.
func (r *sumRows) Read(dst []float64, first, n int) error {
	values := make([]float32, n*r.cols)
	clear(dst[:len(values)])
	for _, reader := range r.readers {
		if err := reader.read(values, int64(r.first+first)*int64(r.cols)); err != nil {
			return err
		}
		if err := reader.check(values); err != nil {
			return err
		}
		for i, v := range values {
			dst[i] += float64(v)
		}
	}
	return nil
}
