package spectrum

import (
	"math"
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// What leaves delta W as it is, or only turns, scales or pads it, leaves the spectrum; only the norms follow the scale.
func TestInvariance(t *testing.T) {
	a := diagtest.Rows([]float64{1, 2, 0, -1, 3}, []float64{0, 1, -2, 1, 1}, []float64{2, 0, 1, 0, -1})
	b := diagtest.Rows([]float64{1, 0, 2}, []float64{-1, 3, 0}, []float64{0, 1, 1}, []float64{2, 2, -1})
	// G and its inverse.
	g := diagtest.Rows([]float64{1, 2, 0}, []float64{0, 1, -3}, []float64{0, 0, 0.5})
	inverse := diagtest.Rows([]float64{1, -2, -12}, []float64{0, 1, 6}, []float64{0, 0, 2})
	tests := []struct {
		name  string
		b, a  diagtest.Matrix
		scale float64
		grows float64 // what the norms are multiplied by
	}{
		{"B to BG, A to G^-1 A", product(b, g), product(inverse, a), 2, 1},
		{"alpha times seven", b, a, 14, 7},
		{"alpha over a thousand", b, a, 0.002, 0.001},
		{"scale negative", b, a, -2, 1},
		{"signs of one direction", flipped(b, func(_, col int) bool { return col == 1 }), flipped(a, func(row, _ int) bool { return row == 1 }), 2, 1},
		{"signs of one input", b, flipped(a, func(_, col int) bool { return col == 2 }), 2, 1},
		{"signs of one output", flipped(b, func(row, _ int) bool { return row == 0 }), a, 2, 1},
		{"rank padded with zeros", padded(b, 4, 6), padded(a, 6, 5), 2, 1},
		{"inputs and outputs padded with zeros", padded(b, 9, 3), padded(a, 3, 8), 2, 1},
		{"transposed", transposed(a), transposed(b), 2, 1},
	}
	want := run(t, diagtest.Target{Name: "w", A: a, B: b, Scale: 2})
	if len(want.Metrics) != 13 {
		t.Fatalf("metrics are %v", want.Metrics)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := run(t, diagtest.Target{Name: "w", A: test.a, B: test.b, Scale: test.scale})
			if len(got.Metrics) != len(want.Metrics) {
				t.Fatalf("metrics are %v", got.Metrics)
			}
			for i, metric := range want.Metrics {
				if slices.Contains([]string{"sigma_1", "frobenius_norm", "nuclear_norm"}, metric.Name) {
					metric.Value *= test.grows
				}
				if value := got.Metrics[i].Value; got.Metrics[i].Name != metric.Name || !(math.Abs(value-metric.Value) <= 1e-12*metric.Value) {
					t.Errorf("%s is %.17g, want %s %.17g", got.Metrics[i].Name, value, metric.Name, metric.Value)
				}
			}
		})
	}
}

// PR <= energy effective rank <= effective rank <= rank, and stable rank <= PR, whatever the spectrum (diagnostics B.1).
func TestOrder(t *testing.T) {
	for _, singular := range [][]float64{{1}, {1, 1}, {5, 1}, {9, 3, 1, 1e-3}, {1, .99, .98, .97, .5}} {
		report := run(t, diagonal("w", 1, singular...))
		ordered := []float64{1 - 1e-12}
		for _, name := range []string{"stable_rank", "participation_ratio", "effective_rank_energy", "effective_rank"} {
			value, _ := report.Metric("w", "", name)
			ordered = append(ordered, value)
		}
		ordered = append(ordered, float64(len(singular)))
		for i := range ordered {
			ordered[i] *= 1 + 1e-12*float64(i) // equal numbers are in order too
		}
		if !slices.IsSorted(ordered) {
			t.Errorf("of %v, 1, stable rank, PR, energy effective rank, effective rank and rank are %v", singular, ordered)
		}
	}
}

func product(m, n diagtest.Matrix) diagtest.Matrix {
	out := diagtest.Zeros(m.Rows, n.Cols)
	for i := range m.Rows {
		for j := range n.Cols {
			for k := range m.Cols {
				out.Values[i*n.Cols+j] += m.At(i, k) * n.At(k, j)
			}
		}
	}
	return out
}

func flipped(m diagtest.Matrix, which func(row, col int) bool) diagtest.Matrix {
	out := padded(m, m.Rows, m.Cols)
	for i := range out.Values {
		if which(i/m.Cols, i%m.Cols) {
			out.Values[i] = -out.Values[i]
		}
	}
	return out
}

// padded gives m in the corner of rows x cols zeros.
func padded(m diagtest.Matrix, rows, cols int) diagtest.Matrix {
	out := diagtest.Zeros(rows, cols)
	for i := range m.Rows {
		copy(out.Values[i*cols:], m.Values[i*m.Cols:(i+1)*m.Cols])
	}
	return out
}

func transposed(m diagtest.Matrix) diagtest.Matrix {
	out := diagtest.Zeros(m.Cols, m.Rows)
	for i, value := range m.Values {
		out.Values[i%m.Cols*m.Rows+i/m.Cols] = value
	}
	return out
}
