package merge

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// How many rows of each tensor are recomputed by the definition, to the bit. Where only a product is known they catch arithmetic that is slightly
// different, such as a second rounding, and deltas too small for the probe's bound, which over wide rows only shows what is badly wrong. Where all
// bytes are compared with the host's own they hold its kernels to the definition.
const (
	exactRows    = 8
	comparedRows = 2
)

// rounding is the largest error of one rounding to nearest into the dtype: relative, 2^-p for p significant bits, and absolute below its
// smallest normal number.
func rounding(d tensor.DType) (relative, absolute float64) {
	switch d {
	case tensor.BF16:
		return 0x1p-8, 0x1p-134
	case tensor.F16:
		return 0x1p-11, 0x1p-25
	default:
		return 0x1p-24, 0x1p-150
	}
}

// checkProduct holds a backend's product W'x of one item against what it must be, with the probe x a function of the seed:
//
//   - every entry against the float64 reference W x + s B (A x), within the worst-case bound of the roundings of rule 5;
//   - exactRows entries, chosen by the seed, against the merged row recomputed by the definition, to the last bit.
//
// Rows and columns are those of the stored matrix; for FanInFanOut items the delta is transposed. product has one entry for each stored row.
func (p *Plan) checkProduct(item Item, seed uint64, product []float64) error {
	rows, cols := item.Base.Shape[0], item.Base.Shape[1]
	if len(product) != rows {
		return mismatch(item, "the backend's product has %d entries for %d rows", len(product), rows)
	}
	delta, err := p.Delta(item)
	if err != nil {
		return err
	}
	x := backend.Probe(seed, item.Name, cols)
	c := &productCheck{item: item, delta: delta, x: x, product: product, image: probed(delta, x), left: make([]float32, delta.Rank)}
	c.exact = chooseRows(seed, rows, exactRows)
	stride := cols * item.Base.DType.Size()
	height := min(rows, max(1, referenceBytes/stride))
	block := make([]byte, height*stride)
	reader := p.Base.Reader(item.Base)
	for first := 0; first < rows; first += height {
		part := block[:min(height, rows-first)*stride]
		if _, err := reader.ReadAt(part, item.Base.Offset+int64(first)*int64(stride)); err != nil {
			return fault.New(fault.IORead, "rows from %d on of the base cannot be read", first).Of(item.Name).Wrap(err)
		}
		for i := 0; i*stride < len(part); i++ {
			if err := c.row(first+i, part[i*stride:(i+1)*stride]); err != nil {
				return err
			}
		}
	}
	return nil
}

// chooseRows draws n rows at most.
func chooseRows(seed uint64, rows, n int) map[int]bool {
	exact := map[int]bool{}
	for i := range min(n, rows) {
		exact[int((seed>>1+uint64(i)*0x9e3779b97f4a7c15)%uint64(rows))] = true
	}
	return exact
}

// referenceBytes is how much of the base a check reads at a time.
const referenceBytes = 256 << 10

// productCheck is what checkProduct knows.
type productCheck struct {
	item    Item
	delta   *kernel.Delta
	x       []int8
	product []float64
	image   image
	left    []float32 // of the row at hand: delta as stored = left · right
	exact   map[int]bool
}

// image is what the right factor of a delta makes of a probe, and the row sums of its magnitudes.
type image struct{ sums, sizes []float64 }

// probed multiplies the right factor of a delta as it is stored, rank x columns, with the probe.
func probed(d *kernel.Delta, x []int8) image {
	m := image{make([]float64, d.Rank), make([]float64, d.Rank)}
	if !d.FanInFanOut {
		for k := range d.Rank {
			m.sums[k], m.sizes[k] = kernel.SignedSumsOf(d.A[k*d.In:(k+1)*d.In], x)
		}
		return m
	}
	for j, sign := range x {
		for k, v := range d.SB[j*d.Rank : (j+1)*d.Rank] {
			m.sums[k] += float64(v) * float64(sign)
			m.sizes[k] += math.Abs(float64(v))
		}
	}
	return m
}

