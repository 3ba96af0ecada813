// Package rows computes some rows of the change of a weight on the host.
package rows

import "github.com/tenon-ml/tenon/sdk/diag"

// Product gives rows of B A, which is delta W before its scale, as a tensor of len(rows) x In that the caller drops. rows ascend; where they
// follow each other they are read in one call.
func Product(target diag.Target, rows []int) (diag.Tensor, error) {
	values := make([]float64, len(rows)*target.Rank)
	for first := 0; first < len(rows); {
		end := first + 1
		for end < len(rows) && rows[end] == rows[end-1]+1 {
			end++
		}
		if err := target.B().Read64(values[first*target.Rank:end*target.Rank], rows[first]*target.Rank); err != nil {
			return diag.Tensor{}, err
		}
		first = end
	}
	b, err := diag.Put(len(rows), target.Rank, values)
	if err != nil {
		return diag.Tensor{}, err
	}
	defer b.Drop()
	return diag.MatMul(b, target.A(), diag.TransposeNone)
}
