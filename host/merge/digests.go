package merge

import (
	"fmt"
	"maps"
	"slices"
)

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
