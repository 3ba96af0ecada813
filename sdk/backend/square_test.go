package backend

import (
	"slices"
	"testing"
)

// TestSquareOrder uses squares of which a small one is lost when it is added to a large one: the sums tell who was added to whom.
func TestSquareOrder(t *testing.T) {
	const big, half = 1 << 27, 1 // big² is 2^54: half² is lost beside it, and four of them added first are not
	row := make([]float32, 18)
	row[0] = big
	for _, j := range []int{1, 5, 9, 13} { // lanes that meet before they meet lane 0
		row[j] = half
	}
	row[16] = half // lane 0's second
	for _, c := range []struct {
		name      string
		v         []float32
		cols      int
		outputs   int
		ofColumns bool
		want      []float64
	}{
		{"rows", []float32{1, 2, 3, 4, 5, 6}, 3, 2, false, []float64{14, 77}},
		{"columns", []float32{1, 2, 3, 4, 5, 6}, 3, 3, true, []float64{17, 29, 45}},
		{"runs", []float32{1, 2, 3, 4, 5, 6, 7, 8}, 4, 2, true, []float64{1 + 25 + (4 + 36), 9 + 49 + (16 + 64)}},
		{"lanes", row, 18, 1, false, []float64{1<<54 + 4}},
		{"row after row", []float32{big, half, half, half, half}, 1, 1, true, []float64{1 << 54}},
		{"column before column", []float32{big, half, 0, half, 0, half, 0, half}, 2, 1, true, []float64{1<<54 + 4}},
	} {
		if got := SquareOrder(c.v, c.cols, c.outputs, c.ofColumns); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
