package cpu

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// The ways to stretch rotary positions.
const (
	ropeLinear = "linear"
	ropeLlama3 = "llama3"
)

func checkRopeScaling(s *backendpb.RopeScaling) error {
	if s == nil {
		return nil
	}
	finite := func(x float64) bool { return x > 0 && !math.IsInf(x, 0) }
	if s.Type != ropeLinear && s.Type != ropeLlama3 {
		return invalid("model configuration: rope scaling %q is not computed, linear and llama3 are", s.Type)
	}
	if !finite(s.Factor) {
		return invalid("model configuration: rope scaling by a factor of %g", s.Factor)
	}
	if s.Type == ropeLlama3 && (!finite(s.LowFreqFactor) || !finite(s.HighFreqFactor) || s.HighFreqFactor <= s.LowFreqFactor || s.OriginalMaxPositions < 1) {
		return invalid("model configuration: rope scaling llama3 with low_freq_factor %g, high_freq_factor %g and %d positions before",
			s.LowFreqFactor, s.HighFreqFactor, s.OriginalMaxPositions)
	}
	return nil
}

// scaled stretches the frequencies in place, as transformers does, in f64. Linear divides each by the factor. Llama3 divides those that turn less
// than low_freq_factor times within the positions of the training before, leaves those that turn more than high_freq_factor times, and goes from
// one to the other between.
func scaled(frequencies []float64, s *backendpb.RopeScaling) []float64 {
	if s == nil {
		return frequencies
	}
	for i, f := range frequencies {
		stretched := f / s.Factor
		if s.Type == ropeLlama3 {
			turns := float64(s.OriginalMaxPositions) * f / (2 * math.Pi)
			share := max(0, min(1, (turns-s.LowFreqFactor)/(s.HighFreqFactor-s.LowFreqFactor)))
			stretched = float64((1-share)*stretched) + float64(share*f)
		}
		frequencies[i] = stretched
	}
	return frequencies
}
