package kernel

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
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
// one pass: see abi.Rounding. An entry of D is scale times the sum of its products in ascending order, all in f64, and what is rounded is
// the f64 sum of W0 and D, once. The sums are f64, over panels of rows of fixed size, which run in parallel, and then over these in order.
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
	pass := &roundingPass{w: w, scale: update.Scale, formats: all}
	pass.left, pass.right = update.stored()
	parts := make([]roundingPart, (rows+lossRows-1)/lossRows)
	var next atomic.Int64
	parallel(min(runtime.GOMAXPROCS(0), len(parts)), func(int) {
		scratch := pass.newScratch()
		for at := int(next.Add(1)) - 1; at < len(parts); at = int(next.Add(1)) - 1 {
			parts[at] = pass.part(scratch, first+at*lossRows, min(lossRows, rows-at*lossRows))
		}
	})
	return sumRoundings(parts, len(all), int64(rows)*int64(cols))
}

// roundingPass is what all parts share.
type roundingPass struct {
	w           Stored
	left, right *Matrix // D over the scale, as w is stored
	scale       float64
	formats     []abi.Format
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

// roundingCols is how many columns are worked on at a time: whole blocks of every format, and few enough for the right factor to stay in
// the second-level cache while rows pass by.
const roundingCols = 1024

// roundingScratch is what one goroutine needs: a part of a row of W, D, W0 and W0 + D.
type roundingScratch struct {
	bytes                        []byte
	weights, delta, base, merged []float64
}

func (p *roundingPass) newScratch() *roundingScratch {
	n := min(roundingCols, p.right.Cols)
	return &roundingScratch{weights: make([]float64, n), delta: make([]float64, n), base: make([]float64, n), merged: make([]float64, n)}
}

// part covers rows [first, first+n).
func (p *roundingPass) part(s *roundingScratch, first, n int) roundingPart {
	part := roundingPart{sums: make([]roundingSums, len(p.formats))}
	if s.bytes, part.err = p.w.read(s.bytes[:cap(s.bytes)], first, n); part.err != nil {
		return part
	}
	cols, size := p.right.Cols, p.w.DType.Size()
	for from := 0; from < cols; from += roundingCols {
		width := min(roundingCols, cols-from)
		weights, delta, base, merged := s.weights[:width], s.delta[:width], s.base[:width], s.merged[:width]
		for i := range n {
			if err := tensor.ToF64(weights, s.bytes[(i*cols+from)*size:][:width*size], p.w.DType); err != nil {
				part.err = fmt.Errorf("tensor %q: %w: %w", p.w.Name, ErrDType, err)
				return part
			}
			p.deltaRow(delta, first+i, from)
			for k, name := range p.formats {
				f := formats[name]
				copy(base, weights)
				if !slices.Contains(f.exact, p.w.DType) {
					f.round(base)
				}
				for j, v := range base {
					merged[j] = v + delta[j]
				}
				f.round(merged)
				part.sums[k].add(weights, delta, base, merged)
			}
		}
	}
	return part
}

// deltaRow writes entries of D: those of a stored row, from a column on.
func (p *roundingPass) deltaRow(dst []float64, row, from int) {
	clear(dst)
	factors, cols := p.left.Row(row), p.right.Cols
	right := func(k int) []float64 { return p.right.Data[k*cols+from:][:len(dst)] }
	k := 0
	for ; k+3 < len(factors); k += 4 {
		gather4(factors[k:], right(k), right(k+1), right(k+2), right(k+3), dst)
	}
	for ; k < len(factors); k++ {
		axpy(factors[k], right(k), dst)
	}
	for j, v := range dst {
		dst[j] = float64(p.scale * v)
	}
}

// gather4 is axpy for the first four factors of a and the vectors x0 to x3 in their order, in one pass over sum.
func gather4(a, x0, x1, x2, x3, sum []float64) {
	a0, a1, a2, a3 := a[0], a[1], a[2], a[3]
	x0, x1, x2, x3 = x0[:len(sum)], x1[:len(sum)], x2[:len(sum)], x3[:len(sum)]
	for i, s := range sum {
		sum[i] = s + float64(a0*x0[i]) + float64(a1*x1[i]) + float64(a2*x2[i]) + float64(a3*x3[i])
	}
}

// add adds a part of a row.
func (s *roundingSums) add(weights, delta, base, merged []float64) {
	var dot, deltaSquares, rounded, lost, baseSquares, baseLost float64
	delta, base, merged = delta[:len(weights)], base[:len(weights)], merged[:len(weights)]
	for j, w := range weights {
		d, before := delta[j], base[j]
		if w-w != 0 || d-d != 0 {
			s.NonFinite++
			continue
		}
		change := merged[j] - before
		if d != 0 {
			s.NonZero++
			if change == 0 {
				s.Lost++
			}
		}
		if change != 0 {
			s.Changed++
		}
		if change-change != 0 {
			s.Overflow++
			continue
		}
		dot += float64(change * d)
		deltaSquares += float64(d * d)
		rounded += float64(change * change)
		lost += float64((change - d) * (change - d))
		baseSquares += float64(w * w)
		baseLost += float64((w - before) * (w - before))
	}
	s.dot.add(dot)
	s.delta.add(deltaSquares)
	s.rounded.add(rounded)
	s.lost.add(lost)
	s.base.add(baseSquares)
	s.baseLost.add(baseLost)
}
