// Package hygiene is the diagnostic that answers "is it broken, and does it do anything?": values that are not finite, factors of zeros,
// merged weights that overflow the base's dtype, an adapter whose every change is lost in rounding, and the traces of files that were put
// together wrongly: unused ranks, copied factors, factors as they were initialized.
package hygiene

import (
	"math"
	"strconv"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

// effect is what a target's delta does to its weight.
type effect int

const (
	changes effect = iota // some weight changes, or it cannot be told because a factor is not finite
	rounded               // the delta is not zero, and every merged weight rounds back to the base's
	zero                  // the delta is zero
)

// Diagnose looks at one adapter.
func Diagnose(run *diag.Run) error {
	merged := run.Param("merged") != 0
	counts := map[effect]int{}
	var survey survey
	for _, target := range run.Targets() {
		e, err := check(target, merged, &survey)
		if err != nil {
			return err
		}
		counts[e]++
	}
	if targets := len(run.Targets()); counts[changes] == 0 && targets > 0 {
		message := "the delta of every adapted weight is zero: merging changes nothing"
		if counts[rounded] > 0 {
			message = "no weight changes: every delta is zero or lost when the merged weight is rounded to the base's dtype"
		}
		run.Finding(diag.Deny, "AD_NO_EFFECT", message,
			"check that this is the trained adapter and not its initialization, and that its scale (alpha / r) is right", float64(targets), 0)
	}
	return survey.report(run)
}

// check looks at one target. Each factor is read once, and W once where merged asks for it and the operator granted it.
func check(target diag.Target, merged bool, survey *survey) (effect, error) {
	a, err := target.A().Stats()
	if err != nil {
		return changes, err
	}
	b, err := target.B().Stats()
	if err != nil {
		return changes, err
	}
	brokenA := reportNonFinite(target, "A", a, target.In)
	brokenB := reportNonFinite(target, "B", b, target.Rank)
	brokenScale := reportScale(target)
	if brokenA || brokenB || brokenScale {
		return changes, nil
	}
	if reason := zeroFactor(target, a, b); reason != "" {
		reportZero(target, reason)
		return zero, nil
	}
	unused, err := deadRanks(target, a, b)
	if err != nil {
		return changes, err
	}
	if unused == target.Rank {
		reportZero(target, zeroProduct)
		return zero, nil
	}
	survey.add(target, a, b, unused)
	if _, ok := target.Base(); !ok || !merged {
		return changes, nil
	}
	loss, err := target.RoundLoss(0)
	if err != nil {
		return changes, err
	}
	return reportLoss(target, loss), nil
}

// reportNonFinite reports whether the factor, of cols columns, holds a NaN or an infinity.
func reportNonFinite(target diag.Target, factor string, stats abi.Stats, cols int) bool {
	bad := stats.NaN + stats.Inf
	if bad == 0 {
		return false
	}
	target.Finding(diag.Deny, "AD_NONFINITE",
		"factor "+factor+" has "+count(stats.NaN)+" NaN and "+count(stats.Inf)+" Inf among "+count(stats.Count)+" values; the first at index "+
			count(stats.FirstNonFinite)+place(stats.FirstNonFinite, cols),
		"export the adapter again from a checkpoint whose loss was finite; no scale repairs it", float64(bad), 0)
	return true
}

// reportScale reports whether the scale is no number to multiply by. A scale that the configuration contradicts is only a warning.
func reportScale(target diag.Target) bool {
	if math.IsNaN(target.Scale) || math.IsInf(target.Scale, 0) {
		target.Finding(diag.Deny, "AD_SCALE", "the scale of delta W is not finite", "correct lora_alpha and r in the configuration", target.Scale, 0)
		return true
	}
	if target.Alpha == 0 || target.Rank == 0 {
		return false
	}
	rank, rule := float64(target.Rank), "alpha / r"
	if target.RsLoRA {
		rank, rule = math.Sqrt(rank), "alpha / sqrt(r)"
	}
	if want := target.Alpha / rank; !(math.Abs(target.Scale-want) <= 1e-6*math.Abs(want)) {
		target.Finding(diag.Warn, "AD_SCALE", "the scale is "+number(target.Scale)+", and "+rule+" of the configuration is "+number(want),
			"make sure that the change is meant to be that strong", target.Scale, want)
	}
	return false
}

// zeroProduct is why a delta is zero though neither factor is.
const zeroProduct = "the product of the factors is zero"

// zeroFactor says why the delta is zero by its factors alone, or nothing.
func zeroFactor(target diag.Target, a, b abi.Stats) string {
	zeroA, zeroB := a.Zero == a.Count, b.Zero == b.Count
	switch {
	case zeroA && zeroB:
		return "factors A and B are all zeros"
	case zeroB:
		return "factor B is all zeros, as before the first step of training"
	case zeroA:
		return "factor A is all zeros"
	case target.Scale == 0:
		return "the scale is zero"
	}
	return ""
}

func reportZero(target diag.Target, reason string) {
	target.Finding(diag.Warn, "AD_ZERO", reason+": the delta of this weight is zero",
		"train it, or leave this module out of the adapter's target_modules", 0, 0)
}

// reportLoss reports what rounding to the base's dtype breaks, by the very arithmetic of the merge.
func reportLoss(target diag.Target, loss abi.RoundLoss) effect {
	if loss.Overflow > 0 {
		target.Finding(diag.Deny, "AD_OVERFLOW_ON_MERGE",
			count(loss.Overflow)+" of "+count(loss.Count)+" merged values do not fit "+dtypeName(target.BaseDType)+"; the first at index "+
				count(loss.FirstOverflow)+place(loss.FirstOverflow, target.In),
			"check lora_alpha and the rank, or merge with a smaller scale or into a wider dtype", float64(loss.Overflow), 0)
	}
	if loss.NonZero == 0 {
		reportZero(target, zeroProduct)
		return zero
	}
	if loss.Changed == 0 {
		return rounded
	}
	return changes
}

func place(index int64, cols int) string {
	return " (row " + count(index/int64(cols)) + ", column " + count(index%int64(cols)) + ")"
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

func number(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

func dtypeName(d abi.DType) string {
	switch d {
	case abi.DTypeF16:
		return "F16"
	case abi.DTypeBF16:
		return "BF16"
	case abi.DTypeF32:
		return "F32"
	case abi.DTypeF64:
		return "F64"
	}
	return "the base's dtype"
}
