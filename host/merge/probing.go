package merge

import (
	"math"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// probing multiplies a merged tensor with its probe, as its bytes come: see backendpb.Probe. Its rows need not be those that are merged: the experts
// of one tensor are a row each.
type probing struct {
	item  Item
	signs []int8 // of one row
	row   int
	lanes [16]float64 // of a row that has begun
	at    int         // entries of it that are in the lanes
}

// probeShape is the rows and columns of a tensor as it is probed: its first dimension by all others together, a vector as n x 1, and a number as 1 x 1.
func probeShape(item Item) (rows, cols int) {
	if len(item.Base.Shape) == 0 {
		return 1, 1
	}
	cols = 1
	for _, d := range item.Base.Shape[1:] {
		cols *= d
	}
	return item.Base.Shape[0], cols
}

func newProbing(item Item, seed uint64) *probing {
	_, cols := probeShape(item)
	return &probing{item: item, signs: backend.Probe(seed, item.Name, cols)}
}

// add holds the products of the rows that end in the next bytes of the tensor against those that were said, one for each row.
func (p *probing) add(part []byte, said []float64) error {
	dtype := p.item.Base.DType
	size := dtype.Size()
	for len(part) > 0 {
		n := min(len(part)/size, len(p.signs)-p.at)
		var product float64
		if n == len(p.signs) {
			product = kernel.SignedSum(part[:n*size], dtype, p.signs)
		} else {
			p.addPiece(part[:n*size], n, dtype)
			if p.at < len(p.signs) {
				return nil
			}
			product = p.fold()
		}
		if got := said[p.row]; got != product && !(math.IsNaN(got) && math.IsNaN(product)) {
			return mismatch(p.item, "row %d times the probe is %v; the merge rule gives exactly %v", p.row, got, product)
		}
		part = part[n*size:]
		p.row, p.at, p.lanes = p.row+1, 0, [16]float64{}
	}
	return nil
}

// addPiece adds n entries to the lanes of the row that has begun.
func (p *probing) addPiece(part []byte, n int, dtype tensor.DType) {
	var values [512]float64
	for n > 0 {
		some := values[:min(n, len(values))]
		if err := tensor.ToF64(some, part[:len(some)*dtype.Size()], dtype); err != nil {
			panic(err) // never: the plan has weights of these dtypes only
		}
		for _, v := range some {
			p.lanes[p.at%16] += v * float64(p.signs[p.at]) // exact: fused or not, it is the same
			p.at++
		}
		part, n = part[len(some)*dtype.Size():], n-len(some)
	}
}

// fold is the sum of the lanes.
func (p *probing) fold() float64 {
	for distance := 8; distance > 0; distance /= 2 {
		for l := range distance {
			p.lanes[l] += p.lanes[l+distance]
		}
	}
	return p.lanes[0]
}
