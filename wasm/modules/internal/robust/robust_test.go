package robust

import (
	"slices"
	"testing"
)

func TestModifiedZ(t *testing.T) {
	z, median, ok := ModifiedZ([]float64{1, 2, 1000, 3, 4})
	if want := []float64{-2 * Consistency, -Consistency, 997 * Consistency, 0, Consistency}; !ok || median != 3 || !slices.Equal(z, want) {
		t.Errorf("z is %v around %g, %t, want %v", z, median, ok, want)
	}
	for _, alike := range [][]float64{nil, {3}, {7, 7, 7, 9}, {1, 1 + 1e-15, 1 - 1e-15, 3}} {
		if z, _, ok := ModifiedZ(alike); ok {
			t.Errorf("%v has the z %v", alike, z)
		}
	}
}

func TestCenter(t *testing.T) {
	tests := []struct {
		values      []float64
		median, mad float64
	}{
		{nil, 0, 0},
		{[]float64{3}, 3, 0},
		{[]float64{4, 1}, 2.5, 1.5},
		{[]float64{1, 2, 1000, 3, 4}, 3, 1},
		{[]float64{7, 7, 7, 9}, 7, 0},
		{[]float64{-1e308, 1e308, 1e308, -1e308}, 0, 1e308},
	}
	for _, test := range tests {
		before := slices.Clone(test.values)
		if median, mad := Center(test.values); median != test.median || mad != test.mad {
			t.Errorf("of %v: %g and %g, want %g and %g", test.values, median, mad, test.median, test.mad)
		}
		if !slices.Equal(before, test.values) {
			t.Errorf("%v became %v", before, test.values)
		}
	}
}
