package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/tenon-ml/tenon/sdk/tensor"
)

// changeCase is a change with the bytes it is made of.
type changeCase struct {
	*Change
	dtype             tensor.DType
	src, start, dense []byte // start by row of the matrix, dense as stored
}

// entryOf is entry i of some bytes, as they are and as an f32.
func entryOf(t *testing.T, bytes []byte, dtype tensor.DType, i int) ([]byte, float32) {
	t.Helper()
	entry, v := bytes[i*dtype.Size():][:dtype.Size()], make([]float32, 1)
	if err := tensor.ToF32(v, entry, dtype); err != nil {
		t.Fatal(err)
	}
	return entry, v[0]
}

// fraction is how many bits of a dtype are a NaN's payload, with the one that makes it quiet.
var fraction = map[tensor.DType]int{tensor.BF16: 7, tensor.F16: 10, tensor.F32: 23, tensor.F64: 52}

// sameNaN stores a NaN as another dtype: its sign, and the upper bits of its payload, quiet.
func sameNaN(entry []byte, from, to tensor.DType) []byte {
	wide := make([]byte, 8)
	copy(wide, entry)
	bits := binary.LittleEndian.Uint64(wide)
	payload := bits << (64 - fraction[from]) >> (64 - fraction[to]) // of the dtype's width
	payload |= 1 << (fraction[to] - 1)
	size := 8 * to.Size()
	bits = bits>>(8*from.Size()-1)<<(size-1) | (1<<(size-1-fraction[to])-1)<<fraction[to] | payload
	binary.LittleEndian.PutUint64(wide, bits)
	return wide[:to.Size()]
}

// startOf is the row of the start's bytes that a row of the matrix begins as; false: it begins as it is.
func (c *changeCase) startOf(row int) (int, bool) {
	if c.Start == tensor.Invalid || c.StartRows == nil {
		return row, c.Start != tensor.Invalid
	}
	i := slices.IndexFunc(c.StartRows, func(s StartRow) bool { return s.Row == row })
	return i, i >= 0
}

// deltaOf is the delta of one entry; false: nothing is added.
func (c *changeCase) deltaOf(t *testing.T, row, col int) (float32, bool) {
	if c.Dense != tensor.Invalid {
		_, v := entryOf(t, c.dense, c.Dense, row*c.Cols+col)
		return float32(c.Scale * v), true
	}
	if len(c.Deltas) == 0 {
		return 0, false
	}
	height := c.Rows / len(c.Deltas)
	d := c.Deltas[row/height]
	i, j := row%height, col
	if d.FanInFanOut {
		i, j = j, i
	}
	var sum float32
	for k := range d.Rank {
		sum = FMA32(d.SB[i*d.Rank+k], d.A[k*d.In+j], sum)
	}
	return sum, true
}

// naive is a change as it is documented, one entry at a time.
func (c *changeCase) naive(t *testing.T) (dst []byte, sums []float64, counts Counts) {
	t.Helper()
	sums = c.Sums()
	for row := range c.Rows {
		var lane [16]float64
		for col := range c.Cols {
			before, w := entryOf(t, c.src, c.dtype, row*c.Cols+col)
			origin, from := before, c.dtype
			if r, ok := c.startOf(row); ok {
				from = c.Start
				origin, w = entryOf(t, c.start, from, r*c.Cols+col)
			}
			v := w
			if delta, ok := c.deltaOf(t, row, col); ok {
				v = w + delta
			}
			lane[col%16] += float64(v) * float64(v)
			if c.OfColumns {
				sums[col] += float64(v) * float64(v)
			}
			if c.Gains != nil {
				output := row
				if c.OfColumns {
					output = col / (c.Cols / len(c.Gains))
				}
				v = c.Gains[output] * v
			}
			entry := encode(c.dtype, float64(v))
			if w != w {
				entry = sameNaN(origin, from, c.dtype)
			} else if v != v {
				entry = map[tensor.DType][]byte{tensor.BF16: {0xc0, 0x7f}, tensor.F16: {0x00, 0x7e}, tensor.F32: {0, 0, 0xc0, 0x7f}}[c.dtype]
			}
			startFinite := finite(w)
			if from == tensor.F64 {
				stored := math.Float64frombits(binary.LittleEndian.Uint64(origin))
				startFinite = stored-stored == 0
			}
			if _, after := entryOf(t, entry, c.dtype, 0); startFinite && !finite(after) {
				counts.NonFinite++
			}
			if !bytes.Equal(entry, before) {
				counts.Changed++
			}
			dst = append(dst, entry...)
		}
		if !c.OfColumns {
			for distance := 8; distance > 0; distance /= 2 {
				for l := range distance {
					lane[l] += lane[l+distance]
				}
			}
			sums[row] = lane[0]
		}
	}
	return dst, sums, counts
}

