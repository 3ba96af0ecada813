package merge

import (
	"context"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// factorLayout is how the factors of a tensor lie.
type factorLayout struct {
	blocks, out, in int
	fanInFanOut     bool
}

func (a *addend) layout() factorLayout {
	return factorLayout{max(1, a.Blocks), a.Out, a.In, a.FanInFanOut}
}

// concatenatedRank is the rank of all factors of the addends one after the other; 0 where not all are factors of one layout, or where together they
// are no smaller than what they change.
func (s *sum) concatenatedRank() int {
	rank := 0
	for i := range s.addends {
		a := &s.addends[i]
		if !a.LowRank() || a.layout() != s.addends[0].layout() {
			return 0
		}
		rank += a.Rank
	}
	if rank > maxRank {
		return 0
	}
	return rank
}

// layout is that of the factors of the result.
func (s *sum) layout() factorLayout {
	for i := range s.addends {
		if a := &s.addends[i]; a.LowRank() {
			return a.layout()
		}
	}
	out, in := s.Matrix()
	return factorLayout{1, out, in, false}
}

// factors are the widened factors of an addend, B times its scale: f32(f32(w·s)·B) as the rule of the merge rounds it.
type factors struct {
	a, b []float32
	rank int
}

func (m *mixing) factors(a *addend) (factors, error) {
	f := factors{make([]float32, a.A.Elements()), make([]float32, a.B.Elements()), a.Rank}
	for _, part := range []struct {
		values []float32
		t      tensor.Ref
	}{{f.a, a.A.Ref}, {f.b, a.B.Ref}} {
		text := make([]byte, part.t.Length)
		if err := m.readPart(part.t, text, 0); err != nil {
			return f, err
		}
		if err := tensor.ToF32(part.values, text, part.t.DType); err != nil {
			return f, fault.New(fault.ADDType, "the factor cannot be read").In(m.files[part.t.File].Name()).Of(part.t.Name).Wrap(err)
		}
	}
	scale := float32(a.weight * a.Pair.Scale)
	if scale-scale != 0 {
		return f, fault.New(fault.MergeScale, "scale %g is not a finite number of 32 bits", a.weight*a.Pair.Scale).In(a.ref).Of(a.Name)
	}
	for i, v := range f.b {
		f.b[i] = scale * v
	}
	return f, nil
}

// concatenate writes the factors of the sum: A's below each other and B's, scaled, beside each other, in the order of the adapters. The merge of
// those adds the products in that order, in one chain, and rounds once.
func (m *mixing) concatenate(ctx context.Context, s *sum, w floats) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	parts := make([]factors, len(s.addends))
	for i := range s.addends {
		var err error
		if parts[i], err = m.factors(&s.addends[i]); err != nil {
			return err
		}
	}
	for block := range s.Blocks {
		for _, f := range parts {
			if err := w.write(f.a[block*f.rank*s.In:][:f.rank*s.In]); err != nil {
				return err
			}
		}
	}
	for row := range s.Blocks * s.Out {
		for _, f := range parts {
			if err := w.write(f.b[row*f.rank:][:f.rank]); err != nil {
				return err
			}
		}
	}
	return nil
}
