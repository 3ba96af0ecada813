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

// same is the spread below which values are equal but for rounding: no scale to measure any of them by.
const same = 1e-9

// ModifiedZ gives how far each value lies from the median, in robust standard deviations: the modified z of Iglewicz and Hoaglin. It gives
// the median too. It is false where at least half of the values are equal but for rounding.
func ModifiedZ(values []float64) (z []float64, median float64, ok bool) {
	median, mad := Center(values)
	if !(mad > same*max(1, math.Abs(median))) {
		return nil, median, false
	}
	z = make([]float64, len(values))
	for i, v := range values {
		z[i] = Consistency * (v - median) / mad
	}
	return z, median, true
}

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