// part are the arguments for some rows.
func (c *changeCase) part(first, rows int) (src, start, dense []byte) {
	cut := func(b []byte, size int) []byte { return b[first*c.Cols*size:][:rows*c.Cols*size] }
	src, dense = cut(c.src, c.dtype.Size()), cut(c.dense, c.Dense.Size())
	if c.StartRows == nil {
		return src, cut(c.start, c.Start.Size()), dense
	}
	before := 0
	for before < len(c.StartRows) && c.StartRows[before].Row < first {
		before++
	}
	return src, c.start[before*c.Cols*c.Start.Size():][:c.StartBytes(first, rows)], dense
}

// check compares MergeRows, in one piece, in place and in blocks at the same time, and SquareSums, with naive.
func (c *changeCase) check(t *testing.T) {
	t.Helper()
	want, wantSums, wantCounts := c.naive(t)
	for name, dst := range map[string][]byte{"apart": make([]byte, len(c.src)), "in place": bytes.Clone(c.src)} {
		src := c.src
		if name == "in place" {
			src = dst
		}
		counts, err := c.MergeRows(dst, src, c.start, c.dense, c.dtype, 0, c.Rows)
		if err != nil || !bytes.Equal(dst, want) || counts != wantCounts {
			t.Errorf("%s: equal %v, %+v, want %+v, error %v", name, bytes.Equal(dst, want), counts, wantCounts, err)
		}
	}
	got, sums := make([]byte, len(c.src)), c.Sums()
	var group sync.WaitGroup
	var total counter
	for first := 0; first < c.Rows; {
		rows := min(1+first%5, c.Rows-first)
		from := first
		merge := func() {
			src, start, dense := c.part(from, rows)
			counts, err := c.MergeRows(got[from*c.Cols*c.dtype.Size():][:len(src)], src, start, dense, c.dtype, from, rows)
			if err != nil {
				t.Error(err)
			}
			total.add(counts)
		}
		src, start, dense := c.part(from, rows)
		if err := c.SquareSums(sums, src, start, dense, c.dtype, from, rows); err != nil {
			t.Error(err)
		}
		group.Go(merge)
		first += rows
	}
	group.Wait()
	if !bytes.Equal(got, want) || total.counts() != wantCounts {
		t.Errorf("in blocks: equal %v, %+v, want %+v", bytes.Equal(got, want), total.counts(), wantCounts)
	}
	for i, sum := range sums {
		if sum != wantSums[i] && (sum == sum || wantSums[i] == wantSums[i]) {
			t.Fatalf("sum %d is %g, want %g", i, sum, wantSums[i])
		}
	}
}

