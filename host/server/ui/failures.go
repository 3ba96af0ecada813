package ui

import (
	"sync"
	"time"
)

const (
	failEvery   = 200 * time.Millisecond // the least time between two failed attempts of one client that are answered
	maxFailures = 1024                   // clients that are remembered
)

// failures remembers who has just shown a key that is none.
type failures struct {
	mu   sync.Mutex
	last map[string]time.Time // by client
}

func newFailures() *failures { return &failures{last: map[string]time.Time{}} }

// tooSoon takes down a failed attempt, and reports whether the client's one before it was only just now. When more clients fail at once than
// can be remembered, the others' is too soon.
func (f *failures) tooSoon(client string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if before, ok := f.last[client]; ok && now.Sub(before) < failEvery {
		return true
	}
	if len(f.last) >= maxFailures {
		for other, at := range f.last {
			if now.Sub(at) >= failEvery {
				delete(f.last, other)
			}
		}
		if len(f.last) >= maxFailures {
			return true
		}
	}
	f.last[client] = now
	return false
}
