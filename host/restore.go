package host

import (
	"context"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/telemetry"
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
// bytes and held against the digest it had before. An alias whose generation does not come back is listed with the reason; the others do.
func (s *Serving) restore(ctx context.Context, client backendpb.BackendClient) (err error) {
	ctx, end := telemetry.Step(ctx, telemetry.StepRestore)
	defer end(&err)
	for _, g := range s.shelf.lost() {
		s.closed(g)
	}
	if _, err := loadBase(ctx, client, s.base); err != nil {
		return err
	}
	s.state.RLock()
	live := maps.Clone(s.live)
	for _, a := range live {
		if a.generation != nil {
			s.shelf.pin(a.generation) // it stays open, whatever becomes of the alias
		}
	}
	s.state.RUnlock()
	group, staging := errgroup.WithContext(ctx)
	group.SetLimit(broughtBack)
	for _, name := range slices.Sorted(maps.Keys(live)) {
		a := live[name]
		if a.generation == nil {
			continue
		}
		group.Go(func() error {
			defer s.shelf.unpin(a.generation)
			err := a.generation.restage(staging, client, s.restarts.Load(), nil)
			if err == nil {
				err = activate(staging, client, name, a.generation, a.activation.Sequence)
			}
			switch {
			case err == nil:
				s.host.log.InfoContext(ctx, "restored", "alias", name, "generation", merge.DigestString(a.activation.Generation))
				return nil
			case backend.Unavailable(err), staging.Err() != nil:
				return err // the process died, and takes nothing with it
			}
			s.fail(ctx, a, backendFault(err))
			return nil
		})
	}
	return group.Wait()
}

// loadBase makes a base resident in a backend that has none, and tells how much memory that takes.
func loadBase(ctx context.Context, client backendpb.BackendClient, b *base.Base) (resident uint64, err error) {
	response, err := client.LoadBase(ctx, &backendpb.LoadBaseRequest{
		Digest: b.Digest[:], Files: b.BackendFiles(), Tensors: b.BackendTensors(), Config: b.ModelConfig(),
	})
	if err != nil {
		return 0, fault.New(fault.BackendDown, "the backend did not load the base").In(b.Ref).Wrap(err)
	}
	return response.ResidentBytes, nil
}

// activate makes an alias mean a generation, nil for the base. It can be repeated.
func activate(ctx context.Context, client backendpb.BackendClient, name string, g *generation, sequence uint64) (err error) {
	ctx, end := telemetry.Step(ctx, telemetry.StepSwap)
	defer end(&err)
	request := &backendpb.ActivateRequest{Alias: name, Sequence: sequence}
	if g != nil {
		digest := g.digest()
		request.Generation = digest[:]
		telemetry.About(ctx, digestAttr("generation", digest))
	}
	_, err = client.Activate(ctx, request)
	return err
}
