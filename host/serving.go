package host

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/host/tokenizer"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Serving is a base resident in a backend, and the adapters that are live on it. It implements server.Engine.
//
// Two locks: change is held by whoever stages and activates, for as long as that takes, one at a time; state guards the table of aliases
// and is never held over a call. A restart of the backend replays the table and takes only state, so it cannot wait for a change that
// itself waits for the backend.
type Serving struct {
	host       *Host
	base       *base.Base
	name       string // the base's model name
	started    time.Time
	tokenizer  *tokenizer.Tokenizer
	supervisor *backend.Supervisor
	described  *backendpb.DescribeResponse
	restarts   atomic.Int64

	change   sync.Mutex
	sequence uint64 // of the last activation, over all aliases, so that a name that was unloaded and comes back goes on counting; under change
	state    sync.RWMutex
	live     map[string]*alias
}

// alias is a name and what it has meant. The last generation of history is the live one.
type alias struct {
	sequence uint64
	history  []*generation
}

func (a *alias) current() *generation { return a.history[len(a.history)-1] }

// generation is a staged merge with everything needed to stage it again: the adapter's bytes are a private copy held open here.
type generation struct {
	checked *Checked
	staged  *merge.Staged
	loaded  time.Time
}

// maxHistory bounds how far back a rollback can go; each generation holds a copy of its adapter in memory.
const maxHistory = 8

// Serve opens a base, starts the backend and loads the base into it. name is what clients call the base. Stop the result.
func (h *Host) Serve(ctx context.Context, baseRef, name string) (*Serving, error) {
	b, err := base.Open(baseRef)
	if err != nil {
		return nil, err
	}
	s := &Serving{host: h, base: b, name: name, started: time.Now(), live: map[string]*alias{}}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return s, nil
}

func (s *Serving) start(ctx context.Context) (err error) {
	if err := s.base.Servable(); err != nil {
		return err
	}
	if s.tokenizer, err = tokenizer.Open(s.base.Dir); err != nil {
		return err
	}
	s.supervisor, err = backend.Start(ctx, backend.Embedded(), backend.Options{Log: s.host.log, Restore: s.restore, OnState: func(state backend.State) {
		if state == backend.Restarting {
			s.restarts.Add(1)
		}
	}})
	if err != nil {
		return err
	}
	client, err := s.supervisor.Client(ctx)
	if err == nil {
		s.described, err = client.Describe(ctx, &backendpb.DescribeRequest{})
	}
	if err == nil {
		err = s.restore(ctx, client)
	}
	if err != nil {
		s.supervisor.Stop(context.WithoutCancel(ctx))
	}
	return err
}

// Stop ends the backend and closes the base and every adapter.
func (s *Serving) Stop(ctx context.Context) error {
	s.change.Lock()
	defer s.change.Unlock()
	s.supervisor.Stop(ctx)
	var errs []error
	s.state.Lock()
	defer s.state.Unlock()
	for _, a := range s.live {
		for _, g := range a.history {
			errs = append(errs, g.checked.Close())
		}
	}
	s.live = map[string]*alias{}
	return errors.Join(append(errs, s.base.Close())...)
}

// restore brings a fresh backend process to where the last one was: the base, then every live generation, recomputed from the base's own
// bytes and held against the digest it had before.
func (s *Serving) restore(ctx context.Context, client backendpb.BackendClient) error {
	_, err := client.LoadBase(ctx, &backendpb.LoadBaseRequest{
		Digest: s.base.Digest[:], Files: s.base.BackendFiles(), Tensors: s.base.BackendTensors(), Config: s.base.ModelConfig(),
	})
	if err != nil {
		return fault.New(fault.BackendDown, "the backend did not load the base").In(s.base.Ref).Wrap(err)
	}
	s.state.RLock()
	type entry struct {
		name       string
		generation *generation
		sequence   uint64
	}
	var entries []entry
	for name, a := range s.live {
		entries = append(entries, entry{name, a.current(), a.sequence})
	}
	s.state.RUnlock()
	for _, e := range entries {
		if err := s.restage(ctx, client, e.generation); err != nil {
			return err
		}
		if err := activate(ctx, client, e.name, e.generation.staged.Plan.Digest[:], e.sequence); err != nil {
			return err
		}
		s.host.log.Info("restored", "alias", e.name, "generation", merge.DigestString(e.generation.staged.Plan.Digest))
	}
	return nil
}

