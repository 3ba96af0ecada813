package cpu

import "unsafe"

// pageTokens is how many positions of keys and values are allocated at a time: a text pays for what it has, not for what the model allows.
const pageTokens = 64

// page holds the keys and values of pageTokens positions of every layer, in f32. In it one head's positions lie side by side, because attention reads
// them in that order: floats[(((layer*2 + which)*kvHeads + head)*pageTokens + position%pageTokens)*headDim + i].
//
// A page that is full never changes again, so texts that begin alike may share it.
type page struct {
	memory *block
	floats []float32
	refs   int // texts, and the prefixes that keep it; guarded by the store
}

func newPage(memory *block) *page {
	return &page{memory: memory, floats: unsafe.Slice((*float32)(unsafe.Pointer(&memory.bytes[0])), len(memory.bytes)/4)}
}

// cache is the keys and values of one text.
type cache struct {
	*config
	store *pageStore
	pages []*page
	last  *prefix // of the pages that are shared by their tokens, the last one; nil before the first
	known int     // how many pages that are
}

func (c *config) pageFloats() int { return c.layers * 2 * c.kvDim() * pageTokens }

// kvBytes is the memory a text of this many tokens keeps.
func (c *config) kvBytes(tokens int) int64 { return int64(pagesOf(tokens)) * int64(c.pageFloats()) * 4 }

// pagesOf is how many pages so many tokens need.
func pagesOf(tokens int) int { return (tokens + pageTokens - 1) / pageTokens }

// reserve makes room for a number of tokens.
func (c *cache) reserve(tokens int) error {
	for len(c.pages) < pagesOf(tokens) {
		p, err := c.store.take()
		if err != nil {
			return err
		}
		c.pages = append(c.pages, p)
	}
	return nil
}

const (
	keys   = 0
	values = 1
)

// run returns one layer's keys or values for one head: of position first and those behind it, below end, that lie in the same page, n x headDim.
func (c *cache) run(first, end, layer, which, head int) (floats []float32, n int) {
	at := first % pageTokens
	n = min(pageTokens-at, end-first)
	start := ((layer*2+which)*c.kvHeads+head)*pageTokens + at
	return c.pages[first/pageTokens].floats[start*c.headDim:][:n*c.headDim], n
}

// put writes the keys and values of one position of one layer; both hold kvHeads x headDim.
func (c *cache) put(layer, position int, key, value []float32) {
	for head := range c.kvHeads {
		to, _ := c.run(position, position+1, layer, keys, head)
		copy(to, key[head*c.headDim:])
		to, _ = c.run(position, position+1, layer, values, head)
		copy(to, value[head*c.headDim:])
	}
}
