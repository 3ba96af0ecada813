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
	reason := "it fits the memory"
	if s.memory > 0 {
		reason = fmt.Sprintf("its %d bytes fit the %d for generations", merged.Bytes(), s.memory)
	}
	c, err := s.enter(ctx, checked, merged, reason)
	var short *fault.Error
	if err == nil || !errors.As(err, &short) || short.Code != fault.IOMemory || s.unmergeable(merged) != nil {
		return c, err
	}
	return s.enter(ctx, checked, merged.Unmerge(), fmt.Sprintf("merged, %s", short.Cause))
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
