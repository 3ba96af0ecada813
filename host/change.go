package host

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/host/telemetry"
	"github.com/tenon-ml/tenon/internal/crashpoint"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// The places of a change where a test ends the program.
var (
	activateStaged  = crashpoint.Define("activate.staged")  // verified, nothing of it is on the disk
	activateKept    = crashpoint.Define("activate.kept")    // the adapter is
	activateDecided = crashpoint.Define("activate.decided") // and the decision

	// Each action goes on with these: the ledger says so, the backend does, and nobody has been told yet.
	committed = points("committed")
	switched  = points("switched")
	answered  = points("answered")

	rollbackStaged = crashpoint.Define("rollback.staged")
)

func points(name string) map[string]crashpoint.Point {
	out := map[string]crashpoint.Point{}
	for _, action := range []string{registry.ActionActivate, registry.ActionRollback, registry.ActionUnload} {
		out[action] = crashpoint.Define(action + "." + name)
	}
	return out
}

// at is the sequence that a change of a name is decided on: that of its last change, 0 where there was none. The ledger refuses the change if
// there is another one before.
func (s *Serving) at(ctx context.Context, name string) (uint64, error) {
	if a := s.alias(name); a != nil {
		return a.activation.Sequence, nil
	}
	return s.ledger.At(ctx, s.base.Digest, name)
}

// wanted is a change to be made.
type wanted struct {
	activation registry.Activation // without Sequence and Time
	expected   uint64
	generation *generation // pinned; the pin becomes the alias's. nil of an unload
	verdict    report.Verdict
	reason     string
	load       bool // that finds its very bytes live is content
}

// commit carries a change out. From the ledger's transaction on it is done, or undone by another one: it is not abandoned. With an error
// nothing has changed, and the pin is the caller's.
func (s *Serving) commit(ctx context.Context, w wanted) (*alias, error) {
	s.change.Lock()
	defer s.change.Unlock()
	name := w.activation.Alias
	before := s.alias(name)
	if w.load && before.isLive(w.activation.Generation) {
		s.shelf.unpin(w.generation) // another load of the same bytes was first
		return before, nil
	}
	if err := s.fits(name, before, w); err != nil {
		return nil, err
	}
	if _, err := s.supervisor.Client(ctx); err != nil {
		return nil, err // it is not worth beginning
	}
	ctx = context.WithoutCancel(ctx)
	actor := server.ActorOf(ctx)
	w.activation.Actor, w.activation.Tenant, w.activation.Base, w.activation.Time = actor.Name, actor.Tenant, s.base.Digest, time.Now().UTC()
	done, err := s.writeDown(ctx, w.expected, w.activation)
	if err != nil {
		return nil, err
	}
	crashpoint.Here(committed[done.Action])
	after := s.after(before, done, w)
	s.swap(name, after)
	if err := s.tellBackend(ctx, name, w.generation, done.Sequence); err != nil && !backend.Unavailable(err) {
		return nil, s.undo(ctx, before, done, err)
	}
	crashpoint.Here(switched[done.Action])
	if before != nil && before.generation != nil {
		s.shelf.unpin(before.generation)
	}
	return after, nil
}

// after is what the table says once a change is committed.
func (s *Serving) after(before *alias, done registry.Activation, w wanted) *alias {
	if w.generation == nil {
		return nil
	}
	a := &alias{activation: done, generation: w.generation, verdict: w.verdict, reason: w.reason}
	if before != nil {
		a.stack, a.left = before.stack, before.activation.Generation
	}
	a.stack = follow(a.stack, done)
	return a
}

// fits refuses a name more than there may be.
func (s *Serving) fits(name string, before *alias, w wanted) error {
	s.state.RLock()
	defer s.state.RUnlock()
	if n := len(s.live); before == nil && w.generation != nil && n >= maxAdapters {
		return fault.New(fault.IOSpace, "%d adapters are live, and no more can be", n).Fix("unload one first")
	}
	return nil
}

// undo takes back a change that is committed and that the backend refused: the ledger says so, too, in a change of its own.
func (s *Serving) undo(ctx context.Context, before *alias, done registry.Activation, refusal error) error {
	back := registry.Activation{Actor: done.Actor, Tenant: done.Tenant, Alias: done.Alias, Base: done.Base, Time: time.Now().UTC(), Action: registry.ActionUnload}
	if before != nil {
		back = before.activation
		back.Actor, back.Tenant, back.Action, back.Time = done.Actor, done.Tenant, registry.ActionRollback, time.Now().UTC()
	}
	sequence := done.Sequence
	undone, err := s.writeDown(ctx, done.Sequence, back)
	if err != nil {
		s.host.log.ErrorContext(ctx, "a change that the backend refused could not be taken back: the registry says it is live", "alias", done.Alias,
			"generation", merge.DigestString(done.Generation), "cause", err)
	} else {
		sequence = undone.Sequence
	}
	if before == nil {
		s.swap(done.Alias, nil)
		return refusal
	}
	old := *before
	old.activation.Sequence = sequence
	s.swap(done.Alias, &old)
	if err := s.tellBackend(ctx, done.Alias, old.generation, sequence); err != nil {
		s.host.log.WarnContext(ctx, "the backend does not follow the way back; it means what it meant", "alias", done.Alias,
			"generation", merge.DigestString(before.activation.Generation), "cause", err)
	}
	return refusal
}

