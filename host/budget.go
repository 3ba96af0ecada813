package host

import (
	"context"
	"time"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// MemoryAuto lets generations use what the machine has left once the base is loaded, less a reserve.
const MemoryAuto int64 = -1

// Of what is left, memoryReserve and a tenth are not for generations: texts, diagnostics and other programs need some, too.
const memoryReserve = 256 << 20

// memoryLimit is how many bytes generations may use; 0 is no limit. resident is what the base takes of a device with memory of its own.
func memoryLimit(asked int64, described *backendpb.DescribeResponse, resident uint64) int64 {
	if asked != MemoryAuto {
		return max(0, asked)
	}
	available, known := availableMemory()
	if described.MemoryBytes > resident { // a device with less than the machine has memory of its own
		if left := int64(described.MemoryBytes - resident); !known || left < available {
			available, known = left, true
		}
	}
	if !known {
		return 0
	}
	return max(1, available-available/10-memoryReserve)
}

// admit puts a generation on the shelf, pinned, once idle ones have made room for it, and gives the one that is there: another of the same
// digest closes this one. A limit of 0 asks for no room.
func (s *Serving) admit(ctx context.Context, g *generation, limit int64) (*generation, error) {
	for {
		switch e := s.shelf.enter(g, limit, s.stagedOnes()); {
		case e.in != nil:
			if e.in != g && g.owner != nil {
				s.closed(g)
			}
			return e.in, nil
		case e.victim != nil:
			s.evict(ctx, e.victim)
		case e.short != nil:
			return nil, e.short.Fix("%s", s.roomFor(g, limit, e.left))
		default:
			if err := wait(ctx, e.gone); err != nil {
				return nil, err
			}
		}
	}
}

// roomFor is what helps a generation that has no room: only what would.
func (s *Serving) roomFor(g *generation, limit, left int64) string {
	remedy := "give more with --memory"
	if g.plan.Bytes() <= limit {
		remedy = "unload an adapter, or " + remedy
	}
	if !g.plan.Unmerged && s.unmergeable(g.plan) == nil && g.plan.Unmerge().Bytes() <= left {
		remedy += ", or load it with --mode unmerged"
	}
	return remedy
}

// held pins a generation that the backend holds, nil where it holds none of that digest.
func (s *Serving) held(ctx context.Context, digest [32]byte) (*generation, error) {
	for {
		g, gone := s.shelf.find(digest)
		if gone == nil {
			return g, nil
		}
		if err := wait(ctx, gone); err != nil {
			return nil, err
		}
	}
}

func wait(ctx context.Context, gone <-chan struct{}) error {
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return backendFault(ctx.Err())
	}
}

// letGo lets go of a generation, and frees what nobody wants any more.
func (s *Serving) letGo(ctx context.Context, g *generation) {
	if g != nil {
		s.shelf.unpin(g)
	}
	s.sweep(ctx)
}

// sweep frees the idle generations that no alias goes back to next and that are not staged for one.
func (s *Serving) sweep(ctx context.Context) {
	for _, g := range s.shelf.unwanted(s.wantedOnes()) {
		s.evict(ctx, g)
	}
}

// evict releases a generation, which has been marked as leaving, in the backend, and closes it. A backend that is not there has forgotten it.
func (s *Serving) evict(ctx context.Context, g *generation) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	if s.supervisor.State() == backend.Ready {
		if client, err := s.supervisor.Client(ctx); err == nil {
			s.release(ctx, client, g.digest())
		}
	}
	s.closed(g)
	s.shelf.gone(g)
	s.feed.Publish(server.Event{Kind: server.KindFreed, Generation: merge.DigestString(g.digest()), Adapter: merge.DigestString(g.binding.Adapter.Digest)})
}

// releaseTime bounds how long anybody waits for memory to be freed.
const releaseTime = 10 * time.Second

// release frees a generation in the backend. It is only about memory: a failure is logged.
func (s *Serving) release(ctx context.Context, client backendpb.BackendClient, digest [32]byte) {
	_, err := client.Release(ctx, &backendpb.ReleaseRequest{Generation: digest[:]})
	if err != nil && !backend.Unavailable(err) {
		s.host.log.WarnContext(ctx, "a generation was not released", "generation", merge.DigestString(digest), "error", err)
	}
}

func (s *Serving) closed(g *generation) {
	if err := g.owner.Close(); err != nil {
		s.host.log.Warn("an adapter did not close", "error", err)
	}
}
