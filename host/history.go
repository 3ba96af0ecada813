package host

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

const (
	historyLimit = 1024    // changes that are read to know what Rollback goes back through
	historyDepth = 1 << 20 // that are searched for a generation that was named
)

// History lists what is staged for an alias, newest first, and then what it has meant, by sequence: clocks may jump.
func (s *Serving) History(ctx context.Context, name string, limit int) ([]server.Record, error) {
	changes, err := s.ledger.History(ctx, name, limit)
	if err != nil {
		return nil, err
	}
	s.state.RLock()
	staged, now := slices.Clone(s.staged[name]), s.live[name]
	s.state.RUnlock()
	var out []server.Record
	for _, r := range slices.Backward(staged) {
		record := s.record(ctx, r.activation, server.StateStaged)
		record.Action = "stage"
		out = append(out, record)
	}
	for _, a := range changes {
		if a.Base != s.base.Digest {
			continue
		}
		state := server.StatePast
		if now != nil && a.Sequence == now.activation.Sequence {
			state = now.state()
		}
		out = append(out, s.record(ctx, a, state))
	}
	if len(out) == 0 && now == nil {
		return nil, s.unknown(name)
	}
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, nil
}

func (s *Serving) record(ctx context.Context, a registry.Activation, state server.State) server.Record {
	r := server.Record{Sequence: a.Sequence, Time: a.Time, Actor: a.Actor, Action: a.Action, State: state, Ref: a.Ref, Mode: server.Mode(a.Mode)}
	if a.Action == registry.ActionUnload {
		return r
	}
	r.Generation, r.Digest = merge.DigestString(a.Generation), merge.DigestString(a.Adapter)
	r.Verdict = s.verdict(ctx, a.Decision)
	return r
}

// known finds a generation that an alias meant, whenever it was.
func (s *Serving) known(ctx context.Context, name, generation string) (registry.Activation, error) {
	missing := fault.New(fault.IONotFound, "%q never meant generation %q", name, generation).Fix("list what it meant: tenon history %s", name)
	digits, ok := strings.CutPrefix(generation, "sha256:")
	if digest, err := hex.DecodeString(digits); !ok || err != nil || len(digest) != 32 {
		return registry.Activation{}, missing
	}
	if now := s.alias(name); now != nil { // what it meant last is at hand
		for _, a := range slices.Backward(now.stack) {
			if merge.DigestString(a.Generation) == generation {
				return a, nil
			}
		}
	}
	for limit := historyLimit; ; limit = historyDepth {
		changes, err := s.ledger.History(ctx, name, limit)
		if err != nil {
			return registry.Activation{}, err
		}
		for _, a := range changes {
			if a.Base == s.base.Digest && a.Action != registry.ActionUnload && merge.DigestString(a.Generation) == generation {
				return a, nil
			}
		}
		if len(changes) < limit || limit == historyDepth {
			return registry.Activation{}, missing
		}
	}
}

// Report is that of what an alias means, or of a generation that was staged for it or that it ever meant.
func (s *Serving) Report(ctx context.Context, name, generation string) (*report.Report, error) {
	var decision int64
	if now := s.alias(name); generation == "" || now != nil && merge.DigestString(now.activation.Generation) == generation {
		if now == nil {
			return nil, s.unknown(name)
		}
		decision = now.activation.Decision
	} else if r := s.stagedRecord(name, generation); r != nil {
		decision = r.activation.Decision
	} else {
		a, err := s.known(ctx, name, generation)
		if err != nil {
			return nil, err
		}
		decision = a.Decision
	}
	return s.reportOf(ctx, decision)
}

// Generations lists what the backend holds beyond the base, by name: as it says itself where it answers, with what is known of each here.
func (s *Serving) Generations() []server.Resident {
	known := map[string]*server.Resident{}
	for _, r := range s.shelf.list() {
		name := merge.DigestString(r.generation.digest())
		known[name] = &server.Resident{Generation: name, State: server.StatePast, Mode: r.generation.mode(),
			Bytes: r.generation.plan.Bytes(), Requests: r.requests}
	}
	s.state.RLock()
	for digest := range s.collectStaged() {
		if r := known[merge.DigestString(digest)]; r != nil {
			r.State = server.StateStaged
		}
	}
	for name, a := range s.live {
		if r := known[merge.DigestString(a.activation.Generation)]; r != nil && a.generation != nil {
			r.State, r.Aliases = server.StateLive, append(r.Aliases, name)
		}
	}
	s.state.RUnlock()
	held := map[string]*backendpb.Generation{}
	now, err := s.backendStatus()
	for _, g := range now.GetGenerations() {
		held[server.GenerationName(g.Generation)] = g
	}
	out := []server.Resident{}
	for name, r := range known {
		g := held[name]
		if err == nil && g == nil {
			continue // on its way there, or back
		}
		if g != nil {
			r.Bytes, r.Requests = int64(g.Bytes), int(g.Requests)
		}
		slices.Sort(r.Aliases)
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b server.Resident) int { return strings.Compare(a.Generation, b.Generation) })
	return out
}
