package hygiene

import (
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

// chunk is how many values are read at a time.
const chunk = 1 << 16

// deadRanks counts the k for which row k of A or column k of B is zero: components of the rank that add nothing. The factors are read only
// where both have some, and they may be the same.
func deadRanks(target diag.Target, a, b abi.Stats) (int, error) {
	if a.ZeroRows == 0 || b.ZeroCols == 0 {
		return int(a.ZeroRows + b.ZeroCols), nil
	}
	inA, inB := make([]bool, target.Rank), make([]bool, target.Rank)
	err := scan(target.A(), target.Rank*target.In, func(index int, value float64) { inA[index/target.In] = inA[index/target.In] || value != 0 })
	if err != nil {
		return 0, err
	}
	err = scan(target.B(), target.Out*target.Rank, func(index int, value float64) { inB[index%target.Rank] = inB[index%target.Rank] || value != 0 })
	if err != nil {
		return 0, err
	}
	dead := 0
	for k := range inA {
		if !inA[k] || !inB[k] {
			dead++
		}
	}
	return dead, nil
}

// scan calls visit for each of n values, in order.
func scan(t diag.Tensor, n int, visit func(index int, value float64)) error {
	buffer := make([]float64, min(n, chunk))
	for first := 0; first < n; first += len(buffer) {
		part := buffer[:min(len(buffer), n-first)]
		if err := t.Read64(part, first); err != nil {
			return err
		}
		for i, value := range part {
			visit(first+i, value)
		}
	}
	return nil
}
