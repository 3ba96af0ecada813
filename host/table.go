package host

import (
	"slices"
	"sync"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

// alias is what a name means. It is replaced in the table, never changed there.
type alias struct {
	activation registry.Activation // that made it so, as the ledger has it
	generation *generation         // pinned on the shelf; nil of one that could not be brought back, or not yet
	verdict    report.Verdict
	reason     string                // of the mode
	failure    string                // why there is no generation
	returns    bool                  // it is being brought back
	stack      []registry.Activation // what Rollback goes back through, oldest first; the last is activation
	left       [32]byte              // the generation it meant just before, in whichever direction it went
}

// maxStack bounds how many steps Rollback can go back without being told where to. The history has them all.
const maxStack = 64

// state is what an alias of the table is.
func (a *alias) state() server.State {
	switch {
	case a.generation != nil:
		return server.StateLive
	case a.returns:
		return server.StateReturning
	}
	return server.StateFailed
}

// means tells that an alias is live with this adapter.
func (a *alias) means(adapter [32]byte) bool {
	return a != nil && a.generation != nil && a.activation.Adapter == adapter
}

// isLive tells that an alias is live with this generation.
func (a *alias) isLive(generation [32]byte) bool {
	return a != nil && a.generation != nil && a.activation.Generation == generation
}

// before is what an alias meant before, if anything.
func (a *alias) before() (registry.Activation, bool) {
	if n := len(a.stack); n > 1 {
		return a.stack[n-2], true
	}
	return registry.Activation{}, false
}

// follow adds a change to what Rollback goes back through. Going back takes away what was gone back over.
func follow(stack []registry.Activation, a registry.Activation) []registry.Activation {
	if a.Action == registry.ActionUnload {
		return nil
	}
	stack = slices.Clone(stack)
	if a.Action == registry.ActionRollback {
		if i := slices.IndexFunc(stack, func(old registry.Activation) bool { return old.Generation == a.Generation }); i >= 0 {
			stack = stack[:i]
		}
	}
	stack = append(stack, a)
	return stack[max(0, len(stack)-maxStack):]
}

// alias is what a name means now, nil for nothing.
func (s *Serving) alias(name string) *alias {
	s.state.RLock()
	defer s.state.RUnlock()
	return s.live[name]
}

// swap replaces what a name means, nil for nothing, and returns what it meant. Whoever swaps one out has its pin.
func (s *Serving) swap(name string, a *alias) *alias {
	s.state.Lock()
	defer s.state.Unlock()
	old := s.live[name]
	s.set(name, a)
	return old
}

// swapIf is swap for one that nobody has swapped since.
func (s *Serving) swapIf(name string, old, a *alias) bool {
	s.state.Lock()
	defer s.state.Unlock()
	if s.live[name] != old {
		return false
	}
	s.set(name, a)
	return true
}

func (s *Serving) set(name string, a *alias) {
	if a == nil {
		delete(s.live, name)
	} else {
		s.live[name] = a
	}
}

// stagedOnes is every generation that is staged for an alias.
func (s *Serving) stagedOnes() map[[32]byte]bool {
	s.state.RLock()
	defer s.state.RUnlock()
	return s.collectStaged()
}

// wantedOnes is every generation that somebody may soon ask for: what an alias meant before, and what is staged for one.
func (s *Serving) wantedOnes() map[[32]byte]bool {
	s.state.RLock()
	defer s.state.RUnlock()
	wanted := s.collectStaged()
	for _, a := range s.live {
		if before, ok := a.before(); ok {
			wanted[before.Generation] = true
		}
		wanted[a.left] = true // whoever went back may go forth again
	}
	return wanted
}

func (s *Serving) collectStaged() map[[32]byte]bool {
	out := map[[32]byte]bool{}
	for _, list := range s.staged {
		for _, r := range list {
			out[r.activation.Generation] = true
		}
	}
	return out
}

// absent is the error of a name that nothing can be asked of: it means nothing, or what it means could not be brought back.
func (s *Serving) absent(name string, a *alias) error {
	if a == nil {
		return s.unknown(name)
	}
	refusal := fault.New(fault.BackendDown, "%q was live and does not answer: %s", name, a.failure)
	if a.returns {
		return refusal.Fix("try again in a moment")
	}
	return refusal.Fix("load it again, or go back with tenon rollback %s", name)
}

// Drain turns new loads away and has the server say that it is not ready. What has begun goes on, and the way back stays open.
func (s *Serving) Drain() { s.draining.Store(true) }

// openings counts what a server still waits for before it says that it is ready.
type openings struct {
	mu    sync.Mutex
	left  int
	total int
	done  chan struct{} // closed when nothing is left
}

// add is waited for until its result is called.
func (o *openings) add(n int) (one func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.left == 0 {
		o.done, o.total = make(chan struct{}), 0
		if n == 0 {
			close(o.done)
		}
	}
	o.left += n
	o.total += n
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.left--; o.left == 0 {
			close(o.done)
		}
	}
}

func (o *openings) wait() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.done
}

func (o *openings) counts() (left, total int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.left, o.total
}
