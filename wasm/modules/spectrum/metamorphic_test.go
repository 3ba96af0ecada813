package spectrum

import (
	"slices"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// What leaves delta W as it is, or only turns, scales or pads it, leaves the spectrum; only the norms follow the scale.
func TestInvariance(t *testing.T) {
	a := diagtest.Rows([]float64{1, 2, 0, -1, 3}, []float64{0, 1, -2, 1, 1}, []float64{2, 0, 1, 0, -1})
	b := diagtest.Rows([]float64{1, 0, 2}, []float64{-1, 3, 0}, []float64{0, 1, 1}, []float64{2, 2, -1})
	plain := diagtest.Target{Name: "w", A: a, B: b, Scale: 2}
	adapter := diagtest.Configured(t, "spectrum.json", diagtest.Adapter{Targets: []diagtest.Target{plain}})
	if report := diagtest.MustRun(t, adapter, Diagnose); len(report.Metrics) != 13 {
		t.Fatalf("metrics are %v", report.Metrics)
	}
	// turned rewrites the factors alone; A is written by its columns.
	turned := func(name string, change func(b, columns diagtest.Matrix)) diagtest.Rewriting {
		return diagtest.Rewriting{Name: name, Of: func(t diagtest.Target) diagtest.Target {
			b, columns := t.B.Scaled(1), t.A.Transposed()
			change(b, columns)
			t.A, t.B = columns.Transposed(), b
			return t
		}}
	}
	same := diagtest.Comparison{Relative: 1e-12}
	diagtest.Invariant(t, adapter, Diagnose, same, append(diagtest.SameChange(),
		diagtest.FlipSigns(1), diagtest.Rescale(-1), diagtest.Transpose(),
		turned("signs of one input", func(_, columns diagtest.Matrix) { negateRow(columns, 2) }),
		turned("signs of one output", func(b, _ diagtest.Matrix) { negateRow(b, 0) }),
		diagtest.Rewriting{Name: "inputs and outputs padded with zeros", Of: func(t diagtest.Target) diagtest.Target {
			t.A, t.B = t.A.Padded(3, 8), t.B.Padded(9, 3)
			return t
		}})...)
	for _, factor := range []float64{7, 0.001} {
		same.Factors = map[string]float64{"sigma_1": factor, "frobenius_norm": factor, "nuclear_norm": factor, "singular_values": factor}
		diagtest.Invariant(t, adapter, Diagnose, same, diagtest.Rescale(factor))
	}
}

func negateRow(m diagtest.Matrix, row int) {
	for j := range m.Cols {
		m.Values[row*m.Cols+j] *= -1
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
