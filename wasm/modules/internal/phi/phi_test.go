package phi

import (
	"math"
	"testing"
)

// The values at (3, 7) and (8, 20) are those that reference/ref_diag.py checks by simulation; that at (1, 1) is of Beta(1/2, (d-1)/2).
func TestNull(t *testing.T) {
	tests := []struct {
		i, j, d  int
		mean, sd float64
	}{
		{1, 1, 4, .25, math.Sqrt(.5 * 1.5 / (2 * 2 * 3))},
		{3, 7, 50, .14, 0.038478384589092106},
		{8, 20, 64, .3125, 0.02689571768199595},
		{4, 4, 4, 1, 0},
		{2, 9, 9, 1, 0},
	}
	for _, test := range tests {
		mean, sd := Null(test.i, test.j, test.d)
		if math.Abs(mean-test.mean) > 1e-12 || math.Abs(sd-test.sd) > 1e-12 {
			t.Errorf("Null(%d, %d, %d) is %g, %g, want %g, %g", test.i, test.j, test.d, mean, sd, test.mean, test.sd)
		}
	}
}

func TestGrid(t *testing.T) {
	cosines := []float64{.6, 0, .8, 0, 1, 0}
	want := []float64{.36, .36, 1, .36, .68, 1}
	grid := Grid(cosines, 2, 3)
	for i, value := range want {
		if math.Abs(grid[i]-value) > 1e-15 {
			t.Errorf("grid is %v, want %v", grid, want)
			break
		}
	}
	if full := Full(cosines, 2, 3); math.Abs(full-grid[5]) > 1e-15 {
		t.Errorf("Full is %g", full)
	}
}
