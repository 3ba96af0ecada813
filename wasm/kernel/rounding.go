package kernel

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/abi"
)

// Update is Scale·B·A, computed in f64: B is out x rank, A is rank x in. Where Transposed is set the weight that it is added to is stored
// as in x out.
type Update struct {
	B, A       *Matrix
	Scale      float64
	Transposed bool
}

// check refuses factors that do not fit each other or a stored weight of rows x cols.
func (u Update) check(rows, cols int) error {
	if err := u.B.check("B"); err != nil {
		return err
	}
	if err := u.A.check("A"); err != nil {
		return err
	}
	if u.Transposed {
		rows, cols = cols, rows
	}
	if u.B.Cols != u.A.Rows || u.B.Rows != rows || u.A.Cols != cols {
		return fmt.Errorf("B is %d x %d and A is %d x %d for a weight of %d x %d: %w", u.B.Rows, u.B.Cols, u.A.Rows, u.A.Cols, rows, cols,
			ErrShape)
	}
	return nil
}

// stored returns the factors of the update as the weight is stored, left times right without the scale.
func (u Update) stored() (left, right *Matrix) {
	if u.Transposed {
		return transposed(u.A), transposed(u.B)
	}
	return u.B, u.A
}

func transposed(m *Matrix) *Matrix {
	t := NewMatrix(m.Cols, m.Rows)
	for i := range m.Rows {
		for j, v := range m.Row(i) {
			t.Data[j*t.Cols+i] = v
		}
	}
	return t
}

// Roundings tells what storing w + update in each of the formats does to the update, over rows rows of w as it is stored, from first on, in
// one pass: see abi.Rounding. An entry of D is scale times the chain of its fused products in ascending order, all in f64, and what is rounded
// is the f64 sum of W0 and D, once. The sums are f64, over parts of rows as kernel.TakeRounding takes them, then over panels of rows of fixed
// size, which run in parallel, and then over these in order.
// w.Reader is read by several goroutines at once. It fails as CheckFormats does, and with ErrShape where the rows are not there.
func Roundings(w Stored, update Update, all []abi.Format, first, rows int) ([]abi.Rounding, error) {
	height, cols := w.Shape()
	if err := update.check(height, cols); err != nil {
		return nil, err
	}
	if first < 0 || rows < 1 || first > height-rows {
		return nil, w.outside(first, rows)
	}
	if err := CheckFormats(all, cols); err != nil {
		return nil, err
	}
	pass := &roundingPass{w: w, cols: cols, scale: update.Scale, formats: all, right: packs.Get().(*kernel.Packed64)}
	defer packs.Put(pass.right)
	left, right := update.stored()
	pass.left = left
	pass.right.Pack(kernel.View64{Data: right.Data, Stride: cols}, right.Rows, cols)
	parts := make([]roundingPart, (rows+lossRows-1)/lossRows)
	var next atomic.Int64
	parallel(min(runtime.GOMAXPROCS(0), len(parts)), func(int) {
		scratch := roundingScratches.Get().(*roundingScratch)
		defer roundingScratches.Put(scratch)
		for at := int(next.Add(1)) - 1; at < len(parts); at = int(next.Add(1)) - 1 {
			parts[at] = pass.part(scratch, first+at*lossRows, min(lossRows, rows-at*lossRows))
		}
	})
	return sumRoundings(parts, len(all), int64(rows)*int64(cols))
}

// roundingPass is what all parts share.
type roundingPass struct {
	w       Stored
	cols    int
	left    *Matrix // D over the scale, as w is stored
	right   *kernel.Packed64
	scale   float64
	formats []abi.Format
}

// roundingPart is what one panel of rows adds, for each format.
type roundingPart struct {
	sums []roundingSums
	err  error
}

// roundingSums counts as abi.Rounding does; Count is for the caller.
type roundingSums struct {
	abi.Rounding
	dot, delta, rounded, lost, base, baseLost compensated
}