// randomChange draws a change of every form.
func randomChange(t *testing.T, r *rand.Rand, rows, cols, every int) *changeCase {
	t.Helper()
	weights := []tensor.DType{tensor.BF16, tensor.F16, tensor.F32, tensor.F64}
	numbers := func(dtype tensor.DType, rows int) []byte {
		b := gaussian(r, dtype, rows*cols, 0.02)
		if every > 0 {
			strew(r, b, dtype, every)
		}
		return unaligned(b)
	}
	c := &changeCase{Change: &Change{Rows: rows, Cols: cols}, dtype: mergeable[r.IntN(3)]}
	c.src = numbers(c.dtype, rows)
	switch r.IntN(4) {
	case 0:
		c.Dense, c.Scale = weights[r.IntN(4)], float32(r.IntN(2))*1.7+1
		c.dense = numbers(c.Dense, rows)
	case 1, 2:
		blocks := 1
		for _, n := range []int{2, 3, 7} {
			if rows%n == 0 && r.IntN(2) == 0 {
				blocks = n
			}
		}
		fan := r.IntN(2) == 0
		for range blocks {
			c.Deltas = append(c.Deltas, randomDelta(t, r, 1+r.IntN(9), rows/blocks, cols, fan))
		}
	}
	if r.IntN(2) == 0 || len(c.Deltas) == 0 && c.Dense == tensor.Invalid {
		c.Start = weights[r.IntN(4)]
		n := rows
		if r.IntN(2) == 0 {
			c.StartRows = []StartRow{}
			for row := range rows {
				if r.IntN(3) > 0 {
					c.StartRows = append(c.StartRows, StartRow{Row: row, At: -1})
				}
			}
			n = len(c.StartRows)
		}
		c.start = numbers(c.Start, n)
	}
	switch r.IntN(4) {
	case 0:
		c.Gains = gaussians(r, rows)
	case 1:
		c.Gains, c.OfColumns = gaussians(r, cols), true
	case 2:
		c.OfColumns = true
		for width := 2; width <= cols; width++ {
			if cols%width == 0 {
				c.Gains = gaussians(r, cols/width)
				break
			}
		}
	}
	return c
}

// TestChangeIsItsDefinition draws changes of all forms and shapes, with and without special values.
func TestChangeIsItsDefinition(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(71, 72))
		shapes := [][2]int{{1, 1}, {21, 1}, {1, 33}, {6, 15}, {14, 16}, {12, 47}, {30, 64}, {9, 1100}, {700, 3}}
		turns := 400
		if underRace {
			turns = 60
		}
		for i := range turns {
			shape := shapes[i%len(shapes)]
			c := randomChange(t, r, shape[0], shape[1], []int{0, 3, 40}[r.IntN(3)])
			t.Run(fmt.Sprintf("%d: %dx%d %v, %d deltas, dense %v, start %v of %d rows, %d gains", i, c.Rows, c.Cols, c.dtype, len(c.Deltas),
				c.Dense, c.Start, len(c.StartRows), len(c.Gains)), c.check)
		}
	})
}

// TestChangeNothing: rows that nothing is added to keep their bits, a negative zero too.
func TestChangeNothing(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		for _, dtype := range mergeable {
			src := bytes.Repeat(encode(dtype, math.Copysign(0, -1), 0, 1, math.Inf(-1)), 9)
			c := &Change{Rows: 4, Cols: 9, Start: dtype}
			dst := make([]byte, len(src))
			if counts, err := c.MergeRows(dst, src, src, nil, dtype, 0, 4); err != nil || counts != (Counts{}) || !bytes.Equal(dst, src) {
				t.Errorf("%v: %+v, %v, %x", dtype, counts, err, dst)
			}
		}
	})
}

