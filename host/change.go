package host

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Load puts an adapter through the whole flow and makes it what alias means. Until the last step the alias keeps meaning what it meant.
// A refusal is an answer: the report says why and nothing has changed. Loading what is already live changes nothing.
func (s *Serving) Load(ctx context.Context, name, ref string) (*report.Report, error) {
	s.loading.RLock()
	defer s.loading.RUnlock()
	if s.stopped {
		return nil, fault.New(fault.BackendDown, "the server has stopped").Fix("start the server again")
	}
	if err := server.CheckAlias(name, s.name); err != nil {
		return nil, err
	}
	live, err := s.liveBeside(name)
	if err != nil {
		return nil, err
	}
	checked, err := s.host.check(ctx, s.base, question{ref: ref, scale: 1, live: live}, s.laboratory())
	if err != nil {
		return nil, err
	}
	g, err := s.stage(ctx, name, checked)
	if err == nil && g != nil {
		if err = s.commit(ctx, name, g); err == nil {
			return checked.Report, nil
		}
		s.discard(ctx, g.digest())
	}
	defer checked.Close()
	switch {
	case err == nil:
		return checked.Report, nil
	case len(fault.All(err)) > 0 && fault.ClassOf(err) == fault.Rejected && checked.Binding != nil:
		return s.host.gate.Refused(ref, s.base, checked.Binding, err), nil
	}
	return nil, backendFault(err)
}

// liveBeside opens the adapters that the other aliases mean once more, for as long as a check compares with them, whatever happens to the
// aliases meanwhile. Several aliases of one adapter count once.
func (s *Serving) liveBeside(name string) (live []*adapter.Binding, err error) {
	s.state.RLock()
	defer s.state.RUnlock()
	seen := map[[32]byte]bool{}
	for _, other := range slices.Sorted(maps.Keys(s.live)) {
		binding := *s.live[other].current().checked.Binding
		if other == name || seen[binding.Adapter.Digest] {
			continue
		}
		seen[binding.Adapter.Digest] = true
		if binding.Adapter, err = binding.Adapter.Share(); err != nil {
			for _, opened := range live {
				err = errors.Join(err, opened.Adapter.Close())
			}
			return nil, err
		}
		live = append(live, &binding)
	}
	return live, nil
}

// stage computes what the gate let through, in the backend, where no alias means it yet. What was staged to be asked is there already. It
// returns nil where there is nothing to do: the gate is closed, or the alias means this already.
func (s *Serving) stage(ctx context.Context, name string, checked *Checked) (*generation, error) {
	if !checked.Report.Verdict.Open() {
		return nil, nil
	}
	g := &generation{checked: checked, staged: checked.staged}
	if now, ok := s.generation(name); ok && now.digest() == g.digest() {
		return nil, nil
	}
	if g.staged != nil {
		return g, nil
	}
	err := s.ask(ctx, func(client backendpb.BackendClient) error {
		var err error
		if g.staged, err = checked.Plan.Stage(ctx, client); err != nil {
			s.release(ctx, client, g.digest()) // cut off, it may be complete
		}
		return err
	})
	return g, err
}

// commit makes a staged generation live, and frees the backend's memory of all but that and the one before it. When it fails, the generation
// is the caller's to close.
func (s *Serving) commit(ctx context.Context, name string, g *generation) error {
	s.change.Lock()
	defer s.change.Unlock()
	s.state.RLock()
	before, n := s.live[name], len(s.live)
	s.state.RUnlock()
	var history []*generation
	switch {
	case before == nil && n >= maxAdapters:
		return fault.New(fault.IOSpace, "%d adapters are live, and no more can be", n).Fix("unload one first")
	case before != nil && before.current().digest() == g.digest():
		return g.checked.Close() // another load of the same bytes was first
	case before != nil:
		history = before.history
	}
	g.loaded = time.Now()
	history = append(slices.Clone(history), g)
	dropped := history[:max(0, len(history)-maxHistory)]
	history = history[len(dropped):]
	client, err := s.turn(ctx, name, before, &alias{history: history})
	if err != nil {
		return err
	}
	for _, idle := range history[:max(0, len(history)-2)] {
		s.release(ctx, client, idle.digest())
	}
	s.forget(ctx, client, dropped...)
	return nil
}

