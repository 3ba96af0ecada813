package host

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/host/backend"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/probe"
	"github.com/tenon-ml/tenon/host/report"
)

// chooseProbe is what is asked: the file that was given, or the one that the policy names. Two different ones are refused, since neither
// may silently stand for the other.
func chooseProbe(o Options) (*probe.File, error) {
	if o.Policy.Probe == "" {
		return o.Probe, nil
	}
	asked, err := probe.Load(o.Policy.Probe)
	if err == nil && o.Probe != nil && o.Probe.Digest != asked.Digest {
		err = fault.New(fault.UsageFlag, "policy %s asks the probes of %s, and others were given", o.Policy.Name, o.Policy.Probe).In(o.Probe.Path).
			Fix("leave --probe out, or give a policy that names no probes")
	}
	return asked, err
}

// ask stages the plan's generation in lab, where no alias means it, and runs the probes on it.
//
// A generation that cannot be staged because of what it is, and one whose predictions are not finite, are refused; then, and when the probes
// did not run to their end, refusal says why the gate must stay closed. err means that there is no answer at all. A backend that dies while it
// stages is asked again, as in every load; one that dies of a probe is not, since whatever is live dies with it each time.
func (h *Host) ask(ctx context.Context, checked *Checked, lab *laboratory) (_ *report.Probe, refusal, err error) {
	for attempt := 1; ; attempt++ {
		model, err := lab.model(ctx)
		if err != nil {
			return nil, nil, err
		}
		model.Progress = h.told(ctx, "probes")
		staged, err := checked.Plan.StageTelling(ctx, model.Client, h.told(ctx, "merge"))
		if backend.Unavailable(err) && attempt < attempts {
			pause(ctx)
			continue
		}
		if err != nil {
			lab.release(ctx, checked.Plan.Digest) // cut off, it may be complete
			refusal, err := unstaged(checked, err)
			return nil, refusal, err
		}
		checked.staged = staged
		answer, err := model.Run(ctx, checked.Plan.Digest, h.probe)
		switch {
		case err == nil, answer != nil:
			return answer, err, nil
		case ctx.Err() != nil:
			return nil, nil, fault.New(fault.Canceled, "the check was stopped before it had a result").In(checked.Binding.Adapter.Ref).Wrap(ctx.Err())
		case status.Code(err) == codes.NotFound && attempt < attempts:
			continue // the backend is a new one, or another load of the same bytes was refused and took them away
		case len(fault.All(err)) > 0 && fault.ClassOf(err) == fault.Usage:
			return nil, nil, err
		}
		return nil, fault.New(fault.ProbeFailed, "the probes did not run to their end").In(h.probe.Path).Wrap(err).
			Fix("check again; if it fails every time, try fewer or shorter probes"), nil
	}
}

// unstaged sorts out why a generation could not be staged: because of what it is, or for a reason that has nothing to do with it.
func unstaged(checked *Checked, err error) (refusal, failure error) {
	for _, item := range checked.Plan.Items {
		if math.IsInf(float64(float32(item.Scale)), 0) { // which no backend takes
			return fault.New(fault.ADOverflowOnMerge, "the scale %g is beyond the range of f32", item.Scale).Of(item.Name).Fix("lower the scale"), nil
		}
	}
	switch {
	case len(fault.All(err)) > 0 && fault.ClassOf(err) == fault.Rejected:
		return err, nil
	case status.Code(err) == codes.OutOfRange:
		return fault.New(fault.ADOverflowOnMerge, "the merged weights cannot be represented").In(checked.Binding.Adapter.Ref).Wrap(err).
			Fix("lower the scale, or merge into a wider dtype"), nil
	}
	return nil, backendFault(err)
}

// object closes the gate for a reason that no rule has seen. What was refused is denied; what did not run to its end leaves the verdict open
// to nobody: inconclusive, unless the rules denied already.
func object(r *report.Report, refusal error) {
	if refusal == nil {
		return
	}
	if fault.ClassOf(refusal) == fault.Rejected {
		r.Verdict = report.Deny
	} else if r.Verdict != report.Deny {
		r.Verdict = report.Inconclusive
	}
	for _, e := range fault.All(refusal) {
		f := report.Finding{Code: string(e.Code), Severity: report.DenySeverity, Target: e.Tensor, Message: e.Cause, Hint: e.Remedy}
		if e.Err != nil {
			f.Message = fmt.Sprintf("%s: %v", e.Cause, e.Err)
		}
		if !slices.ContainsFunc(r.Findings, func(o report.Finding) bool {
			return o.Code == f.Code && o.Target == f.Target && o.Severity == f.Severity
		}) {
			r.Findings = append(r.Findings, f) // a diagnostic may have said it, and better
		}
	}
	report.SortFindings(r.Findings)
}

// pause is a moment in which the death of a backend is noticed.
func pause(ctx context.Context) {
	select {
	case <-time.After(attemptPause):
	case <-ctx.Done():
	}
}
