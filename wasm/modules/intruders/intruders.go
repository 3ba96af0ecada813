// Package intruders is the diagnostic that answers "does it take over?": how many of the strongest directions of W + delta W are like none
// of W's, the intruder dimensions of Shuttleworth and others. It informs; what such directions mean is contested.
package intruders

import (
	"errors"
	"math"
	"strconv"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/basevectors"
)

// settings are the operator's.
type settings struct {
	k   int
	eps float64
}

// tally sums up the weights.
type tally struct {
	directions, intruders, weights int
	bounded                        bool // of some weight not all directions of the base are known
	missing                        bool // no singular vectors of the base were granted
	spikes                         spikes
}

// Diagnose looks at one adapter.
func Diagnose(run *diag.Run) error {
	set := settings{k: 1, eps: run.Param("eps")}
	if k := run.Param("k"); k > 1 {
		set.k = int(min(k, 1<<20))
	}
	sum := tally{spikes: spikes{byName: map[string]*spikeKind{}}}
	for _, target := range run.Targets() {
		if err := measure(target, set, &sum); err != nil {
			return err
		}
	}
	sum.report(run, set)
	sum.spikes.report(run.Param("min_layers"))
	return nil
}

func (t *tally) report(run *diag.Run, set settings) {
	if t.missing {
		run.Finding(diag.Info, "INTRUDERS_UNDEFINED",
			"the singular vectors of the base were not granted, so how many directions of the merged weights are new to it is unknown",
			"use the policy full, or grant base and base_svd to intruders", 0, 0)
	}
	if t.intruders == 0 {
		return
	}
	count := strconv.Itoa(t.intruders)
	if t.bounded {
		count = "at most " + count
	}
	run.Finding(diag.Info, "INTRUDERS",
		count+" of the "+strconv.Itoa(t.directions)+" strongest directions of the merged weights, in "+strconv.Itoa(t.weights)+
			" weights, are like none of the base's: there the adapter is as strong as what the model knew",
		"this tells size, not harm; if the model must keep what it knew, test it on text that the adapter was not trained on, "+
			"also at a lower scale",
		float64(t.intruders)/float64(t.directions), 0)
}

// measure reports the intruders of one weight (diagnostics B.4).
func measure(target diag.Target, set settings, sum *tally) error {
	delta, err := target.DeltaValues()
	if errors.Is(err, abi.Numeric) {
		undefined(target, diag.Warn, "delta W has no singular values: "+err.Error(), "see the findings of hygiene for this weight")
		return nil
	}
	if err != nil {
		return err
	}
	if len(delta) == 0 {
		undefined(target, diag.Info, "delta W is zero, so the merged weight has the base's own directions",
			"see the findings of hygiene for this weight")
		return nil
	}
	smaller := min(target.In, target.Out)
	base, err := basevectors.Top(target, smaller)
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
	known := basevectors.Rank(base.S, max(target.In, target.Out))
	if known == 0 {
		undefined(target, diag.Info, "the base weight is all zeros, so it has no directions",
			"check that this weight of the base is meant to be zero")
		return nil
	}
	merged, err := target.MergedSVD(min(set.k, smaller))
	if errors.Is(err, abi.Numeric) {
		undefined(target, diag.Warn, "the merged weight has no singular value decomposition: "+err.Error(),
			"see the findings of hygiene for this weight")
		return nil
	}
	if err != nil {
		return err
	}
	defer merged.Drop()
	cosines, err := largestCosines(merged, base, known)
	if err != nil {
		return err
	}
	found := report(target, merged.S, cosines, set.eps)
	target.Metric("intruders_base_rank", float64(known))
	margin := delta[0] / base.S[0]
	target.Metric("spike_margin", margin)
	sum.spikes.add(target, margin)
	target.Metric("intruder_maxcos_null", randomCosine(known, target.Out))
	sum.directions += len(cosines)
	sum.intruders += found
	if found > 0 {
		sum.weights++
		sum.bounded = sum.bounded || known == len(base.S) && known < smaller
	}
	return nil
}

// largestCosines gives for each left direction of the merged weight its largest absolute cosine with the first known ones of the base.
func largestCosines(merged, base diag.Triples, known int) ([]float64, error) {
	product, err := diag.MatMul(merged.U, base.U, diag.TransposeA)
	if err != nil {
		return nil, err
	}
	defer product.Drop()
	values, err := product.Values()
	if err != nil {
		return nil, err
	}
	cosines := make([]float64, len(merged.S))
	for i := range cosines {
		for _, c := range values[i*len(base.S):][:known] {
			cosines[i] = max(cosines[i], min(math.Abs(c), 1))
		}
	}
	return cosines, nil
}

// sweep is where else the threshold is put: what counts as an intruder is a choice.
var sweep = []float64{0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}

// report reports the count at eps and along the sweep, and gives the count.
func report(target diag.Target, s, cosines []float64, eps float64) int {
	found, share := count(s, cosines, eps)
	target.Metric("intruders", float64(found))
	target.Metric("intruder_energy_share", share)
	target.Grid("intruder_maxcos", 1, len(cosines), cosines)
	rows := make([]float64, 3*len(sweep))
	for i, at := range sweep {
		n, energy := count(s, cosines, at)
		rows[i], rows[len(sweep)+i], rows[2*len(sweep)+i] = at, float64(n), energy
	}
	target.Grid("intruder_sweep", 3, len(sweep), rows)
	return found
}

// count gives how many directions have a largest cosine below eps, and their share of the energy of all of them. Singular values are taken
// relative to the first, so that their squares stay in the range of a float.
func count(s, cosines []float64, eps float64) (n int, share float64) {
	var all, energy float64
	for i, c := range cosines {
		if s[0] == 0 {
			break
		}
		length := s[i] / s[0]
		all += float64(length * length)
		if c < eps {
			n++
			energy += float64(length * length)
		}
	}
	if all > 0 {
		share = energy / all
	}
	return n, share
}

// randomCosine is about the largest absolute cosine of a random direction of d dimensions with n orthonormal ones: the square root of
// 2 ln n / d, at most 1. For n = d it is the null of diagnostics B.4.
func randomCosine(n, d int) float64 {
	return min(math.Sqrt(2*math.Log(float64(max(n, 2)))/float64(d)), 1)
}

func undefined(target diag.Target, severity abi.Severity, message, hint string) {
	target.Finding(severity, "INTRUDERS_UNDEFINED", message, hint, 0, 0)
}