func TestChangeRefuses(t *testing.T) {
	d := newDelta(t, make([]byte, 8), tensor.F32, make([]byte, 12), tensor.F32, 1, 2, 3, 1, false) // 3 x 2
	src := make([]byte, 24)
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		change       Change
		start, dense []byte
	}{
		"nothing of a matrix":      {Change{}, nil, nil},
		"both deltas":              {Change{Rows: 6, Cols: 2, Deltas: []*Delta{d, d}, Dense: tensor.F32}, nil, make([]byte, 48)},
		"blocks that do not fit":   {Change{Rows: 6, Cols: 2, Deltas: []*Delta{d}}, nil, nil},
		"uneven blocks":            {Change{Rows: 6, Cols: 2, Deltas: []*Delta{d, d, d, d}}, nil, nil},
		"short dense":              {Change{Rows: 6, Cols: 2, Dense: tensor.F16}, nil, make([]byte, 22)},
		"dense of integers":        {Change{Rows: 6, Cols: 2, Dense: tensor.I16}, nil, make([]byte, 24)},
		"scale":                    {Change{Rows: 6, Cols: 2, Dense: tensor.F16, Scale: nan}, nil, make([]byte, 24)},
		"short start":              {Change{Rows: 6, Cols: 2, Start: tensor.F32}, make([]byte, 44), nil},
		"start of integers":        {Change{Rows: 6, Cols: 2, Start: tensor.I32}, make([]byte, 48), nil},
		"start from nowhere":       {Change{Rows: 6, Cols: 2, Deltas: []*Delta{d, d}}, make([]byte, 48), nil},
		"rows of no start":         {Change{Rows: 6, Cols: 2, Deltas: []*Delta{d, d}, StartRows: []StartRow{{1, 0}}}, nil, nil},
		"start of too many rows":   {Change{Rows: 6, Cols: 2, Start: tensor.F16, StartRows: []StartRow{{1, 0}}}, make([]byte, 8), nil},
		"gains for too few rows":   {Change{Rows: 6, Cols: 2, Deltas: []*Delta{d, d}, Gains: make([]float32, 3)}, nil, nil},
		"gains for uneven columns": {Change{Rows: 6, Cols: 2, Deltas: []*Delta{d, d}, Gains: make([]float32, 3), OfColumns: true}, nil, nil},
		"a gain that is NaN":       {Change{Rows: 6, Cols: 2, Deltas: []*Delta{d, d}, Gains: []float32{1, nan}, OfColumns: true}, nil, nil},
	} {
		if _, err := c.change.MergeRows(src, src, c.start, c.dense, tensor.BF16, 0, 6); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	c := Change{Rows: 6, Cols: 2, Deltas: []*Delta{d, d}}
	if _, err := c.MergeRows(src, src, nil, nil, tensor.BF16, 1, 6); err == nil {
		t.Error("rows past the end: accepted")
	}
	if _, err := c.MergeRows(src, src, nil, nil, tensor.F64, 0, 6); err == nil {
		t.Error("F64: accepted")
	}
	if err := c.SquareSums(make([]float64, 2), src, nil, nil, tensor.BF16, 0, 6); err == nil {
		t.Error("sums of columns for rows: accepted")
	}
}

func TestNewDeltasRefuses(t *testing.T) {
	for _, blocks := range []int{0, 5} {
		if _, err := NewDeltas(make([]byte, 32), tensor.F32, make([]byte, 48), tensor.F32, blocks, 1, 2, 3, 1, false); err == nil {
			t.Errorf("%d blocks: accepted", blocks)
		}
	}
	deltas, err := NewDeltas(make([]byte, 32), tensor.F32, make([]byte, 48), tensor.F32, 4, 1, 2, 3, 1, false)
	if err != nil || len(deltas) != 4 {
		t.Errorf("%d deltas, %v", len(deltas), err)
	}
}

func TestStartRows(t *testing.T) {
	for _, rows := range [][]int64{{-1}, {4}, {2, 0, 2}} {
		if _, err := NewStartRows(rows, 4); err == nil {
			t.Errorf("%v: accepted", rows)
		}
	}
	held, err := NewStartRows([]int64{7, 2, 3, 0, 8}, 9)
	if err != nil {
		t.Fatal(err)
	}
	c := &Change{Rows: 9, Cols: 2, Start: tensor.BF16, StartRows: held}
	start := bytes.NewReader([]byte("7777222233330000 888"[:20]))
	for _, part := range []struct {
		first, rows int
		want        string
	}{{0, 9, "0000222233337777 888"}, {0, 1, "0000"}, {1, 3, "22223333"}, {4, 3, ""}, {7, 2, "7777 888"}} {
		got := make([]byte, c.StartBytes(part.first, part.rows))
		if err := c.ReadStart(got, start, part.first, part.rows); err != nil || string(got) != part.want {
			t.Errorf("%d rows from %d: %q, %v, want %q", part.rows, part.first, got, err, part.want)
		}
	}
	c.StartRows = nil
	got := make([]byte, c.StartBytes(1, 2))
	if err := c.ReadStart(got, start, 1, 2); err != nil || string(got) != "22223333" {
		t.Errorf("of all rows: %q, %v", got, err)
	}
}
