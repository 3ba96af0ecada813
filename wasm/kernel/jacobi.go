package kernel

import (
	"fmt"
	"math"
	"sort"
	"sync/atomic"

	"github.com/tenon-ml/tenon/internal/kernel"
)

// maxSweeps bounds the Jacobi iteration; ten are plenty in practice.
const maxSweeps = 60

// jacobiCols is how many columns make a block: two blocks stay in the first cache while their columns meet.
const jacobiCols = 8

// jacobi factorises a square matrix by rotating pairs of its columns until all are orthogonal: c V = U diag(s). It takes over c for U. All
// of U and V is orthonormal, also where singular values are zero. Without vectors there are only the singular values, the same to the bit.
//
// In a sweep every column meets every other one: first those of its own block, then, block by block, the others. The blocks meet as the
// players of a tournament do, so that in each round all pairs of blocks can run in parallel.
func jacobi(c columns, vectors bool) (u columns, s []float64, v columns, err error) {
	n := c.cols
	r := &rotations{c: c, squares: make([]float64, n), tolerance: 0x1p-52 * math.Sqrt(float64(n))}
	if vectors {
		r.v = newColumns(n, n)
		for j := range n {
			r.v.column(j)[j] = 1
		}
	}
	blocks := (n + jacobiCols - 1) / jacobiCols
	players := (blocks + 1) &^ 1 // one may have nobody to meet
	for sweep, rotated := 0, true; rotated; sweep++ {
		if sweep == maxSweeps {
			return columns{}, nil, columns{}, fmt.Errorf("the singular values of a core of %d x %d did not converge in %d sweeps: %w", n, n, sweep,
				ErrNumeric)
		}
		for j := range n {
			r.squares[j] = dot(c.column(j), c.column(j)) // afresh in every sweep: the updates below drift
			if r.squares[j] < negligible {
				clear(c.column(j))
				r.squares[j] = 0
			}
		}
		r.rotated.Store(false)
		r.round(blocks, func(i int) (p, q int) { return i, i })
		for round := range players - 1 {
			r.round(players/2, func(i int) (p, q int) {
				if p, q = (round+i)%(players-1), (round-i+players-1)%(players-1); i == 0 {
					q = players - 1
				}
				return min(p, q), max(p, q)
			})
		}
		rotated = r.rotated.Load()
	}
	u, s, v = r.sorted()
	if vectors {
		complete(u, s)
	}
	return u, s, v, nil
}

// rotations is the state of jacobi.
type rotations struct {
	c, v      columns
	squares   []float64 // of the columns' lengths
	tolerance float64
	rotated   atomic.Bool // in this sweep
}

// round lets pairs of blocks meet, all different ones or each with itself.
func (r *rotations) round(pairs int, pair func(i int) (p, q int)) {
	n := workers(pairs, float64(pairs)*jacobiCols*jacobiCols*float64(r.c.rows)/2)
	parallel(n, func(worker int) {
		for i := worker; i < pairs; i += n {
			if p, q := pair(i); r.meet(p*jacobiCols, q*jacobiCols) {
				r.rotated.Store(true)
			}
		}
	})
}

// meet makes the columns of two blocks orthogonal to each other, or those of one, and reports whether there was anything to do.
func (r *rotations) meet(first, second int) bool {
	rotated := false
	for p := first; p < min(first+jacobiCols, r.c.cols); p++ {
		from := second
		if first == second {
			from = p + 1
		}
		for q := from; q < min(second+jacobiCols, r.c.cols); q++ {
			if r.orthogonalize(p, q) {
				rotated = true
			}
		}
	}
	return rotated
}

// orthogonalize rotates columns p and q so that they become orthogonal and p the longer one. It reports whether there was anything to do.
func (r *rotations) orthogonalize(p, q int) bool {
	xx, yy := &r.squares[p], &r.squares[q]
	if *yy == 0 {
		return false
	}
	x, y := r.c.column(p), r.c.column(q)
	xy := dot(x, y)
	if math.Abs(xy) <= float64(r.tolerance*math.Sqrt(*xx))*math.Sqrt(*yy) {
		if *xx >= *yy {
			return false
		}
		// Orthogonal but in the wrong order. Swapping keeps the sweeps convergent (de Rijk), and calls for another, since the columns now
		// meet others.
		r.swap(p, q)
		return true
	}
	zeta := (*yy - *xx) / float64(2*xy)
	t := 1 / (math.Abs(zeta) + hypotenuse(math.Abs(zeta)))
	if zeta < 0 {
		t = -t
	}
	cosine := 1 / math.Sqrt(1+float64(t*t))
	sine := float64(cosine * t)
	*xx -= float64(t * xy)
	*yy += float64(t * xy)
	kernel.Rotate64(x, y, cosine, sine)
	if r.v.cols > 0 {
		kernel.Rotate64(r.v.column(p), r.v.column(q), cosine, sine)
	}
	if *xx < *yy {
		r.swap(p, q)
	}
	*yy = max(*yy, 0)
	return true
}

func (r *rotations) swap(p, q int) {
	swap(r.c.column(p), r.c.column(q))
	if r.v.cols > 0 {
		swap(r.v.column(p), r.v.column(q))
	}
	r.squares[p], r.squares[q] = r.squares[q], r.squares[p]
}

// hypotenuse is sqrt(1 + x^2) for x >= 0. The library's Hypot fuses the square with the sum on some machines.
func hypotenuse(x float64) float64 {
	longer, shorter := max(1, x), min(1, x)
	ratio := shorter / longer
	return float64(longer * math.Sqrt(1+float64(ratio*ratio)))
}

// sorted returns the orthogonal columns as unit columns and their norms, descending. Columns of zeros are left as they are.
func (r *rotations) sorted() (u columns, s []float64, v columns) {
	order, norms := make([]int, r.c.cols), make([]float64, r.c.cols)
	for j := range order {
		order[j], norms[j] = j, math.Sqrt(dot(r.c.column(j), r.c.column(j)))
	}
	sort.SliceStable(order, func(i, j int) bool { return norms[order[i]] > norms[order[j]] })
	s = make([]float64, len(order))
	for at, j := range order {
		s[at] = norms[j]
	}
	if r.v.cols == 0 {
		return columns{}, s, columns{}
	}
	for at := range order {
		j := order[at]
		for j < at { // what was there has been moved
			j = order[j]
		}
		if j != at {
			r.swap(at, j)
		}
		divide(r.c.column(at), s[at])
	}
	return r.c, s, r.v
}
