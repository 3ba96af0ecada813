package cpu

import (
	"container/list"
	"sync"
)

// prefix is one full page of a text that began as others may: its place in the tree says what all the tokens before it were. A tree belongs to one
// generation, and its keys are tokens, not digests of them: another text's page is never taken for one's own.
type prefix struct {
	page     *page
	tokens   [pageTokens]int32
	parent   *prefix // nil below the root
	children map[[pageTokens]int32]*prefix
	tree     *prefixes
	idle     *list.Element // in the store's list while no text has the page, or nil
}

// prefixes is the tree of one generation. The store guards it.
type prefixes struct {
	first  map[[pageTokens]int32]*prefix
	closed bool // the generation was released: nothing is kept for texts to come
}

// pageStore owns all pages: those of texts, and those that are kept because a text may begin with them. What no text has is given up again, the
// longest unused first, as far as the room that is left for it demands.
type pageStore struct {
	bytes int // of a page

	mu    sync.Mutex
	idle  list.List // of *prefix, the last used first. A child comes after its parent, so the last has no children
	room  int       // most pages that are kept for texts to come
	live  int       // pages that texts or prefixes have
	spare []*page
	ended []*page // to be unmapped once mu is free, because that takes a while
	taken uint64  // prompt tokens that were not computed
}

// spareBytes bounds the pages that are kept although nobody has them: to map a page costs more than to use it again.
const spareBytes = 64 << 20

// unlock ends a section that s.mu guards, and unmaps the pages that ended in it.
func (s *pageStore) unlock() {
	ended := s.ended
	s.ended = nil
	s.mu.Unlock()
	for _, p := range ended {
		p.memory.free()
	}
}

// take returns a page of any content.
func (s *pageStore) take() (*page, error) {
	s.mu.Lock()
	defer s.unlock()
	var p *page
	if n := len(s.spare); n > 0 {
		p, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		memory, err := mapped(int64(s.bytes), "a page of keys and values")
		if err != nil {
			return nil, err
		}
		p = newPage(memory)
	}
	p.refs = 1
	s.live++
	return p, nil
}

// release takes one reference from a page; s.mu is held.
func (s *pageStore) release(p *page) {
	if p.refs--; p.refs > 0 {
		return
	}
	s.live--
	if (len(s.spare)+1)*s.bytes <= spareBytes {
		s.spare = append(s.spare, p)
		return
	}
	s.ended = append(s.ended, p)
}

// adopt gives a new text the pages of those that began alike, at most limit tokens, and returns how many tokens they hold.
func (s *pageStore) adopt(c *cache, tree *prefixes, tokens []int32, limit int) int {
	s.mu.Lock()
	defer s.unlock()
	for len(c.pages) < limit/pageTokens {
		next := tree.child(c.last, tokens[len(c.pages)*pageTokens:])
		if next == nil {
			break
		}
		next.page.refs++
		s.busy(next)
		c.pages = append(c.pages, next.page)
		c.last = next
	}
	c.known = len(c.pages)
	n := c.known * pageTokens
	s.taken += uint64(n)
	return n
}

// child is the prefix whose page follows parent, or begins the text where parent is nil.
func (t *prefixes) child(parent *prefix, tokens []int32) *prefix {
	children := t.first
	if parent != nil {
		children = parent.children
	}
	return children[[pageTokens]int32(tokens[:pageTokens])]
}

// keep puts the pages of a text that have become full into its generation's tree. Where another text was faster, its page takes the place of this
// one's, which has the same numbers. tokens are the text's that were evaluated.
func (s *pageStore) keep(c *cache, tree *prefixes, tokens []int32) {
	if len(tokens)/pageTokens <= c.known {
		return
	}
	s.mu.Lock()
	defer s.unlock()
	for ; c.known < len(tokens)/pageTokens && !tree.closed; c.known++ {
		part := tokens[c.known*pageTokens:]
		node := tree.child(c.last, part)
		if node == nil {
			node = &prefix{page: c.pages[c.known], tokens: [pageTokens]int32(part[:pageTokens]), parent: c.last, tree: tree}
			node.page.refs++
			tree.siblings(c.last)[node.tokens] = node
		} else if node.page != c.pages[c.known] {
			node.page.refs++
			s.busy(node)
			s.release(c.pages[c.known])
			c.pages[c.known] = node.page
		}
		c.last = node
	}
}

// siblings is the map that the children of parent are in.
func (t *prefixes) siblings(parent *prefix) map[[pageTokens]int32]*prefix {
	at := &t.first
	if parent != nil {
		at = &parent.children
	}
	if *at == nil {
		*at = map[[pageTokens]int32]*prefix{}
	}
	return *at
}

// busy takes a prefix from the idle ones; s.mu is held.
func (s *pageStore) busy(p *prefix) {
	if p.idle != nil {
		s.idle.Remove(p.idle)
		p.idle = nil
	}
}

// end gives a text's pages back. Those that are kept become idle, the first of the text as the last used.
func (s *pageStore) end(c *cache) {
	s.mu.Lock()
	defer s.unlock()
	node := c.last
	for i := len(c.pages) - 1; i >= 0; i-- {
		p := c.pages[i]
		if i >= c.known {
			s.release(p)
			continue
		}
		s.release(p)
		if !node.tree.closed && p.refs == 1 {
			node.idle = s.idle.PushFront(node)
		}
		node = node.parent
	}
	clear(c.pages)
	c.pages, c.last, c.known = c.pages[:0], nil, 0
	s.trim()
}

// trim gives up idle pages beyond the room for them; s.mu is held.
func (s *pageStore) trim() {
	for s.idle.Len() > s.room {
		p := s.idle.Remove(s.idle.Back()).(*prefix)
		p.idle = nil
		delete(p.tree.siblings(p.parent), p.tokens)
		s.release(p.page)
	}
}

// setRoom bounds the pages that are kept for texts to come.
func (s *pageStore) setRoom(pages int) {
	s.mu.Lock()
	defer s.unlock()
	s.room = max(0, pages)
	s.trim()
}

// giveUp gives all memory back that no text has.
func (s *pageStore) giveUp() {
	s.mu.Lock()
	defer s.unlock()
	room := s.room
	s.room = 0
	s.trim()
	s.room = room
	s.ended = append(s.ended, s.spare...)
	s.spare = nil
}

// drop forgets what a generation's texts began with. Texts under way keep their pages.
func (s *pageStore) drop(tree *prefixes) {
	s.mu.Lock()
	defer s.unlock()
	if tree.closed {
		return
	}
	tree.closed = true
	s.dropAll(tree.first)
	tree.first = nil
}

func (s *pageStore) dropAll(children map[[pageTokens]int32]*prefix) {
	for _, p := range children {
		s.dropAll(p.children)
		p.children = nil
		s.busy(p)
		s.release(p.page)
	}
}

// used is how many pages texts have.
func (s *pageStore) used() int {
	s.mu.Lock()
	defer s.unlock()
	return s.live - s.idle.Len()
}

// figures are the bytes that texts and prefixes have, and the prompt tokens that were not computed.
func (s *pageStore) figures() (bytes, taken uint64) {
	s.mu.Lock()
	defer s.unlock()
	return uint64(s.live) * uint64(s.bytes), s.taken
}
