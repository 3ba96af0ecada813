package compress

import (
	"math"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/sdk/tensor"
	"github.com/tenon-ml/tenon/wasm/kernel"
)

// checkChange holds the change of one module as it reads back against the change of the old adapter: they may differ by the directions that
// were left out and by one rounding of each entry of each factor, and by nothing else.
func (p *Plan) checkChange(t Target, written *adapter.Adapter, pair adapter.Pair) error {
	oldB, err := matrix(p.Adapter.Weights, t.pair.B)
	if err != nil {
		return err
	}
	oldA, err := matrix(p.Adapter.Weights, t.pair.A)
	if err != nil {
		return err
	}
	newB, err := matrix(written.Weights, pair.B)
	if err != nil {
		return err
	}
	newA, err := matrix(written.Weights, pair.A)
	if err != nil {
		return err
	}
	s := t.pair.Scale
	square := s*s*inner(oldB, oldA, oldB, oldA) - 2*s*inner(oldB, oldA, newB, newA) + inner(newB, newA, newB, newA)
	difference := math.Sqrt(max(square, 0))
	// Sums of squares cancel here to about the root of float64's precision, of the factors' norms where the factors themselves cancel.
	noise := 0x1p-23 * math.Abs(s) * norm(oldB) * norm(oldA)
	allowed := math.Sqrt(max(t.Energy-t.EnergyKept, 0)) + rounding(t) + noise
	if !(difference <= allowed) {
		return p.mismatch("module %s differs by %.3g from the change it stands for, and no rounding explains more than %.3g", t.Module,
			difference, allowed)
	}
	return nil
}

// rounding bounds what rounding the new factors can change: with a relative error u of each entry ‖δ‖ ≤ (2u + u²) ‖B'‖ ‖A'‖, whose norms
// multiply to the sum of the singular values, and entries below the type's smallest normal number have an absolute error in its place.
func rounding(t Target) float64 {
	u, step := unit(t.pair.A.DType)
	if ub, stepB := unit(t.pair.B.DType); ub > u {
		u, step = ub, stepB
	}
	entries := float64(t.Kept) * float64(t.pair.A.Shape[1]+t.pair.B.Shape[0])
	return (2*u+u*u)*t.sum + 2*step*math.Sqrt(entries*t.sum) + step*step*entries
}

// unit is the largest error of one rounding to nearest: relative, and absolute below the smallest normal number.
func unit(d tensor.DType) (relative, absolute float64) {
	switch d {
	case tensor.BF16:
		return 0x1p-8, 0x1p-134
	case tensor.F16:
		return 0x1p-11, 0x1p-25
	}
	return 0x1p-24, 0x1p-150
}

func norm(m *kernel.Matrix) float64 {
	var squares float64
	for _, v := range m.Data {
		squares += float64(v * v)
	}
	return math.Sqrt(squares)
}

// inner is ⟨B1 A1, B2 A2⟩ = tr((B1ᵀ B2)(A2 A1ᵀ)).
func inner(b1, a1, b2, a2 *kernel.Matrix) float64 {
	left := kernel.NewMatrix(b1.Cols, b2.Cols)
	for i := range b1.Rows {
		x, y := b1.Row(i), b2.Row(i)
		for k, v := range x {
			row := left.Row(k)
			for l, w := range y {
				row[l] += float64(v * w)
			}
		}
	}
	var sum float64
	for k := range a1.Rows {
		for l := range a2.Rows {
			var dot float64
			x, y := a1.Row(k), a2.Row(l)
			for j, v := range x {
				dot += float64(v * y[j])
			}
			sum += float64(left.Row(k)[l] * dot)
		}
	}
	return sum
}
