// Package amplification is the diagnostic that answers "is it too strong, and for which directions?": the columns of Table 7 of the LoRA
// paper for every adapted weight, each beside what random directions would give.
package amplification

import (
	"errors"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/basevectors"
)

// Diagnose looks at one adapter.
func Diagnose(run *diag.Run) error {
	samples := 0
	if asked := run.Param("samples"); asked > 0 {
		samples = int(min(asked, maxColumnValues))
	}
	granted := true
	for _, target := range run.Targets() {
		base, ok := target.Base()
		granted = granted && ok
		if err := measure(target, base, ok, samples); err != nil {
			return err
		}
	}
	if !granted {
		run.Finding(diag.Info, "AMPLIFICATION_UNDEFINED",
			"the weights of the base were not to be read, so how strong the change is beside them is unknown",
			"grant base to amplification in the policy", 0, 0)
	}
	return nil
}

// measure reports Table 7 for one weight, with k the numerical rank of delta W, and U, V its singular vectors (diagnostics A.4). A number
// that does not exist is left out.
func measure(target diag.Target, base diag.Tensor, granted bool, samples int) error {
	delta, err := target.DeltaSVD()
	if errors.Is(err, abi.Numeric) {
		undefined(target, diag.Warn, "delta W has no singular value decomposition: "+err.Error(),
			"see the findings of hygiene for this weight", 0)
		return nil
	}
	if err != nil {
		return err
	}
	defer delta.Drop()
	if !granted {
		target.Metric("rank", float64(len(delta.S)))
		target.Metric("delta_norm", norm(delta.S))
		return nil
	}
	if len(delta.S) == 0 {
		return withoutDirections(target, base)
	}
	seen, err := pass(target, base, delta, samples)
	if err != nil {
		return err
	}
	if !reportNorms(target, seen.stats, delta.S) {
		return nil
	}
	return reportDirections(target, delta.S, seen)
}

// withoutDirections reports what there is to say of a delta of zeros.
func withoutDirections(target diag.Target, base diag.Tensor) error {
	stats, err := base.Stats()
	if err != nil {
		return err
	}
	if reportNorms(target, stats, nil) {
		message := "delta W is zero, so it has no directions to amplify"
		if stats.SumSquares == 0 {
			message += ", and W is zero too, so there is no ratio of the two"
		}
		undefined(target, diag.Info, message, "see the findings of hygiene for this weight", 0)
	}
	return nil
}

// reportNorms reports how large delta W is beside W. It is false where W is broken.
func reportNorms(target diag.Target, stats abi.Stats, s []float64) bool {
	if bad := stats.NaN + stats.Inf; bad > 0 {
		undefined(target, diag.Warn, "the base weight holds values that are not finite", "download the base model again", float64(bad))
		return false
	}
	baseNorm, deltaNorm := math.Sqrt(stats.SumSquares), norm(s)
	target.Metric("rank", float64(len(s)))
	target.Metric("delta_norm", deltaNorm)
	target.Metric("base_norm", baseNorm)
	if ratio := deltaNorm / baseNorm; !math.IsNaN(ratio) {
		target.Metric("norm_ratio", ratio)
	}
	return true
}

// reportDirections reports what W does along the directions of delta W, beside random ones and beside the best ones.
func reportDirections(target diag.Target, s []float64, seen *projection) error {
	k, energy := len(s), seen.stats.SumSquares
	baseNorm, deltaNorm := math.Sqrt(energy), norm(s)
	// The root mean square of the norm of U' W V over random U and V: exact for every W.
	random := baseNorm * float64(k) / math.Sqrt(float64(target.Out)*float64(target.In))
	projected := norm(seen.own)
	target.Metric("projection_norm", projected)
	target.Metric("projection_norm_random", random)
	if seen.samples > 0 {
		target.Metric("projection_norm_sampled", seen.sampled)
		target.Metric("projection_norm_samples", float64(seen.samples))
	}
	top, err := baseValues(target, k)
	if err != nil {
		return err
	}
	if top != nil {
		target.Metric("projection_norm_base", norm(top))
	}
	if baseNorm == 0 {
		undefined(target, diag.Info, "the base weight is all zeros, so there is nothing to amplify: all of the merged weight is the adapter",
			"check that this weight of the base is meant to be zero", 0)
		return nil
	}
	// What a sum of so many products can be of rounding alone counts as nothing.
	noise := 0x1p-52 * float64(max(target.In, target.Out)) * baseNorm
	if projected > noise {
		target.Metric("amplification", deltaNorm/projected)
	} else {
		undefined(target, diag.Info,
			"the base weight does nothing along the directions of delta W, so no factor says how much stronger they become",
			"read norm_ratio instead", 0)
	}
	target.Metric("amplification_random", deltaNorm/random)
	if top != nil {
		target.Metric("fraction_of_max", projected/norm(top))
	}
	reportLift(target, projected/random, k, seen.fourth(energy, min(target.In, target.Out), top), energy)
	reportGains(target, s, seen.own, baseNorm, noise)
	return nil
}

// reportLift reports how many times more of W the directions of delta W catch than random ones, and how surprising that is: the squared
// lift has mean 1 over random directions, and its variance is known in closed form but for the sum of W's singular values to the fourth
// power, of which the pass gives an estimate.
func reportLift(target diag.Target, lift float64, k int, fourth, energy float64) {
	target.Metric("alignment_lift", lift)
	target.Metric("alignment_lift_null", 1)
	if variance := liftVariance(k, target.Out, target.In, fourth/(energy*energy)); fourth > 0 && variance > 0 {
		target.Metric("alignment_lift_z", (lift*lift-1)/math.Sqrt(variance))
	}
}

// reportGains reports for each direction of delta W how many times stronger it becomes, infinitely many where W does nothing along it, and
// what that would be for a random direction.
func reportGains(target diag.Target, s, own []float64, baseNorm, noise float64) {
	k := len(s)
	gain, random := make([]float64, k), make([]float64, k)
	size := math.Sqrt(float64(target.Out) * float64(target.In))
	for i, sigma := range s {
		gain[i] = math.Inf(1)
		if along := math.Abs(own[i*k+i]); along > noise {
			gain[i] = sigma / along
		}
		random[i] = sigma * size / baseNorm
	}
	target.Grid("gain", 1, k, gain)
	target.Grid("gain_random", 1, k, random)
}

// baseValues gives the top k singular values of W; nil where the policy grants none, or where the host computes fewer for no adapter.
func baseValues(target diag.Target, k int) ([]float64, error) {
	top, err := target.BaseSVD(k)
	switch {
	case errors.Is(err, abi.Range):
		target.Finding(diag.Info, "BASE_SVD_LIMIT",
			"the delta has more directions than singular vectors of W are computed, so projection_norm_base is left out",
			"compress the adapter to a smaller rank", float64(k), 0)
		return nil, nil
	case basevectors.Missing(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	top.Drop()
	return top.S, nil
}

func undefined(target diag.Target, severity abi.Severity, message, hint string, value float64) {
	target.Finding(severity, "AMPLIFICATION_UNDEFINED", message, hint, value, 0)
}

func norm(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += float64(v * v) // never fused, so that every machine gives the same bits
	}
	return math.Sqrt(sum)
}
