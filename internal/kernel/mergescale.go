package kernel

import (
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// DoRA replaces W by V = f32(W) + delta, of which each output is scaled to a length of its own: W' = round(gain · V), with one gain for each of the
// delta's Out outputs. An output is a stored row, or a stored column where FanInFanOut. V and gain · V are rounded to f32, and W' once more into W's
// dtype.

// SquareSums adds the squares of V's entries at stored rows [first, first+rows) to the sums of their outputs: d.Out sums, which start as zeros. src
// is the bytes of those rows. The sums are f64, in an order that gives the same bits on every machine and whatever workers is, which is as in
// ParallelMergeRows: along a stored row, entry j goes to lane j mod 16, and the lanes are added pairwise at distance 8, 4, 2 and 1; along a stored
// column, row after row, for which the rows must come in order.
//
// It fails, before it adds, on what MergeRows refuses, and where there are not d.Out sums.
func SquareSums(sums []float64, src []byte, dtype tensor.DType, d *Delta, first, rows, workers int) error {
	m, err := newScaling(src, src, dtype, d, first, rows, len(sums))
	if err != nil {
		return err
	}
	if !d.FanInFanOut {
		deal(rows, m.granule(), workers, func(from, n int) { m.squareRows(sums, first+from, n) })
		return nil
	}
	deal((m.cols+pieceCols-1)/pieceCols, 1, workers, func(piece, n int) {
		m.squareColumns(sums, first, rows, piece*pieceCols, min((piece+n)*pieceCols, m.cols))
	})
	return nil
}

// Gains writes the gains that scale outputs to their magnitudes: f32(f64(magnitude) / sqrt(sum)), of sums that SquareSums made. It fails on an output
// that has no length, or one that is not finite, or whose gain is not a finite f32.
func Gains(dst, magnitudes []float32, sums []float64) error {
	if len(magnitudes) != len(dst) || len(sums) != len(dst) {
		return fmt.Errorf("%d magnitudes and %d sums for %d gains", len(magnitudes), len(sums), len(dst))
	}
	for i, sum := range sums {
		norm := math.Sqrt(sum)
		if norm == 0 || norm-norm != 0 {
			return fmt.Errorf("output %d of W + delta has length %g: it cannot be scaled to a magnitude", i, norm)
		}
		dst[i] = float32(float64(magnitudes[i]) / norm)
		if dst[i]-dst[i] != 0 {
			return fmt.Errorf("output %d has magnitude %g and length %g: their ratio is not a finite f32", i, magnitudes[i], norm)
		}
	}
	return nil
}

// MergeScaledRows is ParallelMergeRows for DoRA, with the gain of each output. It fails as that does, and where there are not d.Out finite gains.
func MergeScaledRows(dst, src []byte, dtype tensor.DType, d *Delta, gains []float32, first, rows, workers int) (Counts, error) {
	m, err := newScaling(dst, src, dtype, d, first, rows, len(gains))
	if err != nil {
		return Counts{}, err
	}
	for i, g := range gains {
		if g-g != 0 {
			return Counts{}, fmt.Errorf("the gain of output %d is %g", i, g)
		}
	}
	var total counter
	deal(rows, m.granule(), workers, func(from, n int) { total.add(m.scaleRows(gains, first+from, n)) })
	return total.counts(), nil
}

// scaling is a merging of a DoRA.
type scaling struct {
	merging
	row scaleRow
}

func newScaling(dst, src []byte, dtype tensor.DType, d *Delta, first, rows, outputs int) (*scaling, error) {
	if outputs != d.Out {
		return nil, fmt.Errorf("%d numbers for %d outputs", outputs, d.Out)
	}
	m, err := newRows(dst, src, dtype, d, first, rows)
	if err != nil {
		return nil, err
	}
	s := &scaling{merging: m}
	switch k := &active.merge.scale; dtype {
	case tensor.BF16:
		s.row = k.bf16
	case tensor.F16:
		s.row = k.f16
	case tensor.F32:
		s.row = k.f32
	}
	return s, nil
}

// granule is what the number of rows in a block should be a multiple of.
func (m *scaling) granule() int { return max(1, active.gemm32.rows) }

// widen makes V's entries at a piece of a row from the delta's.
func (m *scaling) widen(v []float32, row, col int) {
	src, done := m.src[m.at(row, col):], 0
	if m.row.widen != nil && len(v) >= lanes16 {
		m.row.widen(len(v), &v[0], &src[0])
		done = len(v) / lanes16 * lanes16
	}
	m.add(v[done:], src[done*m.size:])
}

// lanes16 is the number of partial sums of a sum of squares, and the unit of scaleKernels.
const lanes16 = 16

// squareRows sets the sums of stored rows.
func (m *scaling) squareRows(sums []float64, first, rows int) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	lanes, kernel := s.laneSums(rows*lanes16), active.merge.scale.squareLanes
	m.d.eachPiece(s, first, rows, 0, m.cols, func(v []float32, row, col int) {
		m.widen(v, row, col)
		lane, done := lanes[(row-first)*lanes16:][:lanes16], 0
		if kernel != nil {
			kernel(len(v), &lane[0], &v[0])
			done = len(v) / lanes16 * lanes16
		}
		for i, x := range v[done:] {
			lane[i%lanes16] += float64(x) * float64(x) // exact: fused or not, it is the same
		}
	})
	for i := range rows {
		lane := lanes[i*lanes16:][:lanes16]
		for distance := lanes16 / 2; distance > 0; distance /= 2 {
			for l := range distance {
				lane[l] += lane[l+distance]
			}
		}
		sums[first+i] += lane[0]
	}
}

