package main

import (
	"math"
	"slices"
)

// series is one figure of every round, in the order of the rounds. A round that did not give it is NaN.
type series []float64

// known are the figures there are, sorted.
func (s series) known() series {
	out := slices.DeleteFunc(slices.Clone(s), math.IsNaN)
	slices.Sort(out)
	return out
}

// median is NaN of nothing.
func (s series) median() float64 {
	k := s.known()
	if len(k) == 0 {
		return math.NaN()
	}
	return (k[len(k)/2] + k[(len(k)-1)/2]) / 2
}

// span is the lowest and the highest figure.
func (s series) span() (low, high float64) {
	k := s.known()
	if len(k) == 0 {
		return math.NaN(), math.NaN()
	}
	return k[0], k[len(k)-1]
}

// over is s / t round by round, as both were measured side by side; rounds that one of them lacks are left out.
func (s series) over(t series) series {
	var out series
	for i := range min(len(s), len(t)) {
		out = append(out, s[i]/t[i])
	}
	return out
}

// atLeast is the larger of both, round by round.
func (s series) atLeast(t series) series {
	var out series
	for i := range min(len(s), len(t)) {
		out = append(out, max(s[i], t[i])) // NaN where either is
	}
	return out
}

// times is every figure times a factor.
func (s series) times(factor float64) series {
	out := slices.Clone(s)
	for i := range out {
		out[i] *= factor
	}
	return out
}

// rate is amount / s round by round.
func (s series) rate(amount float64) series {
	out := slices.Clone(s)
	for i := range out {
		out[i] = amount / out[i]
	}
	return out
}
