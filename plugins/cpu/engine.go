package cpu

import (
	"context"
	"sync"
)

const (
	// defaultTexts is how many texts are generated at a time where the options do not say.
	defaultTexts = 32
	// maxTexts leaves room in a pass for prompts beside a row of each text.
	maxTexts = passRows * 2 / 3
	// unknownMemory is taken for what a machine has that does not tell.
	unknownMemory = 8 << 30
	// leastMemory is the cache's however little the machine has left when the first text comes: that may change, and is looked at for each text.
	leastMemory = 256 << 20
)

// engine computes all texts of a base. Texts of one generation advance together, in passes; generations take turns, pass by pass.
type engine struct {
	workers   int
	available func() (uint64, bool)
	scheduler scheduler
	store     pageStore

	turn chan struct{} // one token: a pass uses every worker

	mu    sync.Mutex
	lanes []*lane // of generations with texts, the next one first
	busy  bool    // somebody runs the lanes
	idle  []*pass // whose scratch memory can be used again
}

// lane is the texts of one generation.
type lane struct {
	generation *generation
	joined     []*text // since its last pass; guarded by the engine
	texts      []*text // only of the one who runs the lanes, as what follows
	common     map[pair]int
}

// idlePasses is how many are kept: one for texts, two for a comparison.
const idlePasses = 3

// newEngine returns one for texts of c's geometry.
func newEngine(c *config, options Options, available func() (uint64, bool)) *engine {
	e := &engine{workers: options.Workers, available: available, turn: make(chan struct{}, 1)}
	e.store.bytes = 4 * c.pageFloats()
	memory := options.CacheBytes
	if memory <= 0 {
		memory = unknownMemory
		if free, known := available(); known {
			memory = int64(free)
		}
		memory = max(memory/2, leastMemory)
	}
	texts := options.Texts
	if texts <= 0 {
		texts = defaultTexts
	}
	most := options.PrefixBytes
	if most <= 0 {
		most = memory / 4
	}
	kept := int(most / int64(e.store.bytes))
	e.scheduler.texts, e.scheduler.pages = min(texts, maxTexts), int(memory/int64(e.store.bytes))
	e.scheduler.unreserved = func(pages int) { e.store.setRoom(min(pages, kept)) }
	e.scheduler.unreserved(e.scheduler.pages)
	return e
}

// plentyBytes is how much texts may come to need without a look at the machine's memory.
const plentyBytes = 64 << 20

// enter waits until a text of so many tokens may begin, read by a number of models, and returns how to end it. It refuses what the machine cannot
// keep.
func (e *engine) enter(ctx context.Context, line string, tokens, models int) (leave func(), err error) {
	pages := models * pagesOf(tokens)
	if err := e.checkRoom(tokens, pages); err != nil {
		return nil, err
	}
	if err := e.scheduler.enter(ctx, line, pages); err != nil {
		return nil, err
	}
	return func() { e.scheduler.leave(pages) }, nil
}

// checkRoom refuses what the machine cannot keep: the keys and values of so many tokens, in so many pages, beside what other texts may come to need.
func (e *engine) checkRoom(tokens, pages int) error {
	size := uint64(e.store.bytes)
	refuse := func(free uint64) error {
		return noRoom("keys and values of %d tokens need %d bytes of memory, %d are available", tokens, uint64(pages)*size, free)
	}
	if pages > e.scheduler.pages {
		return refuse(uint64(e.scheduler.pages) * size)
	}
	others := uint64(max(0, e.scheduler.needed()-e.store.used())) * size // that they do not have yet
	need := others + uint64(pages)*size
	if need <= plentyBytes {
		return nil
	}
	if free, known := e.available(); known && need > free {
		e.store.giveUp()
		if free, known = e.available(); known && need > free {
			return refuse(free - min(free, others))
		}
	}
	return nil
}

// takePass returns a pass with a crew.
func (e *engine) takePass(crew *crew) *pass {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.idle); n > 0 {
		p := e.idle[n-1]
		e.idle = e.idle[:n-1]
		p.crew = crew
		return p
	}
	return newPass(crew)
}

// givePass takes one back, and forgets the generation it was used with.
func (e *engine) givePass(p *pass) {
	p.forget()
	p.crew = nil
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.idle) < idlePasses {
		e.idle = append(e.idle, p)
	}
}

// join lets a text take part from the next pass on.
func (e *engine) join(t *text) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.laneOf(t.generation)
	l.joined = append(l.joined, t)
	if !e.busy {
		e.busy = true
		go e.run()
	}
}

func (e *engine) laneOf(g *generation) *lane {
	for _, l := range e.lanes {
		if l.generation == g {
			return l
		}
	}
	l := &lane{generation: g}
	e.lanes = append(e.lanes, l)
	return l
}

// run makes passes until there is no text left.
func (e *engine) run() {
	crew := newCrew(e.workers)
	defer crew.dismiss()
	b := newBatch(e, e.takePass(crew))
	defer e.givePass(b.pass)
	for l := e.next(nil); l != nil; l = e.next(l) {
		e.turn <- struct{}{}
		b.step(l)
		<-e.turn
	}
}

// next returns the lane that is to make the next pass, after last made one, or nil where there is none: then nobody runs the lanes any more.
func (e *engine) next(last *lane) *lane {
	e.mu.Lock()
	defer e.mu.Unlock()
	if last != nil { // it is the first
		e.lanes = e.lanes[1:]
		if len(last.texts)+len(last.joined) > 0 {
			e.lanes = append(e.lanes, last)
		}
	}
	if len(e.lanes) == 0 {
		e.busy = false
		return nil
	}
	l := e.lanes[0]
	l.texts = append(l.texts, l.joined...)
	clear(l.joined)
	l.joined = l.joined[:0]
	return l
}

// alone reports whether no other lane than this one has texts.
func (e *engine) alone() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.lanes) == 1
}
