package merge

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// exactRows is how many rows of each tensor are recomputed by the definition, which holds the host's own kernels to it. All rows are held
// against what those kernels give. Of outputs that are columns as many are measured by the definition, and then the rows are recomputed there.
const exactRows = 2

// choose draws exactRows of n numbers from 0 on, or fewer where there are fewer.
func choose(seed uint64, n int) map[int]bool {
	exact := map[int]bool{}
	for i := range min(exactRows, n) {
		exact[int((seed>>1+uint64(i)*0x9e3779b97f4a7c15)%uint64(n))] = true
	}
	return exact
}

func mismatch(item Item, cause string, args ...any) error {
	return fault.New(fault.MergeMismatch, cause, args...).Of(item.Name).
		Fix("the backend computed something else than the merge rule: do not use it; run its conformance test")
}

// definition computes entries of a merged weight by the words of backendpb.Patch, one after the other in portable code: what the kernels are held
// against.
type definition struct {
	rows    map[int]bool
	outputs []int     // that are columns, or runs of them, whose gains are known; ascending
	width   int       // of a run
	sums    []float64 // of the squares of each column of those runs
}

// define chooses what is computed by the definition.
func (c *change) define(seed uint64) {
	c.defined.rows = choose(seed, c.Rows)
	if c.magnitudes != nil && c.OfColumns {
		c.defined.outputs = slices.Sorted(maps.Keys(choose(seed, len(c.magnitudes))))
		c.defined.width = c.Cols / len(c.magnitudes)
		c.defined.sums = make([]float64, len(c.defined.outputs)*c.defined.width)
	}
}

// definedEntries is V of stored row i at columns [from, to), and the start that it was made from: f32(start) + delta. base is the row's bytes, and
// first the first row that load has read.
func (c *change) definedEntries(i, from, to int, base []byte, first int) (v, start []float32, err error) {
	start, v = make([]float32, to-from), make([]float32, to-from)
	source, dtype := base, c.item.Base.DType
	if at, ok := c.heldRow(i, first); ok {
		source, dtype = c.startBytes[at*c.Cols*c.Start.Size():], c.Start
	}
	if err := tensor.ToF32(start, source[from*dtype.Size():to*dtype.Size()], dtype); err != nil {
		return nil, nil, err
	}
	switch {
	case len(c.Deltas) > 0:
		height := c.Rows / len(c.Deltas)
		addProducts(v, c.Deltas[i/height], i%height, from)
	case c.dense != nil:
		row := c.denseBytes[(i-first)*c.Cols*c.Dense.Size():]
		if err := tensor.ToF32(v, row[from*c.Dense.Size():to*c.Dense.Size()], c.Dense); err != nil {
			return nil, nil, err
		}
		for j := range v {
			v[j] = c.Scale * v[j]
		}
	default:
		copy(v, start)
		return v, start, nil
	}
	for j, w := range start {
		v[j] = w + v[j]
	}
	return v, start, nil
}

// heldRow is where the start's bytes of the rows from first on have stored row i, if the start holds that.
func (c *change) heldRow(i, first int) (at int, ok bool) {
	if c.start == nil || c.item.StartRows == nil {
		return i - first, c.start != nil
	}
	for _, row := range c.item.StartRows {
		if row >= int64(first) && row < int64(i) {
			at++
		}
		ok = ok || row == int64(i)
	}
	return at, ok
}

// addProducts is columns [from, from+len(sums)) of stored row i of a low-rank delta.
func addProducts(sums []float32, d *kernel.Delta, i, from int) {
	for k := range d.Rank {
		for j, sum := range sums {
			if d.FanInFanOut {
				sums[j] = kernel.FMA32(d.A[k*d.In+i], d.SB[(from+j)*d.Rank+k], sum)
			} else {
				sums[j] = kernel.FMA32(d.SB[i*d.Rank+k], d.A[k*d.In+from+j], sum)
			}
		}
	}
}

