package cpu

import (
	"crypto/sha256"
	"sync/atomic"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// generation is the set of tensors that differ from the base. It never changes after it was staged. The base is one too, with none.
type generation struct {
	id       string // the digest's bytes; "" is the base itself
	unmerged bool
	tensors  []*merged // in the order they were asked for
	kept     []*kept   // in place of tensors where it is unmerged
	memory   *block
	model    *model // nil where the base came without a configuration

	prefixes prefixes // what its texts began with; the page store guards it

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

// events are what staging it tells, in the order of the patches.
func (g *generation) events() []*backendpb.MergeEvent {
	var events []*backendpb.MergeEvent
	for _, m := range g.tensors {
		events = append(events, m.event())
	}
	for _, k := range g.kept {
		events = append(events, &backendpb.MergeEvent{Tensor: k.name, Sha256: k.sum[:]})
	}
	return events
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
