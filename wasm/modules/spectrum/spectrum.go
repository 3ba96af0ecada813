// Package spectrum is the diagnostic that answers "is its rank too large?": how the change of every adapted weight is spread over its
// directions, told from the singular values of delta W alone.
package spectrum

import (
	"errors"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/spread"
)

// Diagnose looks at one adapter.
func Diagnose(run *diag.Run) error {
	var spare spare
	for _, target := range run.Targets() {
		if err := measure(target, &spare); err != nil {
			return err
		}
	}
	spare.report(run)
	return nil
}

// measure reports how the singular values of one delta W are spread, each number under the name of its definition.
func measure(target diag.Target, spare *spare) error {
	singular, err := target.DeltaValues()
	if errors.Is(err, abi.Numeric) {
		undefined(target, diag.Warn, "delta W has no singular value decomposition: "+err.Error())
		spare.unknown = true
		return nil
	}
	if err != nil {
		return err
	}
	s, ok := spread.Of(singular)
	if !ok {
		undefined(target, diag.Info, "delta W is zero, so it has no spectrum")
		return nil
	}
	target.Metric("sigma_1", s.Sigma1)
	target.Metric("frobenius_norm", s.Norm)
	target.Metric("nuclear_norm", s.Nuclear)
	target.Metric("effective_rank", math.Exp(s.EntropyL1))
	target.Metric("effective_rank_energy", math.Exp(s.EntropyEnergy))
	target.Metric("entropy_l1", s.EntropyL1)
	target.Metric("stable_rank", s.Stable)
	target.Metric("participation_ratio", s.Participation)
	target.Metric("energy_rank_90", float64(s.Rank(0.90)))
	target.Metric("energy_rank_99", float64(s.Rank(0.99)))
	target.Metric("concentration", 1/s.Stable)
	target.Metric("concentration_l1", s.ConcentrationL1)
	if len(singular) > 1 && singular[1] > 0 {
		target.Metric("dominance", singular[0]/singular[1])
	}
	target.Grid("singular_values", 1, len(singular), singular)
	spare.add(target.Rank, s)
	return nil
}

func undefined(target diag.Target, severity abi.Severity, message string) {
	target.Finding(severity, "SPECTRUM_UNDEFINED", message, "see the findings of hygiene for this weight", 0, 0)
}
