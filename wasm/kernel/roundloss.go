package kernel

import (
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// lossRows is how many rows a partial sum covers: few enough for their deltas to stay in the second-level cache, or close to it.
const lossRows = 24

// RoundLoss tells what is left of the delta when it is merged into target, in one pass over w: D is the f32 delta of the merge, and
// D' = round(f32(W)+D) - W with the merge's own rounding. w is the weight as stored, in BF16, F16 or F32; target is one of these too.
// Entries where W, D or the rounded value is not finite are counted and left out of the sums. The sums are f64, over blocks of rows of
// fixed size, row by row as kernel.TakeLoss takes them, which run in parallel, and then over blocks in order. w.Reader is read by several goroutines at once.
func RoundLoss(w Stored, target tensor.DType, d *kernel.Delta) (abi.RoundLoss, error) {
	rows, cols := w.Shape()
	if r, c := d.Shape(); r != rows || c != cols {
		return abi.RoundLoss{}, fmt.Errorf("tensor %q is %d x %d, the delta %d x %d: %w", w.Name, rows, cols, r, c, ErrShape)
	}
	for _, dtype := range []tensor.DType{w.DType, target} {
		if dtype != tensor.BF16 && dtype != tensor.F16 && dtype != tensor.F32 {
			return abi.RoundLoss{}, fmt.Errorf("tensor %q: rounding from %v to %v: %w", w.Name, w.DType, target, ErrDType)
		}
	}
	parts := make([]lossPart, (rows+lossRows-1)/lossRows)
	var next atomic.Int64
	parallel(min(runtime.GOMAXPROCS(0)+1, len(parts)), func(int) { // one more, which reads while the others compute
		var scratch lossScratch
		for at := int(next.Add(1)) - 1; at < len(parts); at = int(next.Add(1)) - 1 {
			first := at * lossRows
			parts[at] = scratch.part(w, target, d, first, min(lossRows, rows-first))
		}
	})
	sum := abi.RoundLoss{Count: int64(rows) * int64(cols), FirstOverflow: -1}
	var dot, delta, rounded, lost compensated
	for _, part := range parts {
		if part.err != nil {
			return abi.RoundLoss{}, part.err
		}
		sum.Changed += part.Changed
		sum.NonZero += part.NonZero
		sum.Lost += part.Lost
		sum.Overflow += part.Overflow
		if sum.FirstOverflow < 0 {
			sum.FirstOverflow = part.FirstOverflow
		}
		dot.add(part.Dot)
		delta.add(part.DeltaSquares)
		rounded.add(part.RoundedSquares)
		lost.add(part.ErrorSquares)
	}
	sum.Dot, sum.DeltaSquares, sum.RoundedSquares, sum.ErrorSquares = dot.value(), delta.value(), rounded.value(), lost.value()
	return sum, nil
}

// lossPart is what one block of rows adds.
type lossPart struct {
	abi.RoundLoss
	err error
}

// lossScratch is what one goroutine needs for a block.
type lossScratch struct {
	bytes []byte
	delta []float32
}

// part covers rows [first, first+n).
func (s *lossScratch) part(w Stored, target tensor.DType, d *kernel.Delta, first, n int) lossPart {
	_, cols := w.Shape()
	var err error
	if s.bytes, err = w.read(s.bytes[:cap(s.bytes)], first, n); err != nil {
		return lossPart{err: err}
	}
	if s.delta == nil {
		s.delta = make([]float32, n*cols) // no later block is larger
	}
	kernel.DeltaRows(s.delta, d, first, n)
	part, stride := lossPart{RoundLoss: abi.RoundLoss{FirstOverflow: -1}}, cols*w.DType.Size()
	for i := range n {
		row := kernel.TakeLoss(s.bytes[i*stride:(i+1)*stride], w.DType, target, s.delta[i*cols:(i+1)*cols])
		part.Changed += int64(row.Changed)
		part.NonZero += int64(row.NonZero)
		part.Lost += int64(row.Lost)
		part.Overflow += int64(row.Overflow)
		if row.FirstOverflow >= 0 && part.FirstOverflow < 0 {
			part.FirstOverflow = int64(first+i)*int64(cols) + int64(row.FirstOverflow)
		}
		part.Dot += row.Dot
		part.DeltaSquares += row.Delta
		part.RoundedSquares += row.Rounded
		part.ErrorSquares += row.Error
	}
	return part
}