// tellBackend makes an alias mean a generation in the backend, nil for nothing. A backend that dies meanwhile comes back with what the table
// says, and is asked again.
func (s *Serving) tellBackend(ctx context.Context, name string, g *generation, sequence uint64) error {
	return s.ask(ctx, func(client backendpb.BackendClient) error {
		err := activate(ctx, client, name, g, sequence)
		if g == nil || status.Code(err) != codes.NotFound {
			return err
		}
		// The process is a new one, or a generation that was the same was released.
		if err := g.restage(ctx, client, s.restarts.Load(), nil); err != nil {
			return err
		}
		return activate(ctx, client, name, g, sequence)
	})
}

// Unload makes alias mean nothing, and lets go of what is staged for it. Requests already admitted finish on their generation. The history
// stays.
func (s *Serving) Unload(ctx context.Context, name string) error {
	before := s.alias(name)
	if before == nil {
		return s.unknown(name)
	}
	w := wanted{activation: registry.Activation{Alias: name, Action: registry.ActionUnload, Ref: before.activation.Ref}, expected: before.activation.Sequence}
	if _, err := s.commit(ctx, w); err != nil {
		return backendFault(err)
	}
	s.state.Lock()
	delete(s.staged, name)
	s.state.Unlock()
	s.sweep(ctx)
	s.host.log.InfoContext(ctx, "adapter unloaded", "alias", name, "ref", loggable(before.activation.Ref))
	s.publish(ctx, server.Event{Kind: server.KindUnloaded, Alias: name, Ref: before.activation.Ref})
	crashpoint.Here(answered[registry.ActionUnload])
	return nil
}

// Rollback makes alias mean what it meant before, or the generation named of those it ever meant. It never passes through the gate, and it asks
// for no room in the memory for generations: the way back must always be open.
func (s *Serving) Rollback(ctx context.Context, name, generation string) (_ server.Model, err error) {
	ctx, end := telemetry.Step(ctx, telemetry.StepRollback)
	defer end(&err)
	now := s.alias(name)
	expected, err := s.at(ctx, name)
	if err != nil {
		return server.Model{}, err
	}
	target, err := s.target(ctx, name, generation, now)
	if err != nil {
		return server.Model{}, err
	}
	return s.turn(ctx, target, expected, registry.ActionRollback, "")
}

// target is what Rollback goes back to.
func (s *Serving) target(ctx context.Context, name, generation string, now *alias) (registry.Activation, error) {
	if generation != "" {
		return s.known(ctx, name, generation)
	}
	if now == nil {
		return registry.Activation{}, s.unknown(name)
	}
	if before, ok := now.before(); ok {
		return before, nil
	}
	return registry.Activation{}, fault.New(fault.ADName, "%q has no earlier generation", name).Fix("unload it to serve the base alone")
}

// Activate makes a generation that was staged for alias, or that it meant before, what it means.
func (s *Serving) Activate(ctx context.Context, name, generation string) (server.Model, error) {
	expected, err := s.at(ctx, name)
	if err != nil {
		return server.Model{}, err
	}
	target, reason := registry.Activation{}, ""
	if r := s.stagedRecord(name, generation); r != nil {
		target, reason = r.activation, r.reason
	} else if target, err = s.known(ctx, name, generation); err != nil {
		return server.Model{}, err
	}
	return s.turn(ctx, target, expected, registry.ActionActivate, reason)
}

// turn makes an alias mean a generation that was let in before, without asking the gate again. A reason of "" is the one it had.
func (s *Serving) turn(ctx context.Context, target registry.Activation, expected uint64, action, reason string) (_ server.Model, err error) {
	name, w := target.Alias, wanted{activation: target, expected: expected, reason: reason}
	w.activation.Action = action
	if now := s.alias(name); now.isLive(target.Generation) {
		return s.model(name, now), nil
	}
	w.verdict = s.verdict(ctx, target.Decision)
	if w.generation, err = s.fetch(ctx, target, 0); err != nil {
		return server.Model{}, err
	}
	if w.reason == "" {
		w.reason = s.why(target, w.generation)
	}
	if err = s.ensure(ctx, w.generation, nil); err == nil {
		if action == registry.ActionRollback {
			crashpoint.Here(rollbackStaged)
		}
		var after *alias
		if after, err = s.commit(ctx, w); err == nil {
			s.activated(ctx, after)
			crashpoint.Here(answered[action])
			return s.model(name, after), nil
		}
	}
	s.letGo(ctx, w.generation)
	return server.Model{}, backendFault(err)
}

// activated is what follows a change that made an alias live.
func (s *Serving) activated(ctx context.Context, a *alias) {
	s.unstage(a.activation.Alias, a.activation.Generation)
	s.sweep(ctx)
	said, message := "adapter live", ""
	if a.activation.Action == registry.ActionRollback {
		said, message = "adapter rolled back", "went back"
	}
	s.say(ctx, said, a)
	s.publish(ctx, server.Event{Kind: server.KindLive, Alias: a.activation.Alias, Ref: a.activation.Ref, Adapter: merge.DigestString(a.activation.Adapter),
		Generation: merge.DigestString(a.activation.Generation), Verdict: a.verdict, Message: message})
}

// ensure has the backend hold a generation. One that this process of the backend was seen to hold is not staged again.
func (s *Serving) ensure(ctx context.Context, g *generation, told func(done, total int)) error {
	if g.isStagedIn(s.restarts.Load()) && s.supervisor.State() == backend.Ready {
		return nil
	}
	return s.ask(ctx, func(client backendpb.BackendClient) error { return g.restage(ctx, client, s.restarts.Load(), told) })
}
