// Package spread tells how the singular values of a matrix are spread over its directions (diagnostics B.1). The energy of a direction is
// the square of its singular value. Every number carries the name of its definition: there are two effective ranks, and they differ.
package spread

import "math"

// Spread is the summary of one spectrum. Everything but Sigma1, Norm and Nuclear depends on the ratios of the singular values alone.
type Spread struct {
	Sigma1 float64 // the largest singular value
	Norm   float64 // Frobenius: the root of all energy
	// Nuclear is the sum of the singular values.
	Nuclear float64
	// EntropyL1 is -sum p ln p of the shares p of Nuclear, in nats; EntropyEnergy the same of the shares of all energy.
	EntropyL1, EntropyEnergy float64
	// Participation is (sum s^2)^2 / sum s^4, a number of directions.
	Participation float64
	// Stable is the stable rank, all energy over that of the first direction.
	Stable float64
	// ConcentrationL1 is the share of the first direction in Nuclear; its share of all energy is 1 / Stable.
	ConcentrationL1 float64
	// Energies are those of the directions, the first being 1.
	Energies []float64
}

// Of summarises singular values in descending order; false where there are none, or the largest is 0: a scale near the smallest float can
// leave directions without a length.
func Of(singular []float64) (Spread, bool) {
	if len(singular) == 0 || singular[0] == 0 {
		return Spread{}, false
	}
	// Relative to the largest, so that no ratio depends on the scale, and no power of a value leaves the range of a float.
	lengths, energies := make([]float64, len(singular)), make([]float64, len(singular))
	for i, s := range singular {
		lengths[i] = s / singular[0]
		energies[i] = lengths[i] * lengths[i]
	}
	length, energy := Sum(lengths), Sum(energies)
	var fourth float64
	for _, e := range energies {
		fourth += float64(e * e) // never fused, so that every machine gives the same bits
	}
	return Spread{
		Sigma1: singular[0], Norm: singular[0] * math.Sqrt(energy), Nuclear: singular[0] * length,
		EntropyL1: entropy(lengths), EntropyEnergy: entropy(energies),
		Participation: energy * energy / fourth, Stable: energy, ConcentrationL1: 1 / length, Energies: energies,
	}, true
}

// Rank is the least number of leading directions that hold share of all energy.
func (s Spread) Rank(share float64) int {
	enough := share * Sum(s.Energies)
	var held float64
	for i, energy := range s.Energies {
		if held += energy; held >= enough {
			return i + 1
		}
	}
	return len(s.Energies)
}

// Kept is the share of all energy that the first k directions hold.
func (s Spread) Kept(k int) float64 {
	return Sum(s.Energies[:min(k, len(s.Energies))]) / Sum(s.Energies)
}

// entropy is -sum p ln p of the weights' shares p of their sum: ln n for n equal weights.
func entropy(weights []float64) float64 {
	total := Sum(weights)
	var nats float64
	for _, weight := range weights {
		// A direction whose length a scale near the smallest float has taken adds nothing, as p ln p does in the limit.
		if p := weight / total; p > 0 {
			nats -= float64(p * math.Log(p))
		}
	}
	return nats
}

// Sum adds up in order.
func Sum(values []float64) float64 {
	var total float64
	for _, v := range values {
		total += v
	}
	return total
}
