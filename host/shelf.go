package host

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/tenon-ml/tenon/host/fault"
)

// shelf holds the generations that are in the backend's memory, or on their way into it. What aliases and calls need is pinned there; the
// rest stays for as long as nobody needs its memory.
//
// A generation that leaves keeps its place until it is gone, so that nobody stages one of the same digest in the backend that the one who
// evicts is about to release.
type shelf struct {
	mu    sync.Mutex
	held  map[[32]byte]*generation
	count uint64 // of pins that went
}

func newShelf() *shelf { return &shelf{held: map[[32]byte]*generation{}} }

// find pins the generation of a digest. Where it is just leaving it returns what to wait for.
func (s *shelf) find(digest [32]byte) (g *generation, gone <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pinned(digest)
}

func (s *shelf) pinned(digest [32]byte) (*generation, <-chan struct{}) {
	g := s.held[digest]
	switch {
	case g == nil:
		return nil, nil
	case g.leaving != nil:
		return nil, g.leaving
	}
	g.pins++
	return g, nil
}

// entry is the outcome of a try to put a generation on the shelf. One of the fields is set.
type entry struct {
	in     *generation     // it, or the one of the same digest that was there; pinned
	victim *generation     // is to be evicted first
	gone   <-chan struct{} // is to be waited for first
	short  *fault.Error    // there is no room, and none can be made
	left   int64           // bytes that there are nevertheless, with what could be freed
}

// enter puts a generation that needs that many bytes on the shelf, pinned, if limit leaves room; a limit of 0 always does. keep tells which of
// the idle ones go last.
func (s *shelf) enter(g *generation, limit int64, keep map[[32]byte]bool) entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in, gone := s.pinned(g.digest()); in != nil || gone != nil {
		return entry{in: in, gone: gone}
	}
	var used int64
	var gone <-chan struct{}
	var idle []*generation
	for _, other := range s.held {
		used += other.plan.Bytes()
		switch {
		case other.leaving != nil:
			gone = other.leaving
		case other.idle():
			idle = append(idle, other)
		}
	}
	need := g.plan.Bytes()
	if limit <= 0 || used+need <= limit {
		g.staging, g.pins = make(chan struct{}, 1), 1
		s.held[g.digest()] = g
		return entry{in: g}
	}
	freeable := int64(0)
	for _, other := range idle {
		freeable += other.plan.Bytes()
	}
	switch {
	case gone != nil:
		return entry{gone: gone}
	case used-freeable+need > limit:
		left := max(0, limit-(used-freeable))
		return entry{left: left, short: fault.New(fault.IOMemory, "the generation needs %d bytes of memory, and %d of the %d for generations are left", need,
			left, limit).In(g.binding.Adapter.Ref)}
	}
	victim := slices.MinFunc(idle, func(a, b *generation) int {
		return cmp.Or(compareBool(keep[a.digest()], keep[b.digest()]), cmp.Compare(a.used, b.used))
	})
	victim.leaving = make(chan struct{})
	return entry{victim: victim}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// idle tells that nobody needs it now. The caller holds the lock.
func (g *generation) idle() bool { return g.pins == 0 && g.requests == 0 && g.leaving == nil }

// pin keeps a generation that is pinned already for somebody else, too.
func (s *shelf) pin(g *generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.pins++
}

// unpin lets go of a generation.
func (s *shelf) unpin(g *generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.pins--
	s.count++
	g.used = s.count
}

// begin counts a request that was bound to a generation. The result counts it off, and tells whether the generation is idle then.
func (s *shelf) begin(digest [32]byte) (end func() (idle bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.held[digest]
	if g == nil {
		return func() bool { return false }
	}
	g.requests++
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		g.requests--
		return g.idle()
	}
}

// unwanted takes the idle generations that nobody wants to keep. The caller evicts them.
func (s *shelf) unwanted(keep map[[32]byte]bool) []*generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*generation
	for digest, g := range s.held {
		if g.idle() && !keep[digest] {
			g.leaving = make(chan struct{})
			out = append(out, g)
		}
	}
	return out
}

// gone forgets a generation that was evicted.
func (s *shelf) gone(g *generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, g.digest())
	close(g.leaving)
}

// lost takes what is not pinned, for a backend that has died and knows nothing of it any more, and returns it to be closed.
func (s *shelf) lost() []*generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*generation
	for digest, g := range s.held {
		if g.pins == 0 && g.leaving == nil {
			delete(s.held, digest)
			out = append(out, g)
		}
	}
	return out
}

// resident is what the shelf knows of one generation.
type resident struct {
	generation     *generation
	pins, requests int
}

// list is every generation that stays.
func (s *shelf) list() []resident {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []resident
	for _, g := range s.held {
		if g.leaving == nil {
			out = append(out, resident{g, g.pins, g.requests})
		}
	}
	return out
}

// bytes is what all of them need.
func (s *shelf) bytes() (total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for g := range maps.Values(s.held) {
		total += g.plan.Bytes()
	}
	return total
}
