// Package mergeloss is the diagnostic that answers "will it survive the merge?": how much of delta W is left once the merged weight is
// stored, in the base's own format and in others that it could be served in.
package mergeloss

import (
	"errors"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

// Diagnose looks at one adapter.
func Diagnose(run *diag.Run) error {
	set := newSettings(run)
	sum := newTally(set)
	for _, target := range run.Targets() {
		if err := measure(target, set, sum); err != nil {
			return err
		}
	}
	sum.report(run, set)
	return nil
}

// measure reports what each format leaves of one delta W.
func measure(target diag.Target, set settings, sum *tally) error {
	if _, ok := target.Base(); !ok {
		sum.withoutBase = true
		return nil
	}
	p := set.plan(target)
	if p.unfitted {
		sum.unfitted++
	}
	if len(p.formats) == 0 {
		return nil
	}
	m, err := look(target, p, set)
	if errors.Is(err, abi.Numeric) {
		undefined(target, diag.Warn, "delta W cannot be added to the weight: "+err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	all := m.losses[0].sum
	switch {
	case all.NonFinite > 0:
		undefined(target, diag.Warn, "the weight or its change holds values that are not finite")
		return nil
	case all.NonZero == 0:
		undefined(target, diag.Info, "delta W is zero, so there is nothing to lose")
		return nil
	case all.DeltaSquares == 0:
		undefined(target, diag.Info, "delta W is so small, or so large, that no share of it can be told")
		return nil
	}
	if m.share < 1 {
		target.Metric("merge_rows_share", m.share)
	}
	losses := m.losses
	if p.own {
		if left, ok := reportLoss(target, losses[0], m.share, ""); ok {
			sum.addOwn(target, left, m.share, set)
		}
		losses = losses[1:]
	}
	for i, w := range p.whatIfs {
		if left, ok := reportLoss(target, losses[i], m.share, "_"+w.name); ok {
			sum.addWhatIf(w, left, m.share)
		}
	}
	return nil
}

// reportLoss reports the numbers of one format, whose names end in suffix. It is false where there are none, because every change is too
// small to have a square, or nothing that fits the format is left.
func reportLoss(target diag.Target, l loss, share float64, suffix string) (abi.Rounding, bool) {
	r := l.sum
	if r.Overflow > 0 {
		target.Metric("merge_overflow"+suffix, float64(r.Overflow))
	}
	if !(r.DeltaSquares > 0) || math.IsInf(r.DeltaSquares, 1) {
		return r, false
	}
	target.Metric("merge_gain"+suffix, gain(r))
	target.Metric("merge_lost"+suffix, lost(r))
	target.Metric("merge_relerr"+suffix, relativeError(r))
	target.Metric("merge_cosine"+suffix, cosine(r))
	if suffix != "" {
		target.Metric("base_mismatch"+suffix, mismatch(r))
	}
	if share < 1 {
		target.Metric("merge_gain_error"+suffix, l.gainError(share))
		if suffix == "" {
			target.Metric("merge_lost_error", l.lostError(share))
			target.Metric("merge_relerr_error", l.errorError(share))
		}
	}
	return r, true
}

func undefined(target diag.Target, severity abi.Severity, message string) {
	target.Finding(severity, "MERGE_LOSS_UNDEFINED", message, "see the findings of hygiene for this weight", 0, 0)
}