// measure adds rows of the weight to the sums of the outputs that are columns.
func (x *definition) measure(c *change, part []byte, first, rows int) error {
	for n, output := range x.outputs {
		for row := range rows {
			from := output * x.width
			v, _, err := c.definedEntries(first+row, from, from+x.width, part[row*c.stride:][:c.stride], first)
			if err != nil {
				return err
			}
			for j, entry := range v {
				x.sums[n*x.width+j] += float64(entry) * float64(entry)
			}
		}
	}
	return nil
}

// span is a stretch of a merged row.
type span struct {
	at    int // byte of the row
	bytes []byte
}

// definedRow merges stored row i by the definition, as far as it is known: the whole of it, or the outputs that were measured.
func (c *change) definedRow(i int, base []byte, first int) ([]span, error) {
	if !c.OfColumns || c.magnitudes == nil {
		gain := func(v []float32) (float32, error) {
			if c.magnitudes == nil {
				return 1, nil
			}
			return definedGain(c.magnitudes[i], sumOfSquares(v))
		}
		row, err := c.definedSpan(i, 0, c.Cols, base, first, gain)
		return []span{{0, row}}, err
	}
	var spans []span
	for n, output := range c.defined.outputs {
		sum := float64(0)
		for _, part := range c.defined.sums[n*c.defined.width:][:c.defined.width] {
			sum += part
		}
		gain := func([]float32) (float32, error) { return definedGain(c.magnitudes[output], sum) }
		from := output * c.defined.width
		text, err := c.definedSpan(i, from, from+c.defined.width, base, first, gain)
		if err != nil {
			return nil, err
		}
		spans = append(spans, span{from * c.item.Base.DType.Size(), text})
	}
	return spans, nil
}

func (c *change) definedSpan(i, from, to int, base []byte, first int, gain func([]float32) (float32, error)) ([]byte, error) {
	v, start, err := c.definedEntries(i, from, to, base, first)
	if err != nil {
		return nil, err
	}
	g, err := gain(v)
	if err != nil {
		return nil, fmt.Errorf("%s: row %d: %w", c.item.Name, i, err)
	}
	if c.magnitudes != nil {
		for j := range v {
			v[j] = g * v[j]
		}
	}
	return rounded(v, start, c.item.Base.DType), nil
}

// sumOfSquares adds the squares of a stored row as backend.SquareOrder says.
func sumOfSquares(v []float32) float64 {
	var lanes [16]float64
	for j, x := range v {
		lanes[j%16] += float64(x) * float64(x)
	}
	for distance := 8; distance > 0; distance /= 2 {
		for l := range distance {
			lanes[l] += lanes[l+distance]
		}
	}
	return lanes[0]
}

func definedGain(magnitude float32, sum float64) (float32, error) {
	gain := float32(float64(magnitude) / math.Sqrt(sum))
	if gain-gain != 0 {
		return 0, fmt.Errorf("magnitude %g over length %g is no finite gain", magnitude, math.Sqrt(sum))
	}
	return gain, nil
}

// rounded stores entries that were made from a start.
func rounded(v, start []float32, dtype tensor.DType) []byte {
	row := make([]byte, 0, len(v)*dtype.Size())
	for j, sum := range v {
		w := start[j]
		if w != w {
			sum = w // a NaN of the start stays that NaN
		} else if sum != sum {
			sum = math.Float32frombits(0x7fc00000) // one that arises has no payload
		}
		switch dtype {
		case tensor.BF16:
			row = binary.LittleEndian.AppendUint16(row, tensor.F32ToBF16(sum))
		case tensor.F16:
			row = binary.LittleEndian.AppendUint16(row, tensor.F32ToF16(sum))
		default:
			bits := math.Float32bits(sum)
			if w != w {
				bits |= 1 << 22
			}
			row = binary.LittleEndian.AppendUint32(row, bits)
		}
	}
	return row
}

// agrees reports whether a merged row is what the definition gives, as far as that is known.
func agrees(row []byte, spans []span) bool {
	for _, s := range spans {
		if !bytes.Equal(row[s.at:s.at+len(s.bytes)], s.bytes) {
			return false
		}
	}
	return true
}
