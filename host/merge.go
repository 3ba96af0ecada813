package host

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// MergeRequest asks for a merged checkpoint on disk.
type MergeRequest struct {
	Adapter  string
	Scale    float64       // factor on the adapter's own scale; 1 leaves it alone
	Others   []Portion     // further adapters, which are combined with it
	Mixture  merge.Mixture // how; with a method it also applies to one adapter alone
	Base     string
	With     []string
	Out      string
	Override string // reason for merging without a check; "" checks
	DType    string // how a GGUF file stores merged matrices: "q8_0", "f16", "bf16" or "f32"; "" and "keep" leave each as it is

	ShardBytes int64                // most bytes of tensors in one file; 0 keeps the base's shards
	Progress   func(merge.Progress) // hears how far the writing is, from several goroutines; may be nil
}

// Portion is an adapter and the factor on its own scale.
type Portion struct {
	Adapter string
	Scale   float64
}

// combines reports whether the change is computed from those of the adapters, and not one adapter's own.
func (r *MergeRequest) combines() bool { return len(r.Others) > 0 || r.Mixture.Method != "" }

// Merge checks an adapter and, when the gate is open, writes the merged checkpoint. A closed gate is an answer: the report comes back and
// the receipt is nil. With an Override no diagnostic runs and the report is nil; the reason goes into the receipt. A merge that another run
// can end gives a *merge.Interrupted.
//
// Of several adapters each is checked beside the others, at the scales they are merged with, and all gates must be open: the report is of the first
// that is closed, or otherwise of the one that has most to say against it.
func (h *Host) Merge(ctx context.Context, r MergeRequest) (*merge.Receipt, *report.Report, error) {
	b, err := h.OpenBase(r.Base)
	if err != nil {
		return nil, nil, err
	}
	defer b.Close()
	if err := r.fits(b); err != nil {
		return nil, nil, err
	}
	decision := merge.ReceiptGate{Override: r.Override}
	checked, err := h.checkAll(ctx, b, r)
	if err != nil {
		return nil, nil, err
	}
	defer checked.Close()
	if checked.Plan == nil {
		return nil, checked.Report, nil
	}
	if r.Override == "" {
		decision.Verdict, decision.Policy = checked.Report.Verdict, checked.Report.Policy
	} else {
		for _, portion := range r.portions() {
			h.log.Warn("the gate was overridden", "adapter", portion.Adapter, "reason", r.Override)
		}
	}
	for _, note := range checked.Plan.Notes {
		h.log.Warn("merge", "note", note.Cause, "adapter", note.File, "tensor", note.Tensor)
	}
	if b.GGUF() != nil {
		receipt, err := checked.Plan.WriteGGUF(ctx, merge.GGUFOutput{Path: r.Out, DType: r.DType, Gate: decision, Progress: r.Progress})
		return receipt, checked.Report, err
	}
	supervisor, err := backend.Start(ctx, h.backend, backend.Options{
		Log:     h.log,
		Restore: func(context.Context, backendpb.BackendClient) error { return nil }, // a merge to disk needs nothing resident
	})
	if err != nil {
		return nil, checked.Report, err
	}
	defer supervisor.Stop(context.WithoutCancel(ctx))
	client, err := supervisor.Client(ctx)
	if err != nil {
		return nil, checked.Report, err
	}
	described, err := h.describe(ctx, client)
	if err == nil {
		err = h.merges(described, checked.Plan)
	}
	if err != nil {
		return nil, checked.Report, err
	}
	receipt, err := checked.Plan.Write(ctx, client, merge.Output{Dir: r.Out, Gate: decision, ShardBytes: r.ShardBytes, Progress: r.Progress})
	if status.Code(err) == codes.Unimplemented {
		err = fault.New(fault.UsageFlag, "backend %q does not merge into files", h.backend.Name).Wrap(err).Fix("use --backend cpu")
	}
	return receipt, checked.Report, err
}
