package backendtest

import (
	"testing"

	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// TestProductsTellOrders: a backend that adds a product in another order than the contract's is found out.
func TestProductsTellOrders(t *testing.T) {
	b := plainBase(t)
	row := b.tensor("spread")
	rows, cols := int(row.Shape[0]), int(row.Shape[1])
	values, x := b.values["spread"], backend.Probe(1, row.Name, cols)
	differs := false
	for i, want := range product(row.Name, b.bytes(row), tensor.F32, rows, cols, 1) {
		var ascending float64
		for j := range cols {
			ascending += float64(values[i*cols+j]) * float64(x[j])
		}
		differs = differs || ascending != want
	}
	if !differs {
		t.Error("columns ascending give the same sums")
	}
}
