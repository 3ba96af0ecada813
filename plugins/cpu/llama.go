package cpu

import (
	"math"

	"github.com/tenon-ml/tenon/internal/kernel"
)

// rotaryFrequencies are the angles by which each pair of a head turns from one position to the next: theta^(-2i/headDim).
func rotaryFrequencies(headDim int, theta float64) []float64 {
	frequencies := make([]float64, headDim/2)
	for i := range frequencies {
		frequencies[i] = math.Pow(theta, -float64(2*i)/float64(headDim))
	}
	return frequencies
}

// silu is x / (1 + e^-x), of the gate.
func silu(x, gate, scratch []float32) {
	copy(scratch, gate)
	kernel.Exp(scratch, -1, 0)
	for i, e := range scratch {
		x[i] = gate[i] / (1 + e) * x[i]
	}
}
