package server

import (
	"maps"
	"slices"
	"sync"
)

// traffic counts the texts in flight by alias; "" is the base.
type traffic struct {
	mu    sync.Mutex
	count map[string]*inFlight
}

type inFlight struct{ running, waiting int }

func newTraffic() *traffic { return &traffic{count: map[string]*inFlight{}} }

// enter counts texts that the backend has not admitted yet. The caller calls admitted at most once, and leave once.
func (t *traffic) enter(alias string, texts int) (admitted, leave func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.count[alias]
	if n == nil {
		n = &inFlight{}
		t.count[alias] = n
	}
	n.waiting += texts
	state := &n.waiting
	admitted = func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		n.waiting -= texts
		n.running += texts
		state = &n.running
	}
	leave = func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		*state -= texts
		if *n == (inFlight{}) {
			delete(t.count, alias)
		}
	}
	return admitted, leave
}

// running is how many texts the backend has admitted.
func (t *traffic) running() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, one := range t.count {
		n += one.running
	}
	return n
}

// of returns the counts of one alias.
func (t *traffic) of(alias string) (running, waiting int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.count[alias]; n != nil {
		return n.running, n.waiting
	}
	return 0, 0
}

// aliases returns the adapters that have running and waiting requests, by name.
func (t *traffic) aliases() (running, waiting []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, alias := range slices.Sorted(maps.Keys(t.count)) {
		if alias == "" {
			continue
		}
		if t.count[alias].running > 0 {
			running = append(running, alias)
		}
		if t.count[alias].waiting > 0 {
			waiting = append(waiting, alias)
		}
	}
	return running, waiting
}
