package cpu

import (
	"crypto/sha256"
	"sync/atomic"
)

// generation is the set of tensors that differ from the base. It never changes after it was staged. The base is one too, with none.
type generation struct {
	id      string    // the digest's bytes; "" is the base itself
	tensors []*merged // in the order they were asked for
	memory  *block
	model   *model // nil where the base came without a configuration

	// refs counts who may look at memory: one for being registered, one for each request. It never rises from 0.
	refs     atomic.Int64
	requests atomic.Int32 // texts being generated
}

// merged is one tensor of a generation.
type merged struct {
	stored
	sum       [sha256.Size]byte
	changed   int64
	nonFinite int64
}

// newGeneration returns a generation that its caller holds.
func newGeneration(id string) *generation {
	g := &generation{id: id}
	g.refs.Store(1)
	return g
}

// acquire takes a hold, unless the last one is gone.
func (g *generation) acquire() bool {
	for {
		n := g.refs.Load()
		if n == 0 {
			return false
		}
		if g.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives a hold back. The last one frees the memory.
func (g *generation) release() {
	if g.refs.Add(-1) == 0 {
		g.memory.free()
	}
}

// bytes is the generation's own memory.
func (g *generation) bytes() uint64 {
	if g.memory == nil {
		return 0
	}
	return uint64(cap(g.memory.bytes))
}
