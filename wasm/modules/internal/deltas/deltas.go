// Package deltas computes with the deltas of two adapters by their factors, without forming either. The diagnostics that compare adapters
// share it.
package deltas

import "github.com/tenon-ml/tenon/sdk/diag"

// Inner is <D1, D2> of the deltas of one weight, s1 s2 tr((B1' B2)(A2 A1')), at the cost of two products of r1 x r2 (diagnostics A.5). With
// the same target twice it is the square of the Frobenius norm. Factors that are not finite give a result that is not.
func Inner(x, y diag.Target) (float64, error) {
	outputs, err := product(x.B(), y.B(), diag.TransposeA)
	if err != nil {
		return 0, err
	}
	inputs, err := product(x.A(), y.A(), diag.TransposeB)
	if err != nil {
		return 0, err
	}
	var sum float64
	for i, value := range outputs {
		sum += float64(value * inputs[i])
	}
	return x.Scale * y.Scale * sum, nil
}

func product(x, y diag.Tensor, transpose diag.Transpose) ([]float64, error) {
	p, err := diag.MatMul(x, y, transpose)
	if err != nil {
		return nil, err
	}
	defer p.Drop()
	return p.Values()
}
