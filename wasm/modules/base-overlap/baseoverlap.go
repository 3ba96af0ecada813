// Package baseoverlap is the diagnostic that answers "does it repeat what the base already does?": how far the directions of delta W lie
// in the top directions of W, Figure 8 of the LoRA paper, beside what random directions would give.
package baseoverlap

import (
	"errors"
	"math"
	"strconv"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/basevectors"
	"github.com/tenon-ml/tenon/wasm/modules/internal/gaps"
)

// settings are the operator's.
type settings struct {
	share              float64
	gridBase, gridRank int
	phiLimit, zLimit   float64
}

// tally sums up the weights.
type tally struct {
	measured, repeated int
	most               float64 // the largest φ of those repeated
	missing            bool    // no singular vectors of the base were granted
}

// Diagnose looks at one adapter.
func Diagnose(run *diag.Run) error {
	set := settings{
		share: run.Param("share"), gridBase: whole(run.Param("grid_base")), gridRank: whole(run.Param("grid_rank")),
		phiLimit: run.Param("phi_limit"), zLimit: run.Param("z_limit"),
	}
	var sum tally
	for _, target := range run.Targets() {
		if err := measure(target, set, &sum); err != nil {
			return err
		}
	}
	if sum.missing {
		run.Finding(diag.Info, "BASE_OVERLAP_UNDEFINED",
			"the singular vectors of the base were not granted, so whether the adapter repeats what the base already does is unknown",
			"use the policy full, or grant base and base_svd to base-overlap", 0, 0)
	}
	if 2*sum.repeated > sum.measured {
		run.Finding(diag.Info, "BASE_TOP_DIRECTIONS",
			"in "+strconv.Itoa(sum.repeated)+" of "+strconv.Itoa(sum.measured)+" weights the first directions of the change lie mostly in what "+
				"the base does most, far beyond chance: it turns existing behaviour up or down",
			"nothing is wrong with that; if the adapter was meant to add something new, test for it", sum.most, set.phiLimit)
	}
	return nil
}

func whole(setting float64) int {
	if setting >= 1 {
		return int(min(setting, 1<<20))
	}
	return 0
}

// measure reports Figure 8 for one weight.
func measure(target diag.Target, set settings, sum *tally) error {
	delta, err := target.DeltaSVD()
	if errors.Is(err, abi.Numeric) {
		undefined(target, diag.Warn, "delta W has no singular value decomposition: "+err.Error(), "see the findings of hygiene for this weight")
		return nil
	}
	if err != nil {
		return err
	}
	defer delta.Drop()
	if len(delta.S) == 0 {
		undefined(target, diag.Info, "delta W is zero, so it has no directions", "see the findings of hygiene for this weight")
		return nil
	}
	base, err := basevectors.Top(target, topCount(set.share, min(target.In, target.Out)))
	switch {
	case basevectors.Missing(err):
		sum.missing = true
		return nil
	case errors.Is(err, abi.Numeric):
		undefined(target, diag.Warn, "the base weight has no singular value decomposition: "+err.Error(), "download the base model again")
		return nil
	case err != nil:
		return err
	}
	defer base.Drop()
	rank := basevectors.Rank(base.S, max(target.In, target.Out))
	if rank == 0 {
		undefined(target, diag.Info, "the base weight is all zeros, so it has no directions",
			"check that this weight of the base is meant to be zero")
		return nil
	}
	target.Metric("phi_base_rank", float64(rank))
	right, err := compare(target, set, side{"phi_base", base.V, delta.V, rank, len(base.S), len(delta.S), target.In})
	if err != nil {
		return err
	}
	left, err := compare(target, set, side{"phi_base_left", base.U, delta.U, rank, len(base.S), len(delta.S), target.Out})
	if err != nil {
		return err
	}
	sum.measured++
	if most := max(left, right); most > set.phiLimit {
		sum.repeated++
		sum.most = max(sum.most, most)
	}
	if err := reportGaps(target, delta.S, set.gridRank); err != nil {
		return err
	}
	return compareRandom(target, set, base, rank, len(delta.S))
}

// reportGaps reports how far each singular value of delta W is from the next, beside the first, and which of these gaps are below the noise
// of the stored factors: the cut after such a direction is arbitrary, φ there means nothing, and a figure greys it (diagnostics A.6).
func reportGaps(target diag.Target, s []float64, limit int) error {
	k := min(len(s), limit)
	if k < 1 {
		return nil
	}
	a, err := target.A().Stats()
	if err != nil {
		return err
	}
	b, err := target.B().Stats()
	if err != nil {
		return err
	}
	noise := gaps.Noise(target, math.Sqrt(a.SumSquares), math.Sqrt(b.SumSquares))
	target.Grid("gap", 1, k, gaps.Of(s)[:k])
	target.Grid("grey", 1, k, gaps.Grey(s, noise)[:k])
	return nil
}

// topCount is share of n directions, rounded up; what a decimal share misses by in binary does not count.
func topCount(share float64, n int) int {
	return int(min(max(math.Ceil(share*float64(n)-1e-9), 1), float64(n)))
}

func undefined(target diag.Target, severity abi.Severity, message, hint string) {
	target.Finding(severity, "BASE_OVERLAP_UNDEFINED", message, hint, 0, 0)
}
