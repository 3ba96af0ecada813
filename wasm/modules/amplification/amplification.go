package main

import (
	"errors"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

func diagnose(run *diag.Run) error {
	for _, target := range run.Targets() {
		if err := measure(target); err != nil {
			return err
		}
	}
	return nil
}

// measure reports Table 7 for one weight, with k the numerical rank of delta W, and U, V its singular vectors (diagnostics A.4). A number
// that does not exist is left out; one that divides by the norm of a W of zeros is Inf or NaN, as the division says.
func measure(target diag.Target) error {
	base, ok := target.Base()
	if !ok {
		return errors.New(target.Name + " has no base weight to measure against")
	}
	stats, err := base.Stats()
	if err != nil {
		return err
	}
	if bad := stats.NaN + stats.Inf; bad > 0 {
		undefined(target, diag.Warn, "the base weight holds values that are not finite", "download the base model again", float64(bad))
		return nil
	}
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
	k := len(delta.S)
	baseNorm, deltaNorm := math.Sqrt(stats.SumSquares), norm(delta.S)
	target.Metric("rank", float64(k))
	target.Metric("delta_norm", deltaNorm)
	target.Metric("base_norm", baseNorm)
	target.Metric("norm_ratio", deltaNorm/baseNorm)
	if k == 0 {
		undefined(target, diag.Info, "delta W is zero, so it has no directions to amplify", "see the findings of hygiene for this weight", 0)
		return nil
	}
	projected, err := projectionNorm(base, delta)
	if err != nil {
		return err
	}
	top, err := target.BaseSVD(k)
	switch {
	case errors.Is(err, abi.Range): // the host computes so many for no adapter
		target.Finding(diag.Info, "BASE_SVD_LIMIT",
			"the delta has more directions than singular vectors of W are computed, so projection_norm_base is left out",
			"compress the adapter to a smaller rank", float64(k), 0)
	case err != nil:
		return err
	default:
		top.Drop()
		target.Metric("projection_norm_base", norm(top.S))
	}
	// The root mean square of the norm of U' W V over random U and V: exact for every W.
	random := baseNorm * float64(k) / math.Sqrt(float64(target.Out)*float64(target.In))
	target.Metric("projection_norm", projected)
	target.Metric("projection_norm_random", random)
	target.Metric("amplification", deltaNorm/projected)
	target.Metric("amplification_random", deltaNorm/random)
	target.Metric("alignment_lift", projected/random)
	return nil
}

func undefined(target diag.Target, severity abi.Severity, message, hint string, value float64) {
	target.Finding(severity, "AMPLIFICATION_UNDEFINED", message, hint, value, 0)
}

// projectionNorm is the Frobenius norm of U' W V.
func projectionNorm(w diag.Tensor, delta diag.Triples) (float64, error) {
	p, err := diag.Project(w, delta.U, delta.V)
	if err != nil {
		return 0, err
	}
	defer p.Drop()
	values, err := p.Values()
	return norm(values), err
}

func norm(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v * v
	}
	return math.Sqrt(sum)
}
