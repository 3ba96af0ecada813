// Package gaps tells how far singular values are from each other, and which of these gaps the stored factors cannot tell from none.
package gaps

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

// Of gives (s_i - s_i+1) / s_1 for singular values above 0 in descending order, and s_k / s_1 for the last.
func Of(s []float64) []float64 {
	out := make([]float64, len(s))
	for i, value := range s {
		if i+1 < len(s) {
			value -= s[i+1]
		}
		out[i] = value / s[0]
	}
	return out
}

// Grey is 1 for each gap that is not above the noise, which is in units of the singular values, and 0 for the others.
func Grey(s []float64, noise float64) []float64 {
	out := Of(s)
	for i, gap := range out {
		out[i] = 0
		if gap*s[0] <= noise {
			out[i] = 1
		}
	}
	return out
}

// Noise bounds what storing the factors can have moved the singular values of delta W by, from the Frobenius norms of its factors: each
// value carries a relative error u, so B A is known to 2 u ||B|| ||A||. For Gaussian factors || |B| |A| ||, which diagnostics A.6 bounds
// it by, is smaller by pi/2.
func Noise(target diag.Target, normA, normB float64) float64 {
	return 2 * Roundoff(target.FactorDType) * math.Abs(target.Scale) * normA * normB
}

// Roundoff is the relative error of a value stored in dtype, typically: half of the largest.
func Roundoff(dtype abi.DType) float64 {
	switch dtype {
	case abi.DTypeBF16:
		return 0x1p-9
	case abi.DTypeF16:
		return 0x1p-12
	case abi.DTypeF32:
		return 0x1p-25
	}
	return 0x1p-52 // no error of storage, but one of the arithmetic
}
