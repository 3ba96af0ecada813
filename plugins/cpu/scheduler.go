package cpu

import (
	"context"
	"slices"
	"sync"
)

// scheduler decides when a text may begin. It bounds how many there are at a time and the pages that all of them may come to need, so that a text
// that has begun is never without memory. Texts that wait stand in lines, one for each alias or generation, and the lines take turns: a crowd in one
// line does not delay the others. A text that does not fit yet is waited for by all behind it, so a large one has its turn too.
type scheduler struct {
	texts, pages int             // at most
	unreserved   func(pages int) // is told, with mu held, how many pages no text may need

	mu       sync.Mutex
	running  int
	waiting  int
	reserved int // pages
	lines    []*line
}

// line is those who wait for one alias or generation, the first first. There is no empty one.
type line struct {
	key     string
	waiters []*waiter
}

type waiter struct {
	pages int
	ready chan struct{} // closed when it may begin
}

// enter waits until a text may begin that needs so many pages at most, which are not more than s.pages. What has entered leaves.
func (s *scheduler) enter(ctx context.Context, key string, pages int) error {
	w := &waiter{pages: pages, ready: make(chan struct{})}
	s.mu.Lock()
	i := slices.IndexFunc(s.lines, func(l *line) bool { return l.key == key })
	if i < 0 {
		i = len(s.lines)
		s.lines = append(s.lines, &line{key: key})
	}
	s.lines[i].waiters = append(s.lines[i].waiters, w)
	s.waiting++
	s.admit()
	s.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	if !s.remove(key, w) { // it became ready
		s.quit(w.pages)
	}
	s.admit() // who stood behind it may fit
	s.mu.Unlock()
	return canceled(ctx)
}

// remove takes a waiter out of its line, unless it may begin.
func (s *scheduler) remove(key string, w *waiter) bool {
	for i, l := range s.lines {
		if at := slices.Index(l.waiters, w); l.key == key && at >= 0 {
			l.waiters = slices.Delete(l.waiters, at, at+1)
			if len(l.waiters) == 0 {
				s.lines = slices.Delete(s.lines, i, i+1)
			}
			s.waiting--
			return true
		}
	}
	return false
}

// leave ends a text that needed so many pages.
func (s *scheduler) leave(pages int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quit(pages)
	s.admit()
}

func (s *scheduler) quit(pages int) {
	s.running--
	s.reserved -= pages
	s.unreserved(s.pages - s.reserved)
}

// admit lets begin who fits, line after line.
func (s *scheduler) admit() {
	for len(s.lines) > 0 && s.running < s.texts {
		l := s.lines[0]
		w := l.waiters[0]
		if w.pages > s.pages-s.reserved {
			return
		}
		l.waiters = l.waiters[1:]
		s.lines = s.lines[1:]
		if len(l.waiters) > 0 {
			s.lines = append(s.lines, l)
		}
		s.waiting--
		s.running++
		s.reserved += w.pages
		s.unreserved(s.pages - s.reserved)
		close(w.ready)
	}
}

// needed is how many pages the texts that run may come to need.
func (s *scheduler) needed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reserved
}

// figures are how many texts run and wait.
func (s *scheduler) figures() (running, waiting int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int32(s.running), int32(s.waiting)
}
