// Package robust has the statistics of a sample that a few odd values do not move.
package robust

import (
	"math"
	"slices"
)

// Center gives the median of values and the median of their distances from it. It is 0, 0 for none. The values stay as they are.
func Center(values []float64) (median, mad float64) {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	median = middle(sorted)
	for i, v := range sorted {
		sorted[i] = math.Abs(v - median)
	}
	slices.Sort(sorted)
	return median, middle(sorted)
}

// Consistency makes the median of the distances an estimate of a normal sample's standard deviation: the third quartile of the normal
// distribution, as Iglewicz and Hoaglin round it.
const Consistency = 0.6745

// middle is the median of sorted values.
func middle(sorted []float64) float64 {
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	}
	return sorted[n/2-1]/2 + sorted[n/2]/2
}
