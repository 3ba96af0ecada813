package merge

import (
	"bytes"
	"hash"
	"math"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/backend"
)

// claim is what a backend says of a merged tensor that it holds.
type claim struct {
	sum     [32]byte  // of its bytes, rehashed
	changed int64     // entries that differ from the base
	product []float64 // of its rows with the probe
}

// checkResident holds what a backend says of one item against the merge, which the host computes anew: the digest, the number of changed
// entries, and to the last bit the product of every row with a probe that nobody could know while the item was staged. A backend whose
// arithmetic is off by one bit, or whose memory is, has another digest and another product; exactRows rows are computed by the definition
// as well. The probe is a function of the seed. Rows and columns are those of the stored matrix.
func (p *Plan) checkResident(item Item, seed uint64, said claim) error {
	rows, cols := item.Base.Shape[0], item.Base.Shape[1]
	if len(said.product) != rows {
		return mismatch(item, "the backend's product has %d entries for %d rows", len(said.product), rows)
	}
	delta, err := p.Delta(item)
	if err != nil {
		return err
	}
	c := &residentCheck{item: item, said: said, delta: delta, probe: backend.Probe(seed, item.Name, cols), exact: chooseRows(seed, rows), digest: newDigest()}
	stride := cols * item.Base.DType.Size()
	height := min(rows, max(1, residentBytes/stride))
	block := make([]byte, height*stride)
	reader := p.Base.Reader(item.Base)
	for first := 0; first < rows; first += height {
		part := block[:min(height, rows-first)*stride]
		if _, err := reader.ReadAt(part, item.Base.Offset+int64(first)*int64(stride)); err != nil {
			return fault.New(fault.IORead, "rows from %d on of the base cannot be read", first).Of(item.Name).Wrap(err)
		}
		if err := c.rows(first, stride, part); err != nil {
			return err
		}
	}
	return c.end()
}

// residentBytes is how much of the base a check merges at a time: what a second-level cache holds.
const residentBytes = 256 << 10

// residentCheck is a checkResident under way.
type residentCheck struct {
	item    Item
	said    claim
	delta   *kernel.Delta
	probe   []int8
	exact   map[int]bool
	digest  hash.Hash
	changed int64
}

// rows merges rows of the base, from first on, in place, and checks their products.
func (c *residentCheck) rows(first, stride int, part []byte) error {
	dtype := c.item.Base.DType
	defined := map[int][]byte{}
	for row := range len(part) / stride {
		if c.exact[first+row] {
			defined[row] = mergedRow(c.delta, first+row, part[row*stride:(row+1)*stride], dtype)
		}
	}
	counts, err := kernel.MergeRows(part, part, dtype, c.delta, first, len(part)/stride)
	if err != nil {
		return err
	}
	c.changed += counts.Changed
	for row, want := range defined {
		if !bytes.Equal(part[row*stride:(row+1)*stride], want) {
			return mismatch(c.item, "the host's own merge of row %d is not what the definition gives: a fault of this machine or of tenon", first+row)
		}
	}
	for row := range len(part) / stride {
		want := kernel.SignedSum(part[row*stride:(row+1)*stride], dtype, c.probe)
		got := c.said.product[first+row]
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			return mismatch(c.item, "row %d times the probe is %v; the merge rule gives exactly %v", first+row, got, want)
		}
	}
	c.digest.Write(part)
	return nil
}

// end checks what is known of the tensor as a whole.
func (c *residentCheck) end() error {
	if want := [32]byte(c.digest.Sum(nil)); c.said.sum != want {
		return mismatch(c.item, "its bytes hash to %x; those that the merge rule gives hash to %x", c.said.sum, want)
	}
	if c.said.changed != c.changed {
		return mismatch(c.item, "%d entries differ from the base, the backend said %d", c.changed, c.said.changed)
	}
	return nil
}
