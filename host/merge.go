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
	Scale    float64 // factor on the adapter's own scale; 1 leaves it alone
	Base     string
	With     []string
	Out      string
	Override string // reason for merging without a check; "" checks

	ShardBytes int64                // most bytes of tensors in one file; 0 keeps the base's shards
	Progress   func(merge.Progress) // hears how far the writing is, from several goroutines; may be nil
}

// Merge checks an adapter and, when the gate is open, writes the merged checkpoint. A closed gate is an answer: the report comes back and
// the receipt is nil. With an Override no diagnostic runs and the report is nil; the reason goes into the receipt. A merge that another run
// can end gives a *merge.Interrupted.
func (h *Host) Merge(ctx context.Context, r MergeRequest) (*merge.Receipt, *report.Report, error) {
	b, err := h.OpenBase(r.Base)
	if err != nil {
		return nil, nil, err
	}
	defer b.Close()
	var checked *Checked
	decision := merge.ReceiptGate{Override: r.Override}
	if r.Override == "" {
		if checked, err = h.checkAlone(ctx, b, question{ref: r.Adapter, scale: r.Scale, with: r.With}); err != nil {
			return nil, nil, err
		}
		defer checked.Close()
		if !checked.Report.Verdict.Open() {
			return nil, checked.Report, nil
		}
		decision.Verdict, decision.Policy = checked.Report.Verdict, checked.Report.Policy
	} else {
		// What cannot be bound cannot be merged, whatever the reason given.
		if checked, err = h.bind(ctx, b, r.Adapter, r.Scale); err != nil {
			return nil, nil, err
		}
		defer checked.Close()
		if checked.Plan == nil {
			return nil, checked.Report, nil
		}
		h.log.Warn("the gate was overridden", "adapter", r.Adapter, "reason", r.Override)
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
