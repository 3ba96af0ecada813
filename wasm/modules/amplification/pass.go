package amplification

import (
	"errors"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// The random columns that the pass over W takes along. The host multiplies W by those on its right first, so that side is the dear one.
const (
	signsLeft  = 64
	signsRight = 16
	// maxColumnValues bounds what the guest builds at a time: 16 MiB.
	maxColumnValues = 2 << 20
)

// projection is what one pass over W gave.
type projection struct {
	stats      abi.Stats
	own        []float64 // U' W V, k x k
	sketch     []float64 // rows x cols, of random signs on both sides; empty where the run had no room for it
	rows, cols int
	samples    int     // pairs of random orthonormal bases of k columns
	sampled    float64 // root mean square of the norm of U' W V over them
}

// fourth is the sum of W's singular values to the fourth power, as far as it is known; 0 where it is not.
func (p *projection) fourth(energy float64, rank int, top []float64) float64 {
	if p.rows < 2 || p.cols < 2 {
		return 0
	}
	return bounded(fourthPower(p.sketch, p.rows, p.cols), energy, rank, top)
}

// pass goes over W once. Beside delta's own directions it takes random signs and, if asked for, random orthonormal bases.
func pass(target diag.Target, base diag.Tensor, delta diag.Triples, samples int) (*projection, error) {
	k := len(delta.S)
	seen := &projection{
		rows: min(signsLeft, maxColumnValues/target.Out), cols: min(signsRight, maxColumnValues/target.In),
		samples: min(samples, min(target.In, target.Out)/k, maxColumnValues/(k*max(target.In, target.Out))),
	}
	left, right, err := seen.columns(target, delta)
	if errors.Is(err, abi.Quota) { // a rank so high that there is no room for more columns
		*seen = projection{}
		left, right, err = delta.U, delta.V, nil
	} else if err == nil {
		defer left.Drop()
		defer right.Drop()
	}
	if err != nil {
		return nil, err
	}
	product, stats, err := diag.ProjectStats(base, left, right)
	if err != nil {
		return nil, err
	}
	defer product.Drop()
	values, err := product.Values()
	if err != nil {
		return nil, err
	}
	seen.stats = stats
	seen.take(values, k)
	return seen, nil
}

// take cuts the product of the widened bases into its parts.
func (p *projection) take(values []float64, k int) {
	width := k + p.cols + p.samples*k
	block := func(row, col, rows, cols int) []float64 {
		out := make([]float64, 0, rows*cols)
		for i := range rows {
			out = append(out, values[(row+i)*width+col:][:cols]...)
		}
		return out
	}
	p.own = block(0, 0, k, k)
	p.sketch = block(k, k, p.rows, p.cols)
	var squares float64
	for i := range p.samples {
		sample := norm(block(k+p.rows+i*k, k+p.cols+i*k, k, k))
		squares += float64(sample * sample)
	}
	if p.samples > 0 {
		p.sampled = math.Sqrt(squares / float64(p.samples))
	}
}

// columns gives U and V of delta with the random columns beside them.
func (p *projection) columns(target diag.Target, delta diag.Triples) (left, right diag.Tensor, err error) {
	haar := p.samples * len(delta.S)
	if left, err = widened(delta.U, len(delta.S), target.Out, p.rows, haar, target.Name, "left"); err != nil {
		return diag.Tensor{}, diag.Tensor{}, err
	}
	if right, err = widened(delta.V, len(delta.S), target.In, p.cols, haar, target.Name, "right"); err != nil {
		left.Drop()
	}
	return left, right, err
}

// widened gives [own | signs | haar]: own of rows x k, random signs, and the first columns of a random orthonormal basis.
func widened(own diag.Tensor, k, rows, signs, haar int, name, side string) (diag.Tensor, error) {
	values := make([]float64, rows*max(signs, haar))
	widths, parts := []int{k}, []diag.Tensor{own}
	defer func() {
		for _, part := range parts[1:] {
			part.Drop()
		}
	}()
	if signs > 0 {
		stream := splitmix.New("amplification signs "+side, name, 0)
		stream.Signs(values[:rows*signs])
		t, err := diag.Put(rows, signs, values[:rows*signs])
		if err != nil {
			return diag.Tensor{}, err
		}
		widths, parts = append(widths, signs), append(parts, t)
	}
	if haar > 0 {
		stream := splitmix.New("amplification samples "+side, name, 0)
		stream.Normals(values[:rows*haar])
		t, err := orthonormal(rows, haar, values[:rows*haar])
		if err != nil {
			return diag.Tensor{}, err
		}
		widths, parts = append(widths, haar), append(parts, t)
	}
	return beside(parts, widths)
}

// orthonormal gives the Q of a Gaussian matrix: the first columns of a Haar-random basis, up to signs, which no norm sees.
func orthonormal(rows, cols int, gaussian []float64) (diag.Tensor, error) {
	g, err := diag.Put(rows, cols, gaussian)
	if err != nil {
		return diag.Tensor{}, err
	}
	defer g.Drop()
	q, r, err := diag.QR(g)
	if err != nil {
		return diag.Tensor{}, err
	}
	r.Drop()
	return q, nil
}

// beside joins matrices of equally many rows on the host: each goes to its columns by a product with a part of the identity, which is exact.
func beside(parts []diag.Tensor, widths []int) (diag.Tensor, error) {
	total := 0
	for _, width := range widths {
		total += width
	}
	var joined diag.Tensor
	at := 0
	for i, part := range parts {
		place := make([]float64, widths[i]*total)
		for j := range widths[i] {
			place[j*total+at+j] = 1
		}
		at += widths[i]
		next, err := placed(part, widths[i], total, place)
		if i > 0 {
			sum, addErr := joined, err
			if err == nil {
				sum, addErr = diag.Axpby(1, joined, 1, next)
				next.Drop()
			}
			joined.Drop()
			next, err = sum, addErr
		}
		if err != nil {
			return diag.Tensor{}, err
		}
		joined = next
	}
	return joined, nil
}

func placed(part diag.Tensor, width, total int, place []float64) (diag.Tensor, error) {
	p, err := diag.Put(width, total, place)
	if err != nil {
		return diag.Tensor{}, err
	}
	defer p.Drop()
	return diag.MatMul(part, p, diag.TransposeNone)
}
