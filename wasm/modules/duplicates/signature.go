package duplicates

import (
	"math"
	"math/bits"
	"strconv"
)

// signature is which features are above zero, bit k%32 of word k/32 for feature k. Two signatures differ in a share of angle/pi of their
// bits on average, with the angle between the changes: half of them where the changes have nothing in common.
type signature [features / 32]uint32

func (s *sketch) signature() signature {
	var out signature
	for k, value := range s {
		if value > 0 {
			out[k/32] |= 1 << (k % 32)
		}
	}
	return out
}

// words are the words as numbers, which f64 holds exactly.
func (s signature) words() []float64 {
	out := make([]float64, len(s))
	for i, word := range s {
		out[i] = float64(word)
	}
	return out
}

// distance is the number of bits that differ.
func (s signature) distance(t signature) int {
	n := 0
	for i, word := range s {
		n += bits.OnesCount32(word ^ t[i])
	}
	return n
}

// estimate is the cosine that a distance stands for, and its standard error if the bits were independent.
func estimate(distance int) (cosine, deviation float64) {
	// One bit more of either kind, so that equal signatures do not claim to be sure.
	p := float64(distance+1) / (features + 2)
	deviation = math.Pi * math.Sin(math.Pi*p) * math.Sqrt(p*(1-p)/features)
	return math.Cos(math.Pi * float64(distance) / features), deviation
}

// estimated words a distance for a person.
func estimated(distance int) string {
	cosine, deviation := estimate(distance)
	return "estimated cosine " + decimal(cosine, 2) + " ± " + decimal(deviation, 2) + ", " + strconv.Itoa(distance) + " of " +
		strconv.Itoa(features) + " bits of the signatures differ"
}

func decimal(x float64, digits int) string { return strconv.FormatFloat(x, 'f', digits, 64) }