// turn makes an alias mean the last generation of after, or nothing where after is nil: first in the table, which a restart replays, then
// in the backend. A backend that dies meanwhile comes back with the new meaning; one that refuses leaves the old one. The caller holds change.
//
// When it returns, no process is being restored to what the table said before: what is no longer in it may be closed. The process that is
// asked last is either the one that answered, whose restoring is over, or the successor of one that was asked after the table was written.
func (s *Serving) turn(ctx context.Context, name string, before, after *alias) (backendpb.BackendClient, error) {
	if _, err := s.supervisor.Client(ctx); err != nil {
		return nil, err // it is not worth beginning
	}
	ctx = context.WithoutCancel(ctx) // from here on it is done or undone, not abandoned
	s.sequence++
	sequence := s.sequence
	var target *generation
	if after != nil {
		after.sequence = sequence
		target = after.current()
	}
	s.set(name, after)
	var last backendpb.BackendClient
	err := s.ask(ctx, func(client backendpb.BackendClient) error {
		last = client
		err := activate(ctx, client, name, target, sequence)
		if target == nil || status.Code(err) != codes.NotFound {
			return err
		}
		// The process is a new one, or a generation that was the same was released.
		if err := target.restage(ctx, client); err != nil {
			return err
		}
		return activate(ctx, client, name, target, sequence)
	})
	if err != nil && !backend.Unavailable(err) {
		s.set(name, before)
		return nil, err
	}
	return last, nil
}

// set writes the table; nil removes.
func (s *Serving) set(name string, a *alias) {
	s.state.Lock()
	defer s.state.Unlock()
	if a == nil {
		delete(s.live, name)
	} else {
		s.live[name] = a
	}
}

// forget releases generations' memory in the backend and closes their adapters.
func (s *Serving) forget(ctx context.Context, client backendpb.BackendClient, generations ...*generation) {
	for _, g := range generations {
		s.release(ctx, client, g.digest())
		if err := g.checked.Close(); err != nil {
			s.host.log.Warn("an adapter did not close", "error", err)
		}
	}
}

// release frees a generation in the backend, unless an alias means it. It is only about memory: a failure is logged.
func (s *Serving) release(ctx context.Context, client backendpb.BackendClient, digest [32]byte) {
	s.state.RLock()
	for _, a := range s.live {
		if a.current().digest() == digest {
			s.state.RUnlock()
			return
		}
	}
	s.state.RUnlock()
	_, err := client.Release(context.WithoutCancel(ctx), &backendpb.ReleaseRequest{Generation: digest[:]})
	if err != nil && !backend.Unavailable(err) {
		s.host.log.Warn("a generation was not released", "generation", merge.DigestString(digest), "error", err)
	}
}

// discard releases a generation that did not become live. A backend that is not there has forgotten it.
func (s *Serving) discard(ctx context.Context, digest [32]byte) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	if s.supervisor.State() != backend.Ready {
		return
	}
	if client, err := s.supervisor.Client(ctx); err == nil {
		s.release(ctx, client, digest)
	}
}

// releaseTime bounds how long a refused load waits for its memory to be freed.
const releaseTime = 10 * time.Second

// Rollback makes alias mean what it meant before. It never passes through the gate: the way back must always be open.
func (s *Serving) Rollback(ctx context.Context, name string) (server.Model, error) {
	s.change.Lock()
	defer s.change.Unlock()
	s.state.RLock()
	before := s.live[name]
	s.state.RUnlock()
	switch {
	case before == nil:
		return server.Model{}, s.unknown(name)
	case len(before.history) < 2:
		return server.Model{}, fault.New(fault.ADName, "%q has no earlier generation", name).Fix("unload it to serve the base alone")
	}
	n := len(before.history) - 1
	after := &alias{history: before.history[:n:n]}
	if err := s.ask(ctx, func(client backendpb.BackendClient) error { return after.current().restage(ctx, client) }); err != nil {
		return server.Model{}, backendFault(err)
	}
	client, err := s.turn(ctx, name, before, after)
	if err != nil {
		return server.Model{}, backendFault(err)
	}
	s.forget(ctx, client, before.current())
	return s.model(name, after), nil
}

// Unload makes alias mean nothing. Requests already admitted finish on their generation.
func (s *Serving) Unload(ctx context.Context, name string) error {
	s.change.Lock()
	defer s.change.Unlock()
	s.state.RLock()
	before := s.live[name]
	s.state.RUnlock()
	if before == nil {
		return s.unknown(name)
	}
	client, err := s.turn(ctx, name, before, nil)
	if err != nil {
		return backendFault(err)
	}
	s.forget(ctx, client, before.history...)
	return nil
}