// restage makes sure that the backend holds a generation, with the very bytes it had when it was first verified.
func (s *Serving) restage(ctx context.Context, client backendpb.BackendClient, g *generation) error {
	staged, err := g.staged.Plan.Stage(ctx, client)
	if err != nil {
		return err
	}
	if staged.Content != g.staged.Content {
		return fault.New(fault.DigestBad, "staging again gave %s, before it was %s", merge.DigestString(staged.Content), merge.DigestString(g.staged.Content)).
			In(g.checked.Report.Adapter.Ref).Fix("the backend is not deterministic: do not use it")
	}
	return nil
}

func activate(ctx context.Context, client backendpb.BackendClient, alias string, generation []byte, sequence uint64) error {
	_, err := client.Activate(ctx, &backendpb.ActivateRequest{Alias: alias, Generation: generation, Sequence: sequence})
	return err
}

// Load puts an adapter through the whole flow and makes it what alias means. Until the last step the alias keeps meaning what it meant.
// A refusal is an answer: the report says why and nothing has changed. Loading what is already live changes nothing.
func (s *Serving) Load(ctx context.Context, name, ref string) (*report.Report, error) {
	if err := server.CheckAlias(name, s.name); err != nil {
		return nil, err
	}
	checked, err := s.host.Check(ctx, s.base, ref, nil)
	if err != nil {
		return nil, err
	}
	kept := false
	defer func() {
		if !kept {
			checked.Close()
		}
	}()
	if !checked.Report.Verdict.Open() {
		return checked.Report, nil
	}
	plan, err := merge.NewPlan(checked.Binding, 1)
	if err != nil {
		return nil, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	if g, ok := s.generation(name); ok && g.staged.Plan.Digest == plan.Digest {
		return checked.Report, nil
	}
	client, err := s.supervisor.Client(ctx)
	if err != nil {
		return nil, err
	}
	staged, err := plan.Stage(ctx, client)
	if err != nil {
		if len(fault.All(err)) > 0 && fault.ClassOf(err) == fault.Rejected {
			return s.host.gate.Refused(ref, s.base, checked.Binding, err), nil
		}
		return nil, err
	}
	kept = true
	return checked.Report, s.commit(ctx, client, name, &generation{checked: checked, staged: staged, loaded: time.Now()})
}

// commit makes a staged generation live: first in the table, which a restart replays, then in the backend. A backend that dies between
// the two comes back with the new generation; one that refuses leaves the old one. The caller holds change.
func (s *Serving) commit(ctx context.Context, client backendpb.BackendClient, name string, g *generation) error {
	ctx = context.WithoutCancel(ctx) // from here on it is done or undone, not abandoned
	s.sequence++
	s.state.Lock()
	before := s.live[name]
	after := &alias{sequence: s.sequence, history: []*generation{g}}
	if before != nil {
		after.history = append(append([]*generation(nil), before.history...), g)
	}
	s.live[name] = after
	s.state.Unlock()
	err := activate(ctx, client, name, g.staged.Plan.Digest[:], after.sequence)
	if err != nil && !backend.Unavailable(err) {
		s.state.Lock()
		if before == nil {
			delete(s.live, name)
		} else {
			s.live[name] = before
		}
		s.state.Unlock()
		s.forget(ctx, client, g)
		return err
	}
	s.trim(ctx, client, after)
	return nil
}

// trim drops what no rollback will reach and frees the backend's memory of all but the live generation and the one before it.
func (s *Serving) trim(ctx context.Context, client backendpb.BackendClient, a *alias) {
	s.state.Lock()
	var dropped []*generation
	if extra := len(a.history) - maxHistory; extra > 0 {
		dropped, a.history = a.history[:extra], append([]*generation(nil), a.history[extra:]...)
	}
	var idle []*generation
	if n := len(a.history); n > 2 {
		idle = a.history[:n-2]
	}
	s.state.Unlock()
	for _, g := range idle {
		s.release(ctx, client, g)
	}
	for _, g := range dropped {
		s.forget(ctx, client, g)
	}
}

// forget releases a generation's memory in the backend and closes its adapter.
func (s *Serving) forget(ctx context.Context, client backendpb.BackendClient, g *generation) {
	s.release(ctx, client, g)
	if err := g.checked.Close(); err != nil {
		s.host.log.Warn("an adapter did not close", "error", err)
	}
}

// release frees a generation in the backend, unless another alias means it too. It is only about memory: a failure is logged.
func (s *Serving) release(ctx context.Context, client backendpb.BackendClient, g *generation) {
	digest := g.staged.Plan.Digest
	s.state.RLock()
	for _, a := range s.live {
		if a.current().staged.Plan.Digest == digest {
			s.state.RUnlock()
			return
		}
	}
	s.state.RUnlock()
	if _, err := client.Release(context.WithoutCancel(ctx), &backendpb.ReleaseRequest{Generation: digest[:]}); err != nil {
		s.host.log.Warn("a generation was not released", "generation", merge.DigestString(digest), "error", err)
	}
}

// Rollback makes alias mean what it meant before. It never passes through the gate: the way back must always be open.
func (s *Serving) Rollback(ctx context.Context, name string) (server.Model, error) {
	if err := s.rollback(ctx, name); err != nil {
		return server.Model{}, err
	}
	for _, m := range s.Models() {
		if m.ID == name {
			return m, nil
		}
	}
	return server.Model{}, s.unknown(name) // unloaded meanwhile
}

func (s *Serving) rollback(ctx context.Context, name string) error {
	s.change.Lock()
	defer s.change.Unlock()
	s.state.RLock()
	a := s.live[name]
	s.state.RUnlock()
	switch {
	case a == nil:
		return s.unknown(name)
	case len(a.history) < 2:
		return fault.New(fault.ADName, "%q has no earlier generation", name).Fix("unload it to serve the base alone")
	}
	client, err := s.supervisor.Client(ctx)
	if err != nil {
		return err
	}
	last, target := a.history[len(a.history)-1], a.history[len(a.history)-2]
	if err := s.restage(ctx, client, target); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // from here on it is done or undone, not abandoned
	s.sequence++
	after := &alias{sequence: s.sequence, history: a.history[: len(a.history)-1 : len(a.history)-1]}
	s.state.Lock()
	s.live[name] = after
	s.state.Unlock()
	if err := activate(ctx, client, name, target.staged.Plan.Digest[:], after.sequence); err != nil && !backend.Unavailable(err) {
		s.state.Lock()
		s.live[name] = a
		s.state.Unlock()
		return err
	}
	s.forget(ctx, client, last)
	return nil
}

// Unload makes alias mean nothing. Requests already admitted finish on their generation.
func (s *Serving) Unload(ctx context.Context, name string) error {
	s.change.Lock()
	defer s.change.Unlock()
	s.state.Lock()
	a := s.live[name]
	delete(s.live, name)
	s.state.Unlock()
	if a == nil {
		return s.unknown(name)
	}
	client, err := s.supervisor.Client(ctx)
	if err != nil {
		return err // the backend is down; it comes back without this alias
	}
	ctx = context.WithoutCancel(ctx)
	s.sequence++
	if err := activate(ctx, client, name, nil, s.sequence); err != nil && !backend.Unavailable(err) {
		s.host.log.Warn("an alias was not cleared", "alias", name, "error", err)
	}
	for _, g := range a.history {
		s.forget(ctx, client, g)
	}
	return nil
}

func (s *Serving) generation(name string) (*generation, bool) {
	s.state.RLock()
	defer s.state.RUnlock()
	if a := s.live[name]; a != nil {
		return a.current(), true
	}
	return nil, false
}

func (s *Serving) unknown(name string) error {
	return fault.New(fault.IONotFound, "no adapter is loaded as %q", name).Fix("list what is loaded: tenon ps")
}
