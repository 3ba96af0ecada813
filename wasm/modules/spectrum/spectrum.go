package main

import (
	"errors"
	"math"
	"strconv"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

func diagnose(run *diag.Run) error {
	var spare spare
	for _, target := range run.Targets() {
		if err := measure(target, &spare); err != nil {
			return err
		}
	}
	spare.report(run)
	return nil
}

// measure reports how the singular values of one delta W are spread (diagnostics B.1), each number under the name of its definition: there
// are two effective ranks, and they differ. The energy of a direction is the square of its singular value.
func measure(target diag.Target, spare *spare) error {
	delta, err := target.DeltaSVD()
	if errors.Is(err, abi.Numeric) {
		undefined(target, diag.Warn, "delta W has no singular value decomposition: "+err.Error())
		spare.unknown = true
		return nil
	}
	if err != nil {
		return err
	}
	delta.Drop()
	// A scale near the smallest float can leave directions without a length.
	if len(delta.S) == 0 || delta.S[0] == 0 {
		undefined(target, diag.Info, "delta W is zero, so it has no spectrum")
		return nil
	}
	// Relative to the largest, so that nothing but sigma_1 depends on the scale, and no power of a value leaves the range of a float.
	lengths, energies := make([]float64, len(delta.S)), make([]float64, len(delta.S))
	for i, s := range delta.S {
		lengths[i] = s / delta.S[0]
		energies[i] = lengths[i] * lengths[i]
	}
	energy := sum(energies)
	rank99 := energyRank(energies, 0.99)
	target.Metric("sigma_1", delta.S[0])
	target.Metric("effective_rank", effectiveRank(lengths))
	target.Metric("effective_rank_energy", effectiveRank(energies))
	target.Metric("stable_rank", energy)
	target.Metric("participation_ratio", energy*energy/sumSquares(energies))
	target.Metric("energy_rank_90", float64(energyRank(energies, 0.90)))
	target.Metric("energy_rank_99", float64(rank99))
	target.Metric("concentration", 1/energy)
	spare.add(target.Rank, rank99)
	return nil
}

func undefined(target diag.Target, severity abi.Severity, message string) {
	target.Finding(severity, "SPECTRUM_UNDEFINED", message, "see the findings of hygiene for this weight", 0, 0)
}

// effectiveRank is the exponential of the entropy of the weights' shares of their sum: Roy and Vetterli's of the singular values, the
// energy effective rank of their squares. It is n for n equal weights.
func effectiveRank(weights []float64) float64 {
	total := sum(weights)
	var entropy float64
	for _, weight := range weights {
		// A direction whose length a scale near the smallest float has taken adds nothing, as p ln p does in the limit.
		if p := weight / total; p > 0 {
			entropy -= float64(p * math.Log(p))
		}
	}
	return math.Exp(entropy)
}

// energyRank is the least number of leading directions that hold share of all energy.
func energyRank(energies []float64, share float64) int {
	enough := share * sum(energies)
	var held float64
	for i, energy := range energies {
		if held += energy; held >= enough {
			return i + 1
		}
	}
	return len(energies)
}

func sum(values []float64) float64 {
	var total float64
	for _, v := range values {
		total += v
	}
	return total
}

func sumSquares(values []float64) float64 {
	var total float64
	for _, v := range values {
		total += float64(v * v) // never fused, so that every machine gives the same bits
	}
	return total
}

// spare gathers over the targets how much of the rank goes unused.
type spare struct {
	least, most int     // of the configured ranks
	used        int     // the largest rank that holds 99 % of the energy of a weight
	share       float64 // the largest of these ranks as a share of the configured one
	unknown     bool    // a weight has no singular values
}

func (s *spare) add(rank, used int) {
	if s.most == 0 || rank < s.least {
		s.least = rank
	}
	s.most = max(s.most, rank)
	s.used = max(s.used, used)
	s.share = max(s.share, float64(used)/float64(rank))
}

// spareShare is the share of the rank up to which 99 % of the energy is worth a hint: half, because the rank then could be halved.
const spareShare = 0.5

// report hints at a smaller rank where every weight has one. A weight that does not change needs none and does not stand against it.
func (s *spare) report(run *diag.Run) {
	if s.unknown || s.most == 0 || s.share > spareShare {
		return
	}
	used, verb := strconv.Itoa(s.used), " carry"
	if s.used == 1 {
		verb = " carries"
	}
	message := "rank " + strconv.Itoa(s.most) + ", of which at most " + used + verb
	if s.least < s.most {
		message = "ranks " + strconv.Itoa(s.least) + " to " + strconv.Itoa(s.most) + ", of which at most half carries"
	}
	run.Finding(diag.Info, "RANK_TO_SPARE", message+" 99 % of the energy of every weight",
		"rank "+used+" would keep that much: cut delta W down to it, or try it in training; then compare the outputs, because energy is not quality",
		s.share, spareShare)
}
