package host

import (
	"context"
	"log/slog"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/gate"
	"github.com/tenon-ml/tenon/host/merge"
	"github.com/tenon-ml/tenon/host/registry"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/telemetry"
)

// digestAttr says what a step or a line of the log is about, as a report names it.
func digestAttr(of string, digest [32]byte) slog.Attr {
	return slog.String(of, merge.DigestString(digest))
}

// openAdapter is the step that reads an adapter and binds it to a base. The binding may be there with an error.
func openAdapter(ctx context.Context, ref string, b *base.Base) (_ *adapter.Binding, err error) {
	ctx, end := telemetry.Step(ctx, telemetry.StepOpen)
	defer end(&err)
	binding, err := adapter.Load(ref, b)
	if binding != nil && binding.Adapter != nil {
		telemetry.About(ctx, digestAttr("adapter", binding.Adapter.Digest))
	}
	return binding, err
}

// judge is the step that runs the diagnostics and decides.
func (h *Host) judge(ctx context.Context, subject gate.Subject) (r *report.Report, err error) {
	ctx, end := telemetry.Step(ctx, telemetry.StepCheck, digestAttr("adapter", subject.Binding.Adapter.Digest))
	defer end(&err)
	if r, err = h.telling(ctx).Check(ctx, subject); err == nil {
		telemetry.About(ctx, slog.String("verdict", string(r.Verdict)))
	}
	return r, err
}

// writeDown is the step in which the ledger takes a change: the decision of truth.
func (s *Serving) writeDown(ctx context.Context, expected uint64, a registry.Activation) (_ registry.Activation, err error) {
	ctx, end := telemetry.Step(ctx, telemetry.StepCommit, slog.String("action", a.Action), digestAttr("generation", a.Generation))
	defer end(&err)
	return s.ledger.Commit(ctx, expected, a)
}
