package host

import (
	"context"
	"errors"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/report"
)

// portions are all adapters of a request.
func (r *MergeRequest) portions() []Portion {
	return append([]Portion{{r.Adapter, r.Scale}}, r.Others...)
}

// checkAll is the flow up to the plan of a merge: every adapter checked beside the others or, with an override, only bound. Without a plan the report
// says why there is none. The caller closes the result.
func (h *Host) checkAll(ctx context.Context, b *base.Base, r MergeRequest) (_ *Checked, err error) {
	all := &Checked{}
	defer func() {
		if err != nil {
			err = errors.Join(err, all.Close())
		}
	}()
	if err := r.Mixture.Check(); err != nil {
		return nil, err
	}
	var parts []merge.Portion
	portions := r.portions()
	if len(portions) > merge.MaxPortions {
		return nil, fault.New(fault.UsageFlag, "%d adapters are more than the %d that are combined", len(portions), merge.MaxPortions)
	}
	if refused, err := h.firstRefused(ctx, b, portions); err != nil || refused != nil {
		return refused, err
	}
	for i, portion := range portions {
		one, err := h.checkPortion(ctx, b, r, portions, i)
		if err != nil {
			return nil, err
		}
		all.closers = append(all.closers, one)
		if one.Binding != nil {
			all.closers = append(all.closers, one.Binding) // and what was derived from the adapter
		}
		if one.Plan == nil || r.Override == "" && !one.Report.Verdict.Open() {
			all.Report, all.Plan = one.Report, nil
			return all, nil
		}
		if all.Report == nil || one.Report != nil && one.Report.Verdict == report.WarnVerdict && all.Report.Verdict != report.WarnVerdict {
			all.Report = one.Report
		}
		all.Plan = one.Plan
		parts = append(parts, merge.Portion{Binding: one.Binding, Scale: portion.Scale})
	}
	if r.combines() {
		if all.Plan, err = merge.CombineTelling(ctx, parts, r.Mixture, h.told(ctx, "combine")); err != nil {
			return nil, err
		}
		all.closers = append(all.closers, all.Plan)
	}
	return all, nil
}

// firstRefused is the first of several adapters that cannot be bound to the base: the others need not be checked beside it. nil where there is none.
func (h *Host) firstRefused(ctx context.Context, b *base.Base, portions []Portion) (*Checked, error) {
	if len(portions) == 1 {
		return nil, nil
	}
	for _, portion := range portions {
		bound, err := h.bind(ctx, b, portion.Adapter, portion.Scale)
		if err != nil {
			return nil, err
		}
		if bound.Plan == nil {
			return bound, nil
		}
		if err := errors.Join(bound.Close(), bound.Binding.Close()); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// checkPortion checks one adapter with the others as its peers, at the scales that they are merged with. With an override it is only bound: what cannot
// be bound cannot be merged, whatever the reason given.
func (h *Host) checkPortion(ctx context.Context, b *base.Base, r MergeRequest, portions []Portion, i int) (*Checked, error) {
	if r.Override != "" {
		return h.bind(ctx, b, portions[i].Adapter, portions[i].Scale)
	}
	var peers []*adapter.Binding
	for j, other := range portions {
		if j == i {
			continue
		}
		peer, err := openAdapter(ctx, other.Adapter, b)
		if err != nil {
			for _, open := range peers {
				err = errors.Join(err, open.Close())
			}
			return nil, err
		}
		peers = append(peers, scaled(peer, other.Scale))
	}
	checked, err := h.checkAlone(ctx, b, question{ref: portions[i].Adapter, scale: portions[i].Scale, with: r.With, live: peers})
	for _, peer := range peers {
		err = errors.Join(err, peer.Close())
	}
	if err != nil && checked != nil {
		err = errors.Join(err, checked.Close())
	}
	return checked, err
}
