package host

import (
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/host/telemetry"
)

// broughtBack is how many generations are staged at once when a host or a backend begins anew.
const broughtBack = 2

// returning is why an alias does not answer yet.
const returning = "it is being brought back"

// reconcile lists what the ledger says is live, and begins to bring it back. What cannot be brought back is listed with its reason, and delays
// nobody.
func (s *Serving) reconcile(ctx context.Context) error {
	live, err := s.ledger.Live(ctx, s.base.Digest)
	if err != nil {
		return err
	}
	entries := make([]*alias, len(live))
	for i, a := range live {
		entries[i] = &alias{activation: a, returns: true, failure: returning, stack: []registry.Activation{a}}
		if history, err := s.ledger.History(ctx, a.Alias, historyLimit); err == nil {
			entries[i].stack = s.replay(history)
		}
		s.live[a.Alias] = entries[i]
	}
	one := s.opening.add(len(live))
	if len(live) == 0 {
		return nil
	}
	s.background.Go(func() {
		ctx, end := telemetry.Step(s.running, telemetry.StepRestore)
		defer end(new(error)) // what does not come back is an alias's failure
		var group errgroup.Group
		group.SetLimit(broughtBack)
		for _, entry := range entries {
			group.Go(func() error {
				defer one()
				s.bringBack(ctx, entry)
				return nil
			})
		}
		_ = group.Wait()
	})
	return nil
}

// replay is what Rollback goes back through after a history, which is newest first.
func (s *Serving) replay(history []registry.Activation) (stack []registry.Activation) {
	for _, a := range slices.Backward(history) {
		if a.Base == s.base.Digest {
			stack = follow(stack, a)
		}
	}
	return stack
}

// bringBack makes one alias live again, from the bytes that the store kept, if they still are what they were.
func (s *Serving) bringBack(ctx context.Context, entry *alias) {
	a := entry.activation
	if err := s.bring(ctx, entry); err != nil {
		s.fail(ctx, entry, backendFault(err))
		return
	}
	s.host.log.InfoContext(ctx, "adapter brought back", "alias", a.Alias, "tenant", a.Tenant, "ref", loggable(a.Ref), "generation", merge.DigestString(a.Generation))
}

func (s *Serving) bring(ctx context.Context, entry *alias) error {
	a := entry.activation
	next := *entry
	next.returns, next.failure = false, ""
	next.verdict = s.verdict(ctx, a.Decision)
	g, err := s.fetch(ctx, a, s.memory)
	if err != nil {
		return err
	}
	next.generation, next.reason = g, s.why(a, g)
	if err = s.ensure(ctx, g, nil); err == nil {
		s.change.Lock()
		defer s.change.Unlock()
		if !s.swapIf(a.Alias, entry, &next) {
			s.letGo(ctx, g) // somebody made it mean something else
			return nil
		}
		if err = s.tellBackend(ctx, a.Alias, g, a.Sequence); err == nil {
			s.publish(ctx, server.Event{Kind: server.KindLive, Alias: a.Alias, Ref: a.Ref, Adapter: merge.DigestString(a.Adapter),
				Generation: merge.DigestString(a.Generation), Verdict: next.verdict, Actor: a.Actor, Message: "brought back"})
			return nil
		}
		if !s.swapIf(a.Alias, &next, entry) { // a restart of the backend took it away already, with its pin
			return err
		}
	}
	s.letGo(ctx, g)
	return err
}

// fetch pins the generation of an activation: the one that is there, or one made from the store.
func (s *Serving) fetch(ctx context.Context, a registry.Activation, limit int64) (*generation, error) {
	if g, err := s.held(ctx, a.Generation); g != nil || err != nil {
		return g, err
	}
	g, err := reopen(ctx, s.ledger, s.base, a)
	if err != nil {
		return nil, err
	}
	in, err := s.admit(ctx, g, limit)
	if err != nil {
		s.closed(g)
	}
	return in, err
}

// fail lists an alias as one that could not be brought back.
func (s *Serving) fail(ctx context.Context, entry *alias, err error) {
	if ctx.Err() != nil && s.running.Err() != nil {
		return // the server stops: that is no failure of the adapter
	}
	a, failed := entry.activation, *entry
	failed.generation, failed.returns, failed.failure = nil, false, err.Error()
	if !s.swapIf(a.Alias, entry, &failed) {
		return
	}
	if entry.generation != nil {
		s.letGo(ctx, entry.generation)
	}
	s.host.log.ErrorContext(ctx, "an adapter could not be brought back", "alias", a.Alias, "tenant", a.Tenant, "ref", loggable(a.Ref),
		"generation", merge.DigestString(a.Generation), "cause", loggable(err.Error()))
	s.publish(ctx, server.Event{Kind: server.KindFailed, Alias: a.Alias, Ref: a.Ref, Adapter: merge.DigestString(a.Adapter),
		Generation: merge.DigestString(a.Generation), Actor: a.Actor, Message: err.Error()})
}

// Opened waits until everything that was live has been brought back, or has failed to be.
func (s *Serving) Opened(ctx context.Context) error {
	select {
	case <-s.opening.wait():
		return nil
	case <-ctx.Done():
		return fault.New(fault.Canceled, "the server was stopped while it started").Wrap(ctx.Err())
	}
}

// Hold keeps the server from saying that it is ready until release is called, for whoever has something to load first.
func (s *Serving) Hold() (release func()) {
	s.holds.Add(1)
	return sync.OnceFunc(func() { s.holds.Add(-1) })
}
