package similarity

import (
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// compareGaussian reports phi_gaussian, the right panel of Figures 4 and 7 of the paper: what two random matrices of the shapes of the two
// A have in common. They depend on the weight's name and shape alone. What phi_a shows beyond this panel was learned, or was the same
// initialisation.
func compareGaussian(pair diag.Target, ownRank, gridRank int) error {
	own, err := gaussian(pair.Name, 0, ownRank, pair.In)
	if err != nil {
		return err
	}
	defer own.Drop()
	theirs, err := gaussian(pair.Name, 1, pair.Rank, pair.In)
	if err != nil {
		return err
	}
	defer theirs.Drop()
	_, err = compare(pair, "phi_gaussian", bases{own.V, theirs.V, len(own.S), len(theirs.S), pair.In}, gridRank)
	return err
}

// gaussian decomposes a matrix of rows x cols standard normal values.
func gaussian(name string, index, rows, cols int) (diag.Triples, error) {
	values := make([]float64, rows*cols)
	stream := splitmix.New("similarity gaussian", name, index)
	stream.Normals(values)
	matrix, err := diag.Put(rows, cols, values)
	if err != nil {
		return diag.Triples{}, err
	}
	defer matrix.Drop()
	return decomposeA(matrix, rows)
}
