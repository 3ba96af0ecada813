package kernel

import (
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// lossRows is how many rows a partial sum of RoundLoss covers.
const lossRows = 64

// RoundLoss tells what is left of the delta when it is merged into target, in one pass over w: D is the f32 delta of the merge, and
// D' = round(f32(W)+D) - W with the merge's own rounding. w is the weight as stored, in BF16, F16 or F32; target is one of these too.
// Entries where W, D or the rounded value is not finite are counted and left out of the sums. The sums are f64, over blocks of rows of
// fixed size, which run in parallel, and then over blocks in order. w.Reader is read by several goroutines at once.
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
	parallel(min(runtime.GOMAXPROCS(0), len(parts)), func(int) {
		scratch := newLossScratch(lossRows, cols)
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
	bytes                 []byte
	weights, delta, after []float32
}

func newLossScratch(rows, cols int) *lossScratch {
	n := rows * cols
	return &lossScratch{weights: make([]float32, n), delta: make([]float32, n), after: make([]float32, n)}
}

// part covers rows [first, first+n).
func (s *lossScratch) part(w Stored, target tensor.DType, d *kernel.Delta, first, n int) lossPart {
	_, cols := w.Shape()
	weights, delta, after := s.weights[:n*cols], s.delta[:n*cols], s.after[:n*cols]
	var err error
	if s.bytes, err = w.read(s.bytes[:cap(s.bytes)], first, n); err != nil {
		return lossPart{err: err}
	}
	if err := tensor.ToF32(weights, s.bytes, w.DType); err != nil {
		return lossPart{err: err}
	}
	kernel.DeltaRows(delta, d, first, n)
	roundSum(after, weights, delta, target)
	part := lossPart{RoundLoss: abi.RoundLoss{FirstOverflow: -1}}
	for i := range n {
		part.addRow(weights[i*cols:(i+1)*cols], delta[i*cols:(i+1)*cols], after[i*cols:(i+1)*cols], int64(first+i)*int64(cols))
	}
	return part
}

// roundSum writes round(w + delta) as f32, with the merge's rounding into target.
func roundSum(dst, w, delta []float32, target tensor.DType) {
	for j, v := range w {
		switch sum := v + delta[j]; target {
		case tensor.BF16:
			dst[j] = tensor.BF16ToF32(tensor.F32ToBF16(sum))
		case tensor.F16:
			dst[j] = tensor.F16ToF32(tensor.F32ToF16(sum))
		default:
			dst[j] = sum
		}
	}
}

// addRow adds one row, whose first entry has the row-major index at.
func (p *lossPart) addRow(w, delta, after []float32, at int64) {
	var dot, deltaSquares, roundedSquares, errorSquares float64
	for j, v := range w {
		d, change := float64(delta[j]), float64(after[j])-float64(v)
		if d != 0 {
			p.NonZero++
		}
		if after[j] != v && (after[j] == after[j] || v == v) { // NaN that stays NaN is no change
			p.Changed++
		} else if d != 0 {
			p.Lost++
		}
		if change-change != 0 || d-d != 0 {
			if v-v == 0 && d-d == 0 {
				if p.Overflow++; p.FirstOverflow < 0 {
					p.FirstOverflow = at + int64(j)
				}
			}
			continue
		}
		dot += float64(change * d)
		deltaSquares += float64(d * d)
		roundedSquares += float64(change * change)
		errorSquares += float64((change - d) * (change - d))
	}
	p.Dot += dot
	p.DeltaSquares += deltaSquares
	p.RoundedSquares += roundedSquares
	p.ErrorSquares += errorSquares
}
