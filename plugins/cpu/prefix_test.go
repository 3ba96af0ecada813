package cpu

import (
	"testing"
)

// shelves are a store with a text at a time that computes nothing: its pages say which they are.
type shelves struct {
	*pageStore
	t    *testing.T
	tree prefixes
	next float32
}

func newShelves(t *testing.T, room int) *shelves {
	return &shelves{pageStore: &pageStore{bytes: 4096, room: room}, t: t}
}

// write makes a text of the tokens, of which it takes what it can. Its new pages are numbered.
func (s *shelves) write(tokens []int32) (c *cache, adopted int) {
	s.t.Helper()
	c = &cache{config: &config{}, store: s.pageStore}
	adopted = s.adopt(c, &s.tree, tokens, len(tokens)-1)
	if err := c.reserve(len(tokens)); err != nil {
		s.t.Fatal(err)
	}
	for _, p := range c.pages[adopted/pageTokens:] {
		s.next++
		p.floats[0] = s.next
	}
	s.keep(c, &s.tree, tokens)
	return c, adopted
}

// marks are the numbers of a text's pages.
func marks(c *cache) []float32 {
	var all []float32
	for _, p := range c.pages {
		all = append(all, p.floats[0])
	}
	return all
}

// tokensOf repeats each number for one page.
func tokensOf(pages ...int32) []int32 {
	var all []int32
	for _, id := range pages {
		for range pageTokens {
			all = append(all, id)
		}
	}
	return all
}

func (s *shelves) check(what string, live, idle int) {
	s.t.Helper()
	if s.live != live || s.idle.Len() != idle {
		s.t.Errorf("%s: %d pages are held and %d of them kept, want %d and %d", what, s.live, s.idle.Len(), live, idle)
	}
}

func TestPrefixes(t *testing.T) {
	s := newShelves(t, 100)
	a, n := s.write(append(tokensOf(1, 2, 3), 9))
	if n != 0 {
		t.Errorf("the first text adopted %d tokens", n)
	}
	s.check("a text", 4, 0)
	// A running text's full pages serve others.
	b, n := s.write(append(tokensOf(1, 2, 4), 9))
	if got := marks(b); n != 2*pageTokens || got[0] != 1 || got[1] != 2 || got[2] != 5 {
		t.Errorf("%d tokens adopted, pages %v", n, got)
	}
	s.check("two texts", 6, 0)
	// The last token is always computed: a page that would leave none is not taken.
	c, n := s.write(tokensOf(1, 2))
	if got := marks(c); n != pageTokens || got[0] != 1 || got[1] != 2 {
		t.Errorf("%d tokens adopted, pages %v: the second one is the other's, once it is full", n, got)
	}
	s.check("three texts", 6, 0)
	s.end(a)
	s.check("the first is over", 5, 1)
	s.end(b)
	s.check("the second is over", 4, 2)
	s.end(c)
	s.check("all are over", 4, 4)
	for _, x := range []struct {
		tokens []int32
		want   int
	}{
		{append(tokensOf(1, 2, 3), 9), 3}, {append(tokensOf(1, 2, 4), 9), 3}, {append(tokensOf(2, 1), 9), 0}, {append(tokensOf(1, 3), 9), 1},
		{tokensOf(1)[:40], 0},
	} {
		d, n := s.write(x.tokens)
		if n != x.want*pageTokens {
			t.Errorf("%v…: %d tokens adopted, want %d pages", x.tokens[0], n, x.want)
		}
		s.end(d)
	}
}

// TestPrefixesAreGivenUp: the longest unused go first, the end of a text before its beginning, and never what a text has.
func TestPrefixesAreGivenUp(t *testing.T) {
	s := newShelves(t, 4)
	for _, tokens := range [][]int32{tokensOf(1, 2), tokensOf(3, 4)} {
		c, _ := s.write(append(tokens, 9))
		s.end(c)
	}
	c, _ := s.write(append(tokensOf(1, 5), 9)) // uses page 1 again
	s.check("a text runs", 6, 3)
	s.end(c)
	s.check("it is over", 4, 4) // page 2 of the oldest text is gone
	for _, x := range []struct {
		tokens []int32
		want   int
	}{{tokensOf(1, 5, 0), 2}, {tokensOf(1, 2, 0), 1}, {tokensOf(3, 4, 0), 2}} {
		d := &cache{config: &config{}, store: s.pageStore}
		if n := s.adopt(d, &s.tree, x.tokens, len(x.tokens)-1); n != x.want*pageTokens {
			t.Errorf("%d, %d: %d tokens adopted, want %d pages", x.tokens[0], x.tokens[pageTokens], n, x.want)
		}
		s.end(d)
	}
	running, _ := s.write(append(tokensOf(1, 5), 9))
	s.setRoom(0)
	s.check("no room beside a text", 3, 0)
	s.end(running)
	s.check("no room at all", 0, 0)
	if len(s.tree.first) != 0 {
		t.Error("a page that is gone is in the tree")
	}
}

// TestDroppedPrefixes: a released generation's pages end with the texts that have them.
func TestDroppedPrefixes(t *testing.T) {
	s := newShelves(t, 100)
	over, _ := s.write(append(tokensOf(1, 2), 9))
	s.end(over)
	running, _ := s.write(append(tokensOf(1, 3), 9))
	s.check("before", 4, 1)
	s.drop(&s.tree)
	s.drop(&s.tree)
	s.check("dropped", 3, 0)
	if got := marks(running); got[0] != 1 {
		t.Errorf("the text's pages are %v", got)
	}
	late, n := s.write(append(tokensOf(1, 3), 9))
	if n != 0 {
		t.Errorf("%d tokens adopted", n)
	}
	s.end(late)
	s.end(running)
	s.check("at the end", 0, 0)
}
