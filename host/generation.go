package host

import (
	"context"
	"io"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/server"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// generation is a change of the base with everything needed to stage it, again and again: the adapter's bytes are a private copy held open
// here. One generation serves every alias that means it.
type generation struct {
	binding *adapter.Binding
	plan    *merge.Plan
	owner   io.Closer // of the binding and the plan
	want    [32]byte  // digest of the staged bytes, where it was staged in an earlier life; zero takes what comes first, and keeps to it

	staging chan struct{} // holds one token while somebody stages it
	staged  *merge.Staged // under staging
	process int64         // number of the backend's process that it was staged in last; under staging

	// Under the shelf's lock.
	pins     int           // of aliases and of calls; with one it is not evicted
	requests int           // bound to it
	used     uint64        // when its last pin went, by the shelf's count
	leaving  chan struct{} // closed when it is gone; nil for one that stays
}

// digest names the generation.
func (g *generation) digest() [32]byte { return g.plan.Digest }

// mode is how it is computed.
func (g *generation) mode() server.Mode {
	if g.plan.Unmerged {
		return server.ModeUnmerged
	}
	return server.ModeMerged
}

// content is the digest of the staged bytes, for whoever has had it staged: from then on it does not change.
func (g *generation) content() [32]byte { return g.want }

// restage makes sure that the backend's process of that number holds the generation, with the very bytes it had when it was first verified.
func (g *generation) restage(ctx context.Context, client backendpb.BackendClient, process int64, told func(done, total int)) error {
	select {
	case g.staging <- struct{}{}:
		defer func() { <-g.staging }()
	case <-ctx.Done():
		return fault.New(fault.Canceled, "the generation was given up while another call staged it").In(g.binding.Adapter.Ref).Wrap(ctx.Err())
	}
	staged, err := g.plan.StageTelling(ctx, client, told)
	if err != nil {
		return err
	}
	if g.want != [32]byte{} && staged.Content != g.want {
		return fault.New(fault.DigestBad, "staging again gave %s, before it was %s", merge.DigestString(staged.Content), merge.DigestString(g.want)).
			In(g.binding.Adapter.Ref).Fix("the backend is not deterministic: do not use it")
	}
	g.has(staged, process)
	return nil
}

// adopt takes what a check has staged in that process of the backend.
func (g *generation) adopt(staged *merge.Staged, process int64) {
	g.staging <- struct{}{}
	defer func() { <-g.staging }()
	if staged != nil && g.staged == nil && g.want == [32]byte{} {
		g.has(staged, process)
	}
}

// has notes what was staged, and in which process. The caller has the token.
func (g *generation) has(staged *merge.Staged, process int64) {
	g.staged, g.process = staged, process
	if g.want == [32]byte{} {
		g.want = staged.Content
	}
}

// isStagedIn tells whether that process was seen to hold the generation.
func (g *generation) isStagedIn(process int64) bool {
	g.staging <- struct{}{}
	defer func() { <-g.staging }()
	return g.staged != nil && g.process == process
}
