package similarity

import (
	"math"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/diag/diagtest"
)

// What leaves delta W of an adapter as it is, or only scales it, leaves everything but what is told of A alone.
func TestInvariance(t *testing.T) {
	own := diagtest.Target{Name: "w", Scale: 2, A: normal("a", 3, 20), B: normal("b", 16, 3)}
	theirs := diagtest.Target{Name: "w", Scale: 1, A: normal("a2", 4, 20), B: normal("b2", 16, 4)}
	g := diagtest.Rows([]float64{1, 2, 0}, []float64{0, 1, -3}, []float64{0, 0, 0.5})
	inverse := diagtest.Rows([]float64{1, -2, -12}, []float64{0, 1, 6}, []float64{0, 0, 2})
	refactored, scaled, negative, padded := own, own, own, own
	refactored.B, refactored.A = product(own.B, g), product(inverse, own.A)
	scaled.Scale = 14
	negative.Scale = -2
	padded.B, padded.A = embedded(own.B, 16, 5), embedded(own.A, 5, 20)
	want := run(t, map[string]float64{"gaussian": 0}, own, theirs)
	for _, test := range []struct {
		name string
		own  diagtest.Target
		a    bool // A itself is as it was
		sign float64
	}{
		{"B to BG, A to G^-1 A", refactored, false, 1}, {"alpha", scaled, true, 1}, {"negative scale", negative, true, -1},
		{"rank padded", padded, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := run(t, map[string]float64{"gaussian": 0}, test.own, theirs)
			for _, m := range want.Metrics {
				if strings.HasPrefix(m.Name, "phi_a_11") && !test.a {
					continue
				}
				if m.Name == "cosine" {
					m.Value *= test.sign
				}
				wantMetricNear(t, got, m.Name, m.Value)
			}
			for _, name := range []string{"phi_delta", "phi_delta_left", "angles", "angles_left"} {
				x, _ := want.Grid("w", peerName, name)
				y, ok := got.Grid("w", peerName, name)
				if !ok || len(x.Values) != len(y.Values) {
					t.Fatalf("%s is %v", name, y)
				}
				for i := range x.Values {
					if math.Abs(x.Values[i]-y.Values[i]) > 1e-9 {
						t.Errorf("%s has %g at %d, want %g", name, y.Values[i], i, x.Values[i])
					}
				}
			}
		})
	}
}

// Swapping the adapters transposes the grids. Transposing both deltas swaps the sides.
func TestSwappedAndTransposed(t *testing.T) {
	own := diagtest.Target{Name: "w", Scale: 2, A: normal("a", 3, 20), B: normal("b", 16, 3)}
	theirs := diagtest.Target{Name: "w", Scale: 1, A: normal("a2", 4, 20), B: normal("b2", 16, 4)}
	flip := func(x diagtest.Target) diagtest.Target {
		x.A, x.B = transposed(x.B), transposed(x.A)
		return x
	}
	quiet := map[string]float64{"gaussian": 0}
	want, swapped, mirrored := run(t, quiet, own, theirs), run(t, quiet, theirs, own), run(t, quiet, flip(own), flip(theirs))
	for _, m := range want.Metrics {
		wantMetricNear(t, swapped, m.Name, m.Value)
	}
	right, _ := want.Grid("w", peerName, "phi_delta")
	back, _ := swapped.Grid("w", peerName, "phi_delta")
	left, _ := mirrored.Grid("w", peerName, "phi_delta_left")
	for i := range right.Rows {
		for j := range right.Cols {
			if math.Abs(right.At(i, j)-back.At(j, i)) > 1e-9 || math.Abs(right.At(i, j)-left.At(i, j)) > 1e-9 {
				t.Errorf("phi(%d, %d) is %g, swapped %g, transposed %g", i, j, right.At(i, j), back.At(j, i), left.At(i, j))
			}
		}
	}
}

func wantMetricNear(t *testing.T, report *diagtest.Report, name string, want float64) {
	t.Helper()
	if got, ok := report.Metric("w", peerName, name); !ok || math.Abs(got-want) > 1e-9*max(1, math.Abs(want)) {
		t.Errorf("%s is %g, %t, want %g", name, got, ok, want)
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

// embedded gives m in the corner of rows x cols zeros.
func embedded(m diagtest.Matrix, rows, cols int) diagtest.Matrix {
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
