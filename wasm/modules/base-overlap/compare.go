package baseoverlap

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/phi"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// paperDirections is how many directions of delta W the paper holds against the top tenth of W's.
const paperDirections = 4

// maxColumnValues bounds the random matrix the guest builds: 16 MiB.
const maxColumnValues = 2 << 20

// side is W's directions beside delta W's, on one side of both: orthonormal columns in dimensions dimensions. Of the baseColumns columns of
// base the first baseRank count.
type side struct {
	name                  string
	base, delta           diag.Tensor
	baseRank, baseColumns int
	deltaRank, dimensions int
}

// compare reports φ(W, delta W, i, j) of one side, and gives that of the top of W with the paper's four directions where it is beyond
// chance; 0 where it is not.
func compare(target diag.Target, set settings, s side) (beyond float64, err error) {
	grid, err := grid(s)
	if err != nil {
		return 0, err
	}
	few := min(paperDirections, s.deltaRank)
	at := func(i, j int) float64 { return grid[(i-1)*s.deltaRank+j-1] }
	report(target, s.name+"_11", at(1, 1), 1, 1, s.dimensions)
	if z := report(target, s.name+"_top", at(s.baseRank, few), s.baseRank, few, s.dimensions); z > set.zLimit {
		beyond = at(s.baseRank, few)
	}
	report(target, s.name+"_full", at(s.baseRank, s.deltaRank), s.baseRank, s.deltaRank, s.dimensions)
	rows, cols := ladder(s.baseRank, set.gridBase), min(s.deltaRank, set.gridRank)
	if s.name == "phi_base" && len(rows) > 0 {
		values := make([]float64, len(rows))
		for i, row := range rows {
			values[i] = float64(row)
		}
		target.Grid("phi_base_rows", 1, len(rows), values)
	}
	reportGrid(target, s.name, rows, cols, grid, s.deltaRank)
	return beyond, nil
}

// grid is φ of a side, baseRank x deltaRank.
func grid(s side) ([]float64, error) {
	product, err := diag.MatMul(s.base, s.delta, diag.TransposeA)
	if err != nil {
		return nil, err
	}
	defer product.Drop()
	cosines, err := product.Values()
	if err != nil {
		return nil, err
	}
	return phi.Grid(cosines, s.baseRank, s.deltaRank), nil
}

// report reports φ beside its mean over independent random subspaces and gives how many standard deviations it is away from it. There is
// no such number, and 0 is given, where one subspace is the whole space.
func report(target diag.Target, name string, value float64, i, j, d int) (z float64) {
	mean, sd := phi.Null(i, j, d)
	target.Metric(name, value)
	target.Metric(name+"_null", mean)
	if sd > 0 {
		z = (value - mean) / sd
		target.Metric(name+"_z", z)
	}
	return z
}

// reportGrid reports the chosen rows and the first cols columns of a φ of width columns.
func reportGrid(target diag.Target, name string, rows []int, cols int, values []float64, width int) {
	if len(rows) == 0 || cols == 0 {
		return
	}
	out := make([]float64, 0, len(rows)*cols)
	for _, row := range rows {
		out = append(out, values[(row-1)*width:][:cols]...)
	}
	target.Grid(name, len(rows), cols, out)
}

// ladder gives up to limit of the numbers from 1 to top in ascending order, top among them: all of them where they fit, and otherwise one by
// one at first and then growing by a constant factor.
func ladder(top, limit int) []int {
	switch {
	case limit < 1:
		return nil
	case limit == 1:
		return []int{top}
	}
	rows := make([]int, min(top, limit))
	for i := range rows {
		rows[i] = i + 1
		if top > limit && i > 0 {
			even := math.Pow(float64(top), float64(i)/float64(limit-1))
			rows[i] = max(rows[i-1]+1, int(math.Round(even)))
		}
	}
	return rows
}

// compareRandom reports the panel of Figure 8 in which random directions take the place of delta W's: on the right side, of as many columns.
// W's directions stay; turning both changes no distribution. How the paper drew its own it does not say.
func compareRandom(target diag.Target, set settings, base diag.Triples, rank, deltaRank int) error {
	rows, cols := ladder(rank, set.gridBase), min(deltaRank, set.gridRank, maxColumnValues/target.In)
	if len(rows) == 0 || cols == 0 {
		return nil
	}
	values := make([]float64, target.In*cols)
	stream := splitmix.New("base-overlap random", target.Name, 0)
	stream.Normals(values)
	gaussian, err := diag.Put(target.In, cols, values)
	if err != nil {
		return err
	}
	defer gaussian.Drop()
	q, r, err := diag.QR(gaussian)
	if err != nil {
		return err
	}
	defer q.Drop()
	r.Drop()
	random, err := grid(side{"phi_base_random", base.V, q, rank, len(base.S), cols, target.In})
	if err != nil {
		return err
	}
	reportGrid(target, "phi_base_random", rows, cols, random, cols)
	return nil
}
