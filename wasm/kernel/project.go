package kernel

import (
	"fmt"
	"sync/atomic"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Project returns Uᵀ W V (ku x kv) in one pass over w, for u of out x ku and v of in x kv. Where transposed is set, w holds Wᵀ (in x out).
// The narrower of the two is multiplied first. NaN and infinities go through.
func Project(w Rows, transposed bool, u, v *Matrix) (*Matrix, error) {
	p, err := newProjection(w, transposed, u, v)
	if err != nil {
		return nil, err
	}
	return p.run(w, nil)
}

// ProjectStats is Project and Stats of w, as it is stored, in one pass.
func ProjectStats(w Rows, transposed bool, u, v *Matrix, stored tensor.DType) (*Matrix, abi.Stats, error) {
	p, err := newProjection(w, transposed, u, v)
	if err != nil {
		return nil, abi.Stats{}, err
	}
	c := newCensus(w, stored)
	product, err := p.run(w, c)
	if err != nil {
		return nil, abi.Stats{}, err
	}
	return product, c.result(), nil
}

// projectCols is how many columns of w are multiplied at a time: as many as the products take steps before they go back to their sums.
const projectCols = 256

// projection is Project under way, of S as it is stored: Lᵀ S R, where L is as tall as S and R as S is wide.
type projection struct {
	left, right *Matrix
	turned      bool // the result is to be transposed
}

func newProjection(w Rows, transposed bool, u, v *Matrix) (*projection, error) {
	if err := u.check("U"); err != nil {
		return nil, err
	}
	if err := v.check("V"); err != nil {
		return nil, err
	}
	rows, cols := w.Shape()
	p := &projection{left: u, right: v}
	if transposed {
		p = &projection{left: v, right: u, turned: true} // Uᵀ W V = (Vᵀ Wᵀ U)ᵀ
	}
	if p.left.Rows != rows || p.right.Rows != cols {
		return nil, fmt.Errorf("a stored weight of %d x %d between U of %d x %d and V of %d x %d: %w", rows, cols, u.Rows, u.Cols, v.Rows, v.Cols,
			ErrShape)
	}
	return p, nil
}

// run passes over w, and takes a census where there is one to take.
func (p *projection) run(w Rows, c *census) (*Matrix, error) {
	if p.left.Cols < p.right.Cols {
		image, err := p.leftImage(w, c)
		if err != nil {
			return nil, err
		}
		if p.turned {
			return MatMul(p.right, image, true, false)
		}
		return MatMul(image, p.right, true, false)
	}
	image, err := p.rightImage(w, c)
	if err != nil {
		return nil, err
	}
	if p.turned {
		return MatMul(image, p.left, true, false)
	}
	return MatMul(p.left, image, true, false)
}

// rightImage is S R.
func (p *projection) rightImage(w Rows, c *census) (*Matrix, error) {
	rows, cols := w.Shape()
	k := p.right.Cols
	image := NewMatrix(rows, k)
	factors := make([]kernel.Packed64, (cols+projectCols-1)/projectCols)
	for i := range factors {
		from := i * projectCols
		factors[i].Pack(kernel.View64{Data: p.right.Data[from*k:], Stride: k}, min(projectCols, cols-from), k)
	}
	tiles := make([][]float64, passWorkers(rows, cols))
	err := eachBlockParallel(w, func(worker, at int, b block) {
		if c != nil {
			c.add(worker, at, b)
		}
		for i := range factors {
			from := i * projectCols
			factors[i].AddProduct(image.Data[b.first*k:], k, b.tile(&tiles[worker], from, min(projectCols, cols-from)), b.rows)
		}
	})
	return image, err
}

// leftImage is Sᵀ L. Its entries are sums over the rows, and so the blocks go one after the other; the columns of a block run in parallel.
func (p *projection) leftImage(w Rows, c *census) (*Matrix, error) {
	rows, cols := w.Shape()
	k, height := p.left.Cols, blockRows(rows, cols)
	image := NewMatrix(cols, k)
	strips := (cols + projectCols - 1) / projectCols
	n := passWorkers(rows, cols)
	tiles, factor := make([][]float64, n), kernel.Packed64{}
	readers := [2]blockReader{{w: w}, {w: w}} // one is read while the other's block is computed
	b, err := readers[0].read(0, min(height, rows))
	for at := 0; err == nil; at++ {
		next, first := block{}, (at+1)*height
		factor.Pack(kernel.View64{Data: p.left.Data[b.first*k:], Stride: k}, b.rows, k)
		var tasks atomic.Int64
		parallel(n, func(worker int) {
			for task := int(tasks.Add(1)) - 1; task < strips+2; task = int(tasks.Add(1)) - 1 {
				switch {
				case task == 0 && first < rows:
					next, err = readers[(at+1)%2].read(first, min(height, rows-first))
				case task == 1 && c != nil:
					c.add(0, at, b)
				case task >= 2:
					from := (task - 2) * projectCols
					n := min(projectCols, cols-from)
					tile := b.tile(&tiles[worker], from, n)
					tile.Transposed = true
					factor.AddProduct(image.Data[from*k:], k, tile, n)
				}
			}
		})
		if first >= rows {
			break
		}
		b = next
	}
	return image, err
}

// tile is n columns of the block from the one at from on, in room where they are not in memory.
func (b block) tile(room *[]float64, from, n int) kernel.View64 {
	if b.bytes == nil {
		return kernel.View64{Data: b.values[from:], Stride: b.cols}
	}
	if *room == nil {
		*room = make([]float64, b.rows*projectCols)
	}
	for i := range b.rows {
		b.row((*room)[i*projectCols:], i, from, n)
	}
	return kernel.View64{Data: *room, Stride: projectCols}
}
