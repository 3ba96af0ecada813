package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/server"
)

// chosen is how an adapter is to be carried out, and why. Its generation is on the shelf, pinned.
type chosen struct {
	generation *generation
	reason     string // of the mode, for people
	owns       bool   // the generation holds this very adapter open
}

// checkMode refuses a word that is no mode.
func checkMode(m server.Mode) error {
	switch m {
	case "", server.ModeAuto, server.ModeMerged, server.ModeUnmerged:
		return nil
	}
	return fault.New(fault.UsageFlag, "%q is not a mode", m).Fix("give auto, merged or unmerged")
}

// settle chooses the mode of a load and finds room for its generation. What an alias means already, in whatever mode, stays in that mode where
// nobody asked for one.
func (s *Serving) settle(ctx context.Context, load server.Load, checked *Checked) (*chosen, error) {
	mode, asked := load.Mode, "as the load asked"
	if mode == "" || mode == server.ModeAuto {
		mode, asked = s.mode, "as the server was told"
	}
	merged := checked.Plan
	if mode == server.ModeAuto {
		if now := s.alias(load.Alias); now.means(checked.Binding.Adapter.Digest) {
			mode, asked = now.generation.mode(), now.reason
		}
	}
	switch mode {
	case server.ModeMerged:
		return s.enter(ctx, checked, merged, asked)
	case server.ModeUnmerged:
		if err := s.unmergeable(merged); err != nil {
			return nil, err
		}
		return s.enter(ctx, checked, merged.Unmerge(), asked)
	}
	c, err := s.enter(ctx, checked, merged, s.fitting(merged))
	var short *fault.Error
	if err == nil || !errors.As(err, &short) || short.Code != fault.IOMemory || s.unmergeable(merged) != nil {
		return c, err
	}
	return s.enter(ctx, checked, merged.Unmerge(), fmt.Sprintf("merged, %s", short.Cause))
}

// maxReasons bounds how many reasons are kept in memory.
const maxReasons = 4096

func (s *Serving) rememberReason(decision int64, reason string) {
	s.state.Lock()
	defer s.state.Unlock()
	if len(s.reasons) >= maxReasons {
		clear(s.reasons)
	}
	s.reasons[decision] = reason
}

// why is the reason of the mode of a generation that comes back: the one that it had, or, where that was in an earlier life of the host, what
// can be told of it now.
func (s *Serving) why(a registry.Activation, g *generation) string {
	s.state.RLock()
	reason, known := s.reasons[a.Decision]
	s.state.RUnlock()
	if known {
		return reason
	}
	merged := g.plan
	if g.plan.Unmerged {
		var err error
		if merged, err = merge.NewPlan(g.binding, 1); err != nil {
			return "it was loaded so"
		}
	}
	fits := s.memory == 0 || merged.Bytes() <= s.memory
	switch {
	case g.plan.Unmerged && fits:
		return "it was loaded so, though merged its bytes would fit"
	case g.plan.Unmerged:
		return fmt.Sprintf("merged, its %d bytes do not fit the %d for generations", merged.Bytes(), s.memory)
	case !fits:
		return fmt.Sprintf("it was loaded so, though its %d bytes are more than the %d for generations", merged.Bytes(), s.memory)
	}
	return s.fitting(merged)
}

// fitting is the reason of a plan that is merged because it can be.
func (s *Serving) fitting(merged *merge.Plan) string {
	if s.memory > 0 {
		return fmt.Sprintf("its %d bytes fit the %d for generations", merged.Bytes(), s.memory)
	}
	return "it fits the memory"
}

// enter finds room for one plan of an adapter.
func (s *Serving) enter(ctx context.Context, checked *Checked, plan *merge.Plan, reason string) (*chosen, error) {
	g := &generation{binding: checked.Binding, plan: plan}
	in, err := s.admit(ctx, g, s.memory)
	if err != nil {
		return nil, err
	}
	checked.Plan = plan
	if in == g {
		g.owner = checked.keepOpen()
	}
	return &chosen{generation: in, reason: reason, owns: in == g}, nil
}

// unmergeable refuses to leave unmerged what the backend cannot.
func (s *Serving) unmergeable(p *merge.Plan) error {
	if !s.described.Unmerged {
		return fault.New(fault.UsageFlag, "backend %q cannot serve an adapter that is not merged", s.described.Name).Fix("load it with mode merged")
	}
	if err := p.RefuseUnmerged(); err != nil {
		return err
	}
	for _, item := range p.Items {
		if isLookedUp(item.Name) {
			return fault.New(fault.UsageFlag, "a weight that is looked up, not multiplied with, can only be merged").In(p.Adapter.Ref).Of(item.Name).
				Fix("load it with mode merged")
		}
	}
	return nil
}

// isLookedUp tells that rows of a tensor are looked up by token or position.
func isLookedUp(tensor string) bool {
	return slices.ContainsFunc([]string{"embed_tokens.weight", "wte.weight", "wpe.weight"}, func(end string) bool { return strings.HasSuffix(tensor, end) })
}

// keepOpen hands what c holds open to somebody else, who closes it.
func (c *Checked) keepOpen() io.Closer {
	kept := &Checked{closers: c.closers}
	c.closers = nil
	return kept
}
