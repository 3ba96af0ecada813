package kernel

import (
	"sync"

	"github.com/tenon-ml/tenon/internal/kernel"
)

// panelCols is how many reflections are gathered before they are applied to the columns beyond.
const panelCols = 16

// reflectors is a product of up to panelCols reflections, H_0 H_1 ... = I - V T Vᵀ with T upper triangular (Schreiber and Van Loan), as
// factors of matrix products. Where the reflections are folds, V has a unit matrix on top that is not stored: it belongs to the heads.
type reflectors struct {
	n, rows        int
	v, transposed  kernel.Packed64 // V, rows x n, and Vᵀ
	t, tTransposed packedSquare    // -T and -Tᵀ
	dense          []float64       // scratch: V by columns
	products       [panelCols * panelCols]float64
}

// packedSquare is a small right factor and the numbers it was packed from.
type packedSquare struct {
	kernel.Packed64
	values [panelCols * panelCols]float64
}

var (
	reflectorsPool = sync.Pool{New: func() any { return new(reflectors) }}
	weightsPool    = sync.Pool{New: func() any { return new([]float64) }}
)

// gatherReflectors takes reflections together. Where folded, the columns of v are the v_j; otherwise column j holds v_j from entry j on, with
// a 1 there that is not stored.
func gatherReflectors(v columns, tau []float64, folded bool) *reflectors {
	r := reflectorsPool.Get().(*reflectors)
	r.n, r.rows = v.cols, v.rows
	at := v.view(false)
	if !folded {
		if cap(r.dense) < v.rows*v.cols {
			r.dense = make([]float64, v.rows*v.cols)
		}
		for j := range v.cols {
			column := r.dense[j*v.rows : (j+1)*v.rows]
			clear(column[:j])
			column[j] = 1
			copy(column[j+1:], v.column(j)[j+1:])
		}
		at = columns{v.rows, v.cols, v.rows, r.dense[:v.rows*v.cols]}.view(false)
	}
	r.v.Pack(at, v.rows, v.cols)
	at.Transposed = !at.Transposed
	r.transposed.Pack(at, v.cols, v.rows)
	clear(r.products[:])
	r.v.AddProduct(r.products[:], panelCols, at, v.cols)
	r.combine(tau)
	return r
}

func (r *reflectors) release() { reflectorsPool.Put(r) }

// combine computes -T from the inner products of the v_j.
func (r *reflectors) combine(tau []float64) {
	t, transposed := r.t.values[:], r.tTransposed.values[:]
	clear(t)
	clear(transposed)
	for j, scale := range tau {
		for i := range j {
			var sum float64
			for l := i; l < j; l++ {
				sum += float64(t[i*panelCols+l] * r.products[l*panelCols+j])
			}
			t[i*panelCols+j] = -float64(scale * sum)
		}
		t[j*panelCols+j] = -scale
		for i := range j + 1 {
			transposed[j*panelCols+i] = t[i*panelCols+j]
		}
	}
	r.t.Pack(kernel.View64{Data: t, Stride: panelCols}, r.n, r.n)
	r.tTransposed.Pack(kernel.View64{Data: transposed, Stride: panelCols}, r.n, r.n)
}

// apply replaces the columns of x by their product with H_0 H_1 ..., or with its transpose. Where the reflections are folds, heads are the
// entries of x that they find above, n for each column. Parts of the columns run in parallel.
func (r *reflectors) apply(transposed bool, heads, x columns) {
	square := &r.tTransposed // row i of what is computed here belongs to column i of x
	if transposed {
		square = &r.t
	}
	x.parallel(r.n*r.rows/2, func(from, to int) {
		n := to - from
		scratch := weightsPool.Get().(*[]float64)
		defer weightsPool.Put(scratch)
		if len(*scratch) < 2*n*r.n {
			*scratch = make([]float64, 2*n*r.n)
		}
		products, weights := (*scratch)[:n*r.n], (*scratch)[n*r.n:][:n*r.n]
		clear(products)
		clear(weights)
		part, head := x.part(from, to), heads
		if heads.rows > 0 {
			head = heads.part(from, to)
			for j := range n {
				copy(products[j*r.n:], head.column(j)[:r.n])
			}
		}
		r.v.AddProduct(products, r.n, part.view(true), n)
		square.AddProduct(weights, r.n, kernel.View64{Data: products, Stride: r.n}, n)
		for j := range n {
			if heads.rows > 0 {
				column := head.column(j)
				for i, w := range weights[j*r.n : (j+1)*r.n] {
					column[i] += w
				}
			}
		}
		r.transposed.AddProduct(part.data, part.stride, kernel.View64{Data: weights, Stride: r.n}, n)
	})
}
