package host

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/host/telemetry"
	"github.com/tenon-ml/tenon/internal/crashpoint"
)

// Load puts an adapter through the whole flow and makes it what its alias means. Until the last step the alias keeps meaning what it meant.
// A refusal is an answer: the report says why and nothing has changed. Loading what is already live changes nothing. A load waits for its turn,
// and one whose alias was changed meanwhile by another ends with fault.Conflict.
func (s *Serving) Load(ctx context.Context, load server.Load) (*server.Loaded, error) {
	return s.take(ctx, load, false)
}

// Offer is Load for whoever does not know what has happened since: the command line, a watched folder. What was taken back, by a rollback or an
// unload that nothing came after, is checked and not made live again; the Model of the answer is then what the alias means instead, if anything.
func (s *Serving) Offer(ctx context.Context, load server.Load) (*server.Loaded, error) {
	return s.take(ctx, load, true)
}

// take is Load, or Offer.
func (s *Serving) take(ctx context.Context, load server.Load, offered bool) (answer *server.Loaded, err error) {
	if s.onLoad != nil {
		defer func() { s.onLoad(answer, err) }()
	}
	ctx, end := telemetry.Step(ctx, telemetry.StepLoad)
	defer end(&err)
	s.loading.RLock()
	defer s.loading.RUnlock()
	if s.stopped || s.draining.Load() {
		return nil, fault.New(fault.BackendDown, "the server is ending").Fix("start the server again")
	}
	if err := errors.Join(s.checkAlias(load.Alias), checkMode(load.Mode)); err != nil {
		return nil, err
	}
	expected, err := s.at(ctx, load.Alias)
	if err != nil {
		return nil, err
	}
	back, err := s.turns.take(ctx, server.ActorOf(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	defer back()
	if now, err := s.at(ctx, load.Alias); err != nil || now != expected {
		return nil, errors.Join(err, fault.New(fault.Conflict, "%q was changed while the load waited: it is at %d, it was at %d", load.Alias, now, expected).
			Fix("look at what it means now, and load again if that is not it"))
	}
	s.publish(ctx, server.Event{Kind: server.KindChecking, Alias: load.Alias, Ref: load.Ref})
	ctx = s.listen(ctx, load)
	loaded, err := s.load(ctx, load, expected, offered)
	if err != nil {
		err = backendFault(err)
		s.publish(ctx, server.Event{Kind: server.KindFailed, Alias: load.Alias, Ref: load.Ref, Message: err.Error()})
		return nil, err
	}
	return loaded, nil
}

// checkAlias refuses what is no qualified alias.
func (s *Serving) checkAlias(qualified string) error {
	tenant, name := server.Unqualify(qualified)
	if server.Qualify(tenant, name) != qualified { // a slash with nothing before it
		return server.CheckAlias(qualified, s.name)
	}
	if tenant != "" {
		if err := server.CheckAlias(tenant, ""); err != nil {
			return err
		}
	}
	return server.CheckAlias(name, s.name)
}

func (s *Serving) load(ctx context.Context, load server.Load, expected uint64, offered bool) (_ *server.Loaded, err error) {
	beside, err := s.liveBeside(load.Alias)
	if err != nil {
		return nil, err
	}
	judge, process := s.judge.Load(), s.restarts.Load()
	var c *chosen
	settle := func(ctx context.Context, checked *Checked) (err error) {
		c, err = s.settle(ctx, load, checked)
		return err
	}
	defer func() {
		if c != nil {
			s.letGo(ctx, c.generation)
		}
	}()
	checked, err := judge.check(ctx, s.base, question{ref: load.Ref, scale: 1, live: beside, settle: settle}, s.laboratory())
	if err != nil {
		return nil, err
	}
	defer checked.Close() // what the generation owns is the generation's
	if !checked.Report.Verdict.Open() {
		return s.refused(ctx, load, checked.Report)
	}
	s.publish(ctx, server.Event{Kind: server.KindChecked, Alias: load.Alias, Ref: load.Ref, Adapter: checked.Report.Adapter.Digest, Verdict: checked.Report.Verdict})
	if offered && !load.Staged {
		if back, err := s.isTakenBack(ctx, load.Alias, checked.Binding.Adapter.Digest); back || err != nil {
			return s.leftAlone(ctx, load, checked.Report), err
		}
	}
	if c == nil {
		if err := settle(ctx, checked); err != nil {
			return nil, err
		}
	}
	c.generation.adopt(checked.staged, process)
	if now := s.alias(load.Alias); now.isLive(c.generation.digest()) && !load.Staged {
		s.say(ctx, "adapter live already", now)
		return &server.Loaded{Report: checked.Report, Model: s.model(load.Alias, now)}, nil
	}
	if err := s.ensure(ctx, c.generation, judge.told(ctx, "merge")); err != nil {
		if len(fault.All(err)) > 0 && fault.ClassOf(err) == fault.Rejected {
			return s.refused(ctx, load, judge.gate.Refused(load.Ref, s.base, checked.Binding, err))
		}
		return nil, err
	}
	w, err := s.prepare(ctx, load, checked, c)
	if err != nil {
		return nil, err
	}
	w.expected = expected
	if load.Staged {
		return s.setAside(ctx, w, checked.Report), nil
	}
	after, err := s.commit(ctx, w)
	if err != nil {
		return nil, err
	}
	c = nil // its pin is the alias's
	s.activated(ctx, after)
	crashpoint.Here(answered[registry.ActionActivate])
	return &server.Loaded{Report: checked.Report, Model: s.model(load.Alias, after)}, nil
}

// prepare puts on the disk what a restart needs to bring a staged generation back, and why it was let in.
func (s *Serving) prepare(ctx context.Context, load server.Load, checked *Checked, c *chosen) (_ wanted, err error) {
	crashpoint.Here(activateStaged)
	ctx, end := telemetry.Step(ctx, telemetry.StepKeep, digestAttr("adapter", c.generation.binding.Adapter.Digest))
	defer end(&err)
	if err := keep(ctx, s.ledger, c.generation.binding.Adapter); err != nil {
		return wanted{}, err
	}
	crashpoint.Here(activateKept)
	decision, err := s.decide(ctx, load, checked.Report)
	if err != nil {
		return wanted{}, err
	}
	crashpoint.Here(activateDecided)
	s.rememberReason(decision, c.reason)
	g := c.generation
	return wanted{
		activation: registry.Activation{
			Alias: load.Alias, Action: registry.ActionActivate, Generation: g.digest(), Content: g.content(), Adapter: g.binding.Adapter.Digest,
			Ref: load.Ref, Mode: string(g.mode()), Decision: decision, Base: s.base.Digest,
		},
		generation: g, verdict: checked.Report.Verdict, reason: c.reason, load: true,
	}, nil
}

// setAside ends a load that was to be staged only.
func (s *Serving) setAside(ctx context.Context, w wanted, r *report.Report) *server.Loaded {
	a := w.activation
	a.Time, a.Actor, a.Tenant = time.Now().UTC(), server.ActorOf(ctx).Name, server.ActorOf(ctx).Tenant
	s.stage(&stagedRecord{activation: a, verdict: w.verdict, reason: w.reason})
	s.publish(ctx, server.Event{Kind: server.KindStaged, Alias: a.Alias, Ref: a.Ref, Adapter: r.Adapter.Digest,
		Generation: merge.DigestString(a.Generation), Verdict: r.Verdict})
	aside := &alias{activation: a, generation: w.generation, verdict: w.verdict, reason: w.reason}
	s.say(ctx, "adapter staged", aside)
	m := s.model(a.Alias, aside)
	m.State = server.StateStaged
	return &server.Loaded{Report: r, Model: m}
}

// refused ends a load that the gate, or the merge, said no to.
func (s *Serving) refused(ctx context.Context, load server.Load, r *report.Report) (*server.Loaded, error) {
	if _, err := s.decide(ctx, load, r); err != nil {
		return nil, err
	}
	first := report.First(r)
	s.host.log.InfoContext(ctx, "adapter refused", "alias", load.Alias, "ref", loggable(load.Ref), "digest", r.Adapter.Digest, "verdict", string(r.Verdict),
		"code", loggable(first.Code), "finding", loggable(first.Message))
	s.publish(ctx, server.Event{Kind: server.KindRefused, Alias: load.Alias, Ref: load.Ref, Adapter: r.Adapter.Digest, Verdict: r.Verdict})
	return &server.Loaded{Report: r}, nil
}

// Refused tells the feed of what a watched folder refused before the gate was asked: for its name, or for what it is.
func (s *Serving) Refused(ctx context.Context, alias, ref string, why *fault.Error) {
	s.publish(ctx, server.Event{Kind: server.KindRefused, Alias: alias, Ref: report.Escape(ref), Verdict: report.Deny, Message: report.Escape(why.Error())})
}

// isTakenBack tells that the last change of an alias took this adapter away from it.
func (s *Serving) isTakenBack(ctx context.Context, name string, adapter [32]byte) (bool, error) {
	if s.alias(name).means(adapter) {
		return false, nil
	}
	history, err := s.ledger.History(ctx, name, historyLimit)
	if err != nil {
		return false, err
	}
	history = slices.DeleteFunc(history, func(a registry.Activation) bool { return a.Base != s.base.Digest })
	if len(history) == 0 || history[0].Action == registry.ActionActivate || history[0].Adapter == adapter {
		return false, nil
	}
	return slices.ContainsFunc(history, func(a registry.Activation) bool { return a.Adapter == adapter }), nil
}

// leftAlone ends an offer of what was taken back.
func (s *Serving) leftAlone(ctx context.Context, load server.Load, r *report.Report) *server.Loaded {
	out := &server.Loaded{Report: r}
	if now := s.alias(load.Alias); now != nil {
		out.Model = s.model(load.Alias, now)
	}
	s.host.log.InfoContext(ctx, "adapter left alone: it was taken back, and is not made live again by itself", "alias", load.Alias,
		"ref", loggable(load.Ref), "digest", r.Adapter.Digest, "verdict", string(r.Verdict))
	s.publish(ctx, server.Event{Kind: server.KindChecked, Alias: load.Alias, Ref: load.Ref, Adapter: r.Adapter.Digest, Verdict: r.Verdict,
		Message: "it was taken back, and is not made live again by itself"})
	return out
}

// Check asks the gate about an adapter, beside everything that is live, and changes nothing. The decision is recorded without an alias.
func (s *Serving) Check(ctx context.Context, ref string) (*report.Report, error) {
	s.loading.RLock()
	defer s.loading.RUnlock()
	if s.stopped {
		return nil, fault.New(fault.BackendDown, "the server has stopped").Fix("start the server again")
	}
	back, err := s.turns.take(ctx, server.ActorOf(ctx).Tenant)
	if err != nil {
		return nil, err
	}
	defer back()
	beside, err := s.liveBeside("")
	if err != nil {
		return nil, err
	}
	load := server.Load{Ref: ref}
	ctx = s.listen(ctx, load)
	var c *chosen
	settle := func(ctx context.Context, checked *Checked) (err error) {
		c, err = s.settle(ctx, load, checked)
		return err
	}
	checked, err := s.judge.Load().check(ctx, s.base, question{ref: ref, scale: 1, live: beside, settle: settle}, s.laboratory())
	if c != nil {
		defer s.letGo(ctx, c.generation)
	}
	if err != nil {
		return nil, backendFault(err)
	}
	defer checked.Close()
	if _, err := s.decide(ctx, load, checked.Report); err != nil {
		return nil, err
	}
	s.publish(ctx, server.Event{Kind: server.KindChecked, Ref: ref, Adapter: checked.Report.Adapter.Digest, Verdict: checked.Report.Verdict})
	return checked.Report, nil
}
