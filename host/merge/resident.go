package merge

import (
	"hash"

	"github.com/tenon-ml/tenon/host/fault"
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
	rows, cols := item.Matrix()
	if n, _ := probeShape(item); len(said.product) != n {
		return mismatch(item, "the backend's product has %d entries for %d rows", len(said.product), n)
	}
	change, err := p.change(item, seed)
	if err != nil {
		return err
	}
	stride := cols * item.Base.DType.Size()
	c := &residentCheck{item: item, said: said, change: change, probe: newProbing(item, seed), digest: newDigest()}
	height := min(rows, max(1, residentBytes/stride))
	block := make([]byte, height*stride)
	reader := p.Base.Reader(item.Base)
	read := func(part []byte, at int64) error {
		if _, err := reader.ReadAt(part, item.Base.Offset+at); err != nil {
			return fault.New(fault.IORead, "rows from %d on of the base cannot be read", at/int64(stride)).Of(item.Name).Wrap(err)
		}
		return nil
	}
	if !change.scaled() {
		if err := change.scale(block, read); err != nil {
			return err
		}
	}
	for first := 0; first < rows; first += height {
		part := block[:min(height, rows-first)*stride]
		if err := read(part, int64(first)*int64(stride)); err != nil {
			return err
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
	change  *change
	probe   *probing
	digest  hash.Hash
	changed int64
}

// rows merges rows of the base, from first on, in place, and checks their products.
func (c *residentCheck) rows(first, stride int, part []byte) error {
	if err := c.change.load(first, len(part)/stride); err != nil {
		return err
	}
	defined := map[int][]span{}
	for row := range len(part) / stride {
		if !c.change.defined.rows[first+row] {
			continue
		}
		spans, err := c.change.definedRow(first+row, part[row*stride:][:stride], first)
		if err != nil {
			return err
		}
		defined[row] = spans
	}
	counts, err := c.change.merge(part, first)
	if err != nil {
		return err
	}
	c.changed += counts.Changed
	for row, spans := range defined {
		if !agrees(part[row*stride:][:stride], spans) {
			return mismatch(c.item, "the host's own merge of row %d is not what the definition gives: a fault of this machine or of tenon", first+row)
		}
	}
	c.digest.Write(part)
	return c.probe.add(part, c.said.product)
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