// squareColumns adds to the sums of stored columns [from, to).
func (m *scaling) squareColumns(sums []float64, first, rows, from, to int) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	kernel := active.merge.scale.squareEach
	m.d.eachPiece(s, first, rows, from, to, func(v []float32, row, col int) {
		m.widen(v, row, col)
		sums, done := sums[col:][:len(v)], 0
		if kernel != nil {
			kernel(len(v), &sums[0], &v[0])
			done = len(v) / lanes16 * lanes16
		}
		for i, x := range v[done:] {
			sums[done+i] += float64(x) * float64(x)
		}
	})
}

// scaleRows merges stored rows.
func (m *scaling) scaleRows(gains []float32, first, rows int) (c Counts) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	m.d.eachPiece(s, first, rows, 0, m.cols, func(v []float32, row, col int) {
		m.widen(v, row, col)
		g := piecewise{gains: s.sameGain[:], step: 0}
		if m.d.FanInFanOut {
			g = piecewise{gains: gains[col:], step: 4 * lanes16}
		} else if math.Float32bits(s.sameGain[0]) != math.Float32bits(gains[row]) { // -0 and +0 give different bits
			for i := range s.sameGain {
				s.sameGain[i] = gains[row]
			}
		}
		c = c.Add(m.scale(v, g, m.at(row, col)))
	})
	return c
}

// piecewise are the gains of entries that follow one another: their own, or the same for all, 16 times.
type piecewise struct {
	gains []float32
	step  int // bytes, after every 16 entries
}

// from is what is left after n entries, a multiple of 16.
func (p piecewise) from(n int) piecewise { return piecewise{p.gains[n*p.step/(4*lanes16):], p.step} }

// scale stores V's entries v, scaled, at byte at.
func (m *scaling) scale(v []float32, g piecewise, at int) (c Counts) {
	for len(v) > 0 {
		part := min(len(v), lanes16)
		if m.row.scale != nil && part == lanes16 {
			done, changed := m.row.scale(len(v), &m.dst[at], &m.src[at], &v[0], &g.gains[0], g.step)
			c.Changed += int64(changed)
			v, g, at = v[done:], g.from(done), at+done*m.size
			part = min(len(v), lanes16)
		}
		for i, x := range v[:part] {
			v[i] = g.gains[i] * x
		}
		end := at + part*m.size
		c = c.Add(m.store(m.dst[at:end], m.src[at:end], v[:part]))
		v, at = v[part:], end
		if len(v) > 0 {
			g = g.from(part)
		}
	}
	return c
}
