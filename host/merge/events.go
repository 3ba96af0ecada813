package merge

import (
	"crypto/sha256"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// events holds what a backend reports against what it was asked for.
type events struct {
	planned  map[string]Item
	seen     map[string]bool
	overflow fault.List
}

func newEvents(n int) *events {
	return &events{planned: make(map[string]Item, n), seen: make(map[string]bool, n)}
}

// take refuses an event of a tensor that was not asked for, comes twice, or has no digest where it needs one, and notes an overflow.
func (e *events) take(event *backendpb.MergeEvent, needsDigest bool) error {
	item, ok := e.planned[event.Tensor]
	digest := len(event.Sha256) == sha256.Size || len(event.Sha256) == 0 && !needsDigest
	if !ok || e.seen[event.Tensor] || !digest || event.Changed < 0 || event.NonFinite < 0 {
		return fault.New(fault.MergeMismatch, "the backend reported a tensor that was not asked for, twice, without a digest, or with a negative count").
			Of(event.Tensor).Fix("do not use this backend; run its conformance test")
	}
	e.seen[event.Tensor] = true
	if event.NonFinite > 0 {
		e.overflow.Add(fault.New(fault.ADOverflowOnMerge, "%d merged values do not fit %v", event.NonFinite, item.Base.DType).
			Of(item.Name).Fix("lower the scale, or merge into a wider dtype"))
	}
	return nil
}

// end is called when the backend has ended without an error. Every item of the plan that it was asked for must have come.
func (e *events) end(p *Plan) error {
	if err := e.overflow.Err(); err != nil {
		return err
	}
	for _, item := range p.Items {
		if _, asked := e.planned[item.Name]; asked && !e.seen[item.Name] {
			return mismatch(item, "the backend ended without merging this tensor")
		}
	}
	return nil
}

// refuseNoEffect refuses a merge that changed no entry: it would be a copy of the base under another name.
func (p *Plan) refuseNoEffect(changed int64) error {
	if changed > 0 {
		return nil
	}
	return fault.New(fault.ADNoEffect, "merging changes no entry of any tensor: every delta is lost in rounding").In(p.Adapter.Ref).
		Fix("the adapter is too weak for this base's dtype: serve it unmerged, or raise its scale")
}
