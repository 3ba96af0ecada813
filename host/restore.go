package host

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

const (
	attempts     = 4                      // how often something is asked that no backend lived to answer
	attemptPause = 100 * time.Millisecond // in which a death is noticed
)

// ask makes a call of the backend, and again of its successor where it died of it or before it. A backend that is coming back is waited
// for as long as the context allows. What call does must be safe to do twice.
func (s *Serving) ask(ctx context.Context, call func(backendpb.BackendClient) error) error {
	for attempt := 1; ; attempt++ {
		client, err := s.supervisor.Client(ctx)
		if err != nil {
			return err
		}
		if err = call(client); !backend.Unavailable(err) || attempt == attempts {
			return err
		}
		select {
		case <-time.After(attemptPause):
		case <-ctx.Done():
			return err
		}
	}
}

// restore brings a fresh backend process to where the last one was: the base, then every live generation, recomputed from the base's own
// bytes and held against the digest it had before.
func (s *Serving) restore(ctx context.Context, client backendpb.BackendClient) error {
	if err := loadBase(ctx, client, s.base); err != nil {
		return err
	}
	s.state.RLock()
	live := maps.Clone(s.live) // the generations stay open: whoever closes one has waited for this to end
	s.state.RUnlock()
	for _, name := range slices.Sorted(maps.Keys(live)) {
		a := live[name]
		g := a.current()
		if err := g.restage(ctx, client); err != nil {
			return err
		}
		if err := activate(ctx, client, name, g, a.sequence); err != nil {
			return err
		}
		s.host.log.Info("restored", "alias", name, "generation", merge.DigestString(g.digest()))
	}
	return nil
}

// loadBase makes a base resident in a backend that has none.
func loadBase(ctx context.Context, client backendpb.BackendClient, b *base.Base) error {
	_, err := client.LoadBase(ctx, &backendpb.LoadBaseRequest{
		Digest: b.Digest[:], Files: b.BackendFiles(), Tensors: b.BackendTensors(), Config: b.ModelConfig(),
	})
	if err != nil {
		return fault.New(fault.BackendDown, "the backend did not load the base").In(b.Ref).Wrap(err)
	}
	return nil
}

// digest names the generation.
func (g *generation) digest() [32]byte { return g.checked.Plan.Digest }

// restage makes sure that the backend holds a generation, with the very bytes it had when it was first verified.
func (g *generation) restage(ctx context.Context, client backendpb.BackendClient) error {
	staged, err := g.checked.Plan.Stage(ctx, client)
	if err != nil {
		return err
	}
	if staged.Content != g.staged.Content {
		return fault.New(fault.DigestBad, "staging again gave %s, before it was %s", merge.DigestString(staged.Content), merge.DigestString(g.staged.Content)).
			In(g.checked.Report.Adapter.Ref).Fix("the backend is not deterministic: do not use it")
	}
	return nil
}

// activate makes an alias mean a generation, nil for the base. It can be repeated.
func activate(ctx context.Context, client backendpb.BackendClient, name string, g *generation, sequence uint64) error {
	request := &backendpb.ActivateRequest{Alias: name, Sequence: sequence}
	if g != nil {
		digest := g.digest()
		request.Generation = digest[:]
	}
	_, err := client.Activate(ctx, request)
	return err
}
