package merge

import (
	"fmt"
	"math"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// exactRows is how many rows of each tensor the host recomputes to the bit. The probe's bound over all rows catches a wrong, missing or
// misplaced delta; the exact rows catch arithmetic that is only slightly different, such as a second rounding.
const exactRows = 8

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
	left, right := storedFactors(delta) // delta as stored = left · right: rows x r, r x cols
	x := backend.Probe(seed, item.Name, cols)
	rank := delta.Rank
	ax, absA := make([]float64, rank), make([]float64, rank) // right·x, and the row sums of |right|
	for k := range rank {
		for j := range cols {
			value := right(k, j)
			ax[k] += value * float64(x[j])
			absA[k] += math.Abs(value)
		}
	}
	exact := map[int]bool{}
	for i := range min(exactRows, rows) {
		exact[int((seed>>1+uint64(i)*0x9e3779b97f4a7c15)%uint64(rows))] = true
	}
	stored := make([]byte, cols*item.Base.DType.Size())
	w := make([]float64, cols)
	reader := p.Base.Reader(item.Base)
	u, step := rounding(item.Base.DType)
	for i := range rows {
		if _, err := reader.ReadAt(stored, item.Base.Offset+int64(i)*int64(len(stored))); err != nil {
			return fault.New(fault.IORead, "row %d of the base cannot be read", i).Of(item.Name).Wrap(err)
		}
		if err := tensor.ToF64(w, stored, item.Base.DType); err != nil {
			return err
		}
		var want, absW, absDelta float64
		for j, value := range w {
			want += value * float64(x[j])
			absW += math.Abs(value)
		}
		for k := range rank {
			want += left(i, k) * ax[k]
			absDelta += math.Abs(left(i, k)) * absA[k]
		}
		// Each of the r fused steps and the addition of W rounds once in f32, then W' rounds once into its dtype; the f64 sums over the
		// columns are covered by the last term.
		bound := u*(absW+absDelta) + float64(rank+2)*0x1p-24*(absW+absDelta) + float64(cols)*(step+0x1p-50*(absW+absDelta))
		if diff := math.Abs(product[i] - want); !(diff <= bound) {
			return mismatch(item, "row %d times the probe is %v; the reference is %v, and no rounding explains more than %v", i, product[i], want, bound)
		}
		if exact[i] {
			if got := exactProduct(w, delta, left, right, i, x, item.Base.DType); got != product[i] {
				return mismatch(item, "row %d times the probe is %v; the merge rule gives exactly %v", i, product[i], got)
			}
		}
	}
	return nil
}

func mismatch(item Item, cause string, args ...any) error {
	return fault.New(fault.MergeMismatch, cause, args...).Of(item.Name).
		Fix("the backend computed something else than the merge rule: do not use it; run its conformance test")
}

// storedFactors gives the factors in the orientation in which the base stores W.
func storedFactors(d *kernel.Delta) (left, right func(i, j int) float64) {
	sb := func(i, k int) float64 { return float64(d.SB[i*d.Rank+k]) }
	a := func(k, j int) float64 { return float64(d.A[k*d.In+j]) }
	if d.FanInFanOut {
		return func(i, k int) float64 { return a(k, i) }, func(k, j int) float64 { return sb(j, k) }
	}
	return sb, a
}

// exactProduct merges one stored row by the definition, entry by entry, and multiplies it with the probe, columns ascending in f64: the
// order the contract prescribes, so that equal bytes give equal sums.
func exactProduct(w []float64, d *kernel.Delta, left, right func(i, j int) float64, row int, x []int8, dtype tensor.DType) float64 {
	sum := 0.0
	for j := range w {
		var delta float32
		for k := range d.Rank {
			l, r := float32(left(row, k)), float32(right(k, j))
			delta = kernel.FMA32(l, r, delta)
		}
		merged := float32(w[j]) + delta
		switch dtype {
		case tensor.BF16:
			merged = tensor.BF16ToF32(tensor.F32ToBF16(merged))
		case tensor.F16:
			merged = tensor.F16ToF32(tensor.F32ToF16(merged))
		}
		sum += float64(float64(merged) * float64(x[j]))
	}
	return sum
}

// Digests is what a backend said each merged tensor's bytes hash to.
type Digests map[string][32]byte

// contentDigest names the generation's content: SHA-256 of lines "<hex>  <tensor>\n" in the order of names.
func (p *Plan) contentDigest(d Digests) ([32]byte, error) {
	h := newDigest()
	for _, item := range p.Items {
		sum, ok := d[item.Name]
		if !ok {
			return [32]byte{}, mismatch(item, "the backend gave no digest")
		}
		fmt.Fprintf(h, "%x  %s\n", sum, item.Name)
	}
	return [32]byte(h.Sum(nil)), nil
}
