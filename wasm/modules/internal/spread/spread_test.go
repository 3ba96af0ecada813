package spread

import (
	"math"
	"slices"
	"testing"
)

// A share that is met to the bit is met.
func TestRank(t *testing.T) {
	tests := []struct {
		energies       []float64
		rank90, rank99 int
	}{
		{[]float64{9, 2, 1}, 2, 3},
		{[]float64{900, 90, 10}, 1, 2},
		{[]float64{899, 91, 10}, 2, 2},
		{[]float64{1}, 1, 1},
		{slices.Repeat([]float64{1}, 100), 90, 99},
	}
	for _, test := range tests {
		s := Spread{Energies: test.energies}
		if got90, got99 := s.Rank(0.90), s.Rank(0.99); got90 != test.rank90 || got99 != test.rank99 {
			t.Errorf("ranks of %v at 90 and 99 %% are %d and %d, want %d and %d", test.energies, got90, got99, test.rank90, test.rank99)
		}
	}
}

func TestKept(t *testing.T) {
	s := Spread{Energies: []float64{6, 3, 1}}
	for k, want := range []float64{0, 0.6, 0.9, 1, 1} {
		if got := s.Kept(k); got != want {
			t.Errorf("%d directions keep %g, want %g", k, got, want)
		}
	}
}

// A scale near the smallest float takes the length of some directions, or of all.
func TestDirectionsWithoutLength(t *testing.T) {
	if s, ok := Of([]float64{2, 0}); !ok || s.EntropyL1 != 0 || s.Participation != 1 || s.Norm != 2 {
		t.Errorf("the spread of 2 and 0 is %+v, %t", s, ok)
	}
	for _, none := range [][]float64{nil, {0}, {0, 0}} {
		if _, ok := Of(none); ok {
			t.Errorf("%v has a spread", none)
		}
	}
}

func TestNothingLeavesTheRangeOfAFloat(t *testing.T) {
	for _, scale := range []float64{1e-200, 1, 1e200} {
		s, ok := Of([]float64{4 * scale, 3 * scale})
		if !ok || math.Abs(s.Norm/scale-5) > 1e-14 || math.Abs(s.Nuclear/scale-7) > 1e-14 || math.Abs(s.Stable-25./16) > 1e-15 {
			t.Errorf("at %g: %+v, %t", scale, s, ok)
		}
	}
}