func sumRoundings(parts []roundingPart, n int, count int64) ([]abi.Rounding, error) {
	total := make([]roundingSums, n)
	for _, part := range parts {
		if part.err != nil {
			return nil, part.err
		}
		for i, s := range part.sums {
			t := &total[i]
			t.NonZero += s.NonZero
			t.Lost += s.Lost
			t.Changed += s.Changed
			t.Overflow += s.Overflow
			t.NonFinite += s.NonFinite
			t.dot.add(s.dot.value())
			t.delta.add(s.delta.value())
			t.rounded.add(s.rounded.value())
			t.lost.add(s.lost.value())
			t.base.add(s.base.value())
			t.baseLost.add(s.baseLost.value())
		}
	}
	results := make([]abi.Rounding, n)
	for i, t := range total {
		r := t.Rounding
		r.Count = count
		r.Dot, r.DeltaSquares, r.RoundedSquares, r.ErrorSquares = t.dot.value(), t.delta.value(), t.rounded.value(), t.lost.value()
		r.BaseSquares, r.BaseError = t.base.value(), t.baseLost.value()
		results[i] = r
	}
	return results, nil
}

// roundingCols is how many columns are worked on at a time: whole blocks of every format, and few enough to stay in the first-level cache
// while the formats pass by.
const roundingCols = 512

// roundingScratch is what one goroutine needs: D of a panel of rows, and a part of a row of W, W0 and W0 + D.
type roundingScratch struct {
	bytes                 []byte
	delta                 []float64
	weights, base, merged [roundingCols]float64
}

// Guests that look at samples ask for a few rows many times.
var (
	roundingScratches = sync.Pool{New: func() any { return new(roundingScratch) }}
	packs             = sync.Pool{New: func() any { return new(kernel.Packed64) }}
)

// part covers rows [first, first+n).
func (p *roundingPass) part(s *roundingScratch, first, n int) roundingPart {
	part := roundingPart{sums: make([]roundingSums, len(p.formats))}
	if s.bytes, part.err = p.w.read(s.bytes[:cap(s.bytes)], first, n); part.err != nil {
		return part
	}
	if len(s.delta) < n*p.cols {
		s.delta = make([]float64, n*p.cols)
	}
	all := s.delta[:n*p.cols]
	clear(all)
	p.right.AddProduct(all, p.cols, kernel.View64{Data: p.left.Data[first*p.left.Cols:], Stride: p.left.Cols}, n)
	kernel.Scale64(p.scale, all)
	size := p.w.DType.Size()
	for at := 0; at < len(all); {
		width := min(roundingCols, p.cols-at%p.cols)
		weights, delta, merged := s.weights[:width], all[at:at+width], s.merged[:width]
		kernel.Widen(weights, s.bytes[at*size:(at+width)*size], p.w.DType)
		for k, name := range p.formats {
			f := formats[name]
			base := weights
			if !slices.Contains(f.exact, p.w.DType) {
				base = s.base[:width]
				copy(base, weights)
				f.round(base)
			}
			copy(merged, base)
			kernel.AddScaled64(1, delta, merged) // their sums, exactly as additions round them
			f.round(merged)
			part.sums[k].add(kernel.TakeRounding(weights, delta, base, merged))
		}
		at += width
	}
	return part
}

// add adds a part of a row.
func (s *roundingSums) add(r kernel.Rounding) {
	s.NonZero += int64(r.NonZero)
	s.Lost += int64(r.Lost)
	s.Changed += int64(r.Changed)
	s.Overflow += int64(r.Overflow)
	s.NonFinite += int64(r.NonFinite)
	s.dot.add(r.Dot)
	s.delta.add(r.Delta)
	s.rounded.add(r.Rounded)
	s.lost.add(r.Error)
	s.base.add(r.Base)
	s.baseLost.add(r.BaseError)
}
