package merge

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// deltaReader reads the change of one addend, entry by entry in the stored order, as f32 by the rule of the merge. It is safe for concurrent use.
type deltaReader struct {
	*addend
	factors []*kernel.Delta // of equal blocks of stored rows; nil where the change is dense
	height  int             // rows of a block
	cols    int
	dense   io.ReaderAt
	scale   float32 // of dense
}

// newDeltaReader reads an addend's change at its own scale times the weight.
func (m *mixing) newDeltaReader(a *addend, weight float64) (*deltaReader, error) {
	rows, cols := a.Matrix()
	r := &deltaReader{addend: a, cols: cols, scale: float32(weight * a.Pair.Scale)}
	if r.scale-r.scale != 0 {
		return nil, fault.New(fault.MergeScale, "scale %g is not a finite number of 32 bits", weight*a.Pair.Scale).In(a.ref).Of(a.Name)
	}
	if !a.LowRank() {
		r.dense = io.NewSectionReader(m.files[a.Dense.File], a.Dense.Offset, a.Dense.Length)
		return r, nil
	}
	var err error
	if r.factors, err = m.deltas(Item{Target: a.Target, Scale: weight * a.Pair.Scale}); err != nil {
		return nil, err
	}
	r.height = rows / len(r.factors)
	return r, nil
}

// read fills dst with the entries from at on, whole rows of a change that is of factors.
func (r *deltaReader) read(dst []float32, at int64) error {
	if r.factors == nil {
		return r.readDense(dst, at)
	}
	row, rows := int(at/int64(r.cols)), len(dst)/r.cols
	for rows > 0 {
		block, first := row/r.height, row%r.height
		n := min(rows, r.height-first)
		kernel.DeltaRows(dst[:n*r.cols], r.factors[block], first, n)
		dst, row, rows = dst[n*r.cols:], row+n, rows-n
	}
	return nil
}

func (r *deltaReader) readDense(dst []float32, at int64) error {
	size := r.Dense.DType.Size()
	text := make([]byte, len(dst)*size)
	if _, err := r.dense.ReadAt(text, at*int64(size)); err != nil {
		return fault.New(fault.IORead, "the change cannot be read").In(r.ref).Of(r.Name).Wrap(err)
	}
	if err := tensor.ToF32(dst, text, r.Dense.DType); err != nil {
		return fmt.Errorf("%s: %w", r.Name, err)
	}
	for i, v := range dst {
		dst[i] = r.scale * v
	}
	return nil
}

// check refuses what is not finite, which no sum or order has a place for.
func (r *deltaReader) check(values []float32) error {
	for _, v := range values {
		if v-v != 0 {
			return fault.New(fault.ADNonFinite, "the change that the adapter makes is not finite").In(r.ref).Of(r.Name).
				Fix("tenon check names what is not; save the adapter again")
		}
	}
	return nil
}

// readers reads the addends of a sum, with the user's weights in their scales or without.
func (m *mixing) readers(s *sum, weighted bool) ([]*deltaReader, error) {
	readers := make([]*deltaReader, len(s.addends))
	for i := range s.addends {
		weight := 1.
		if weighted {
			weight = s.addends[i].weight
		}
		var err error
		if readers[i], err = m.newDeltaReader(&s.addends[i], weight); err != nil {
			return nil, err
		}
	}
	return readers, nil
}

// sumEntries is how many entries of each addend are in memory at a time, for each processor.
const sumEntries = 1 << 18

// part is entries [at, at+n) of each addend, in the stored order.
type part struct {
	at      int64
	entries [][]float32 // by addend
	slot    int         // of those that are in memory together: parts of one slot come one after the other
}

// eachPart cuts a sum into parts, as many of them at a time as there are processors. work is called with each, at the same time and in any order, and
// may overwrite its entries; emit is called after it, with one part after the other. Either may be nil.
func eachPart(ctx context.Context, s *sum, readers []*deltaReader, work func(part), emit func(part) error) error {
	rows, cols := s.Matrix()
	total, unit := int64(rows)*int64(cols), 1
	for _, r := range readers {
		if r.factors != nil {
			unit = r.cols
		}
	}
	step := int64(unit * max(1, sumEntries/unit))
	batch := make([]part, slots())
	for i := range batch {
		batch[i] = part{slot: i, entries: make([][]float32, len(readers))}
	}
	for next := int64(0); next < total; {
		group, ctx := errgroup.WithContext(ctx)
		used := 0
		for ; used < len(batch) && next < total; used++ {
			batch[used].at = next
			p, n := batch[used], min(step, total-next)
			next += n
			group.Go(func() error {
				err := readParts(ctx, readers, p, n)
				if err == nil && work != nil {
					work(p)
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for i := range used {
			if emit == nil {
				break
			}
			if err := emit(batch[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// slots is how many parts of a sum are in memory together.
func slots() int { return runtime.GOMAXPROCS(0) }

// readParts reads n entries of each addend.
func readParts(ctx context.Context, readers []*deltaReader, p part, n int64) error {
	for i, r := range readers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if int64(cap(p.entries[i])) < n {
			p.entries[i] = make([]float32, n)
		}
		p.entries[i] = p.entries[i][:n]
		if err := r.read(p.entries[i], p.at); err != nil {
			return err
		}
		if err := r.check(p.entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// addAll writes the sum of all addends, each weighted by its scale: summed in f64 in the order of the adapters, and rounded once.
func (m *mixing) addAll(ctx context.Context, s *sum, w floats) error {
	readers, err := m.readers(s, true)
	if err != nil {
		return err
	}
	add := func(p part) {
		into := p.entries[0]
		for i := range into {
			total := float64(0)
			for _, entries := range p.entries {
				total += float64(entries[i])
			}
			into[i] = float32(total)
		}
	}
	return eachPart(ctx, s, readers, add, func(p part) error { return w.write(p.entries[0]) })
}
