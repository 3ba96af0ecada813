package cpu

import "sync"

// pageTokens is how many positions of keys and values are allocated at a time: a text pays for what it has, not for what the model allows.
const pageTokens = 64

// freePages bounds the pages kept for the next text.
const freePages = 256

// cache holds the keys and values of one text, in f32. A page holds pageTokens positions of every layer; in it one head's positions lie side by side,
// because attention reads them in that order: page[(((layer*2 + which)*kvHeads + head)*pageTokens + position%pageTokens)*headDim + i].
type cache struct {
	*config
	pool  *sessionPool
	pages [][]float32
}

func (c *config) pageFloats() int { return c.layers * 2 * c.kvDim() * pageTokens }

// kvBytes is the memory a text of this many tokens keeps.
func (c *config) kvBytes(tokens int) int64 {
	pages := (int64(tokens) + pageTokens - 1) / pageTokens
	return pages * int64(c.pageFloats()) * 4
}

// reserve makes room for a position.
func (c *cache) reserve(position int) {
	for len(c.pages)*pageTokens <= position {
		c.pages = append(c.pages, c.pool.page(c.pageFloats()))
	}
}

const (
	keys   = 0
	values = 1
)

// run returns the numbers of one layer's keys or values for one head in one page: pageTokens x headDim.
func (c *cache) run(page, layer, which, head int) []float32 {
	n := pageTokens * c.headDim
	start := ((layer*2+which)*c.kvHeads + head) * n
	return c.pages[page][start : start+n]
}

// store writes the keys and values of one position of one layer; both hold kvHeads x headDim.
func (c *cache) store(layer, position int, key, value []float32) {
	page, row := position/pageTokens, position%pageTokens*c.headDim
	for head := range c.kvHeads {
		copy(c.run(page, layer, keys, head)[row:row+c.headDim], key[head*c.headDim:])
		copy(c.run(page, layer, values, head)[row:row+c.headDim], value[head*c.headDim:])
	}
}

// sessionPool keeps the scratch memory of finished texts. All texts of a process are of one base, so of one geometry.
type sessionPool struct {
	mu       sync.Mutex
	sessions []*session
	pages    [][]float32
}

func (p *sessionPool) page(floats int) []float32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.pages); n > 0 {
		page := p.pages[n-1]
		p.pages = p.pages[:n-1]
		return page
	}
	return make([]float32, floats)
}

// get returns a session at position 0 for m.
func (p *sessionPool) get(m *model) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.sessions); n > 0 {
		s := p.sessions[n-1]
		p.sessions = p.sessions[:n-1]
		s.model = m
		return s
	}
	return newSession(m, p)
}

// put takes a session back. It forgets the generation, whose memory may end now.
func (p *sessionPool) put(s *session) {
	s.model = nil
	p.mu.Lock()
	defer p.mu.Unlock()
	room := max(0, freePages-len(p.pages))
	p.pages = append(p.pages, s.cache.pages[:min(room, len(s.cache.pages))]...)
	clear(s.cache.pages)
	s.cache.pages = s.cache.pages[:0]
	s.position = 0
	p.sessions = append(p.sessions, s)
}