// row checks entry i of the product, by the stored bytes of row i of the base.
func (c *productCheck) row(i int, stored []byte) error {
	rank, cols, dtype := c.delta.Rank, len(c.x), c.item.Base.DType
	leftFactors(c.left, c.delta, i)
	want, size := kernel.SignedSums(stored, dtype, c.x)
	for k, factor := range c.left {
		want += float64(factor) * c.image.sums[k]
		size += math.Abs(float64(factor)) * c.image.sizes[k]
	}
	// Each of the r fused steps and the addition of W rounds once in f32, then W' rounds once into its dtype; the f64 sums over the
	// columns are covered by the last term.
	u, step := rounding(dtype)
	bound := u*size + float64(rank+2)*0x1p-24*size + float64(cols)*(step+0x1p-50*size)
	if diff := math.Abs(c.product[i] - want); !(diff <= bound) {
		return mismatch(c.item, "row %d times the probe is %v; the reference is %v, and no rounding explains more than %v", i, c.product[i], want, bound)
	}
	if c.exact[i] {
		if got := c.exactProduct(i, stored); got != c.product[i] {
			return mismatch(c.item, "row %d times the probe is %v; the merge rule gives exactly %v", i, c.product[i], got)
		}
	}
	return nil
}

func mismatch(item Item, cause string, args ...any) error {
	return fault.New(fault.MergeMismatch, cause, args...).Of(item.Name).
		Fix("the backend computed something else than the merge rule: do not use it; run its conformance test")
}

// exactProduct merges the stored row by the definition and multiplies it with the probe in the order the contract prescribes, so that equal bytes
// give equal sums.
func (c *productCheck) exactProduct(i int, stored []byte) float64 {
	sum, _ := kernel.SignedSums(mergedRow(c.delta, i, stored, c.item.Base.DType), c.item.Base.DType, c.x)
	return sum
}

// leftFactors writes the factors of row i of a delta as it is stored: delta = left · right.
func leftFactors(dst []float32, d *kernel.Delta, i int) {
	if !d.FanInFanOut {
		copy(dst, d.SB[i*d.Rank:(i+1)*d.Rank])
		return
	}
	for k := range dst {
		dst[k] = d.A[k*d.In+i]
	}
}

// mergedRow merges stored row i by the definition, entry by entry in portable code: what the kernels are held against.
func mergedRow(d *kernel.Delta, i int, stored []byte, dtype tensor.DType) []byte {
	cols := len(stored) / dtype.Size()
	left, deltas, merged := make([]float32, d.Rank), make([]float32, cols), make([]float32, cols)
	leftFactors(left, d, i)
	for k, factor := range left {
		for j, sum := range deltas {
			if d.FanInFanOut {
				deltas[j] = kernel.FMA32(factor, d.SB[j*d.Rank+k], sum)
			} else {
				deltas[j] = kernel.FMA32(factor, d.A[k*d.In+j], sum)
			}
		}
	}
	if err := tensor.ToF32(merged, stored, dtype); err != nil {
		return nil // never: the plan has weights of these dtypes only
	}
	row := make([]byte, 0, len(stored))
	for j, w := range merged {
		sum := w + deltas[j]
		if w != w {
			sum = w // a NaN of the base stays that NaN
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

// Digests is what a backend said each merged tensor's bytes hash to.
type Digests map[string][32]byte

// content names a generation's content: SHA-256 of lines "<hex>  <tensor>\n" in the order of names.
func (d Digests) content() [32]byte {
	h := newDigest()
	for _, name := range slices.Sorted(maps.Keys(d)) {
		fmt.Fprintf(h, "%x  %s\n", d[name], name)
	}
	return [32]byte(h.Sum(nil))
}

// contentDigest is the content of a generation of which every item has a digest.
func (p *Plan) contentDigest(d Digests) ([32]byte, error) {
	for _, item := range p.Items {
		if _, ok := d[item.Name]; !ok {
			return [32]byte{}, mismatch(item, "the backend gave no digest")
		}
	}
	return d.content(), nil
}
