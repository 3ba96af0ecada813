package duplicates

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/splitmix"
)

// side is how many sign vectors there are for either side of a weight, and features how many pairs of them.
const (
	side     = 16
	features = side * side
)

// sketch is f_ab = sum over the weights of u_a' (delta W) v_b, row-major, with vectors of independent signs for each weight that depend on
// its name and shape alone. For two adapters the mean of f_ab f'_ab is <delta W, delta W'> summed over the weights (diagnostics B.6).
type sketch [features]float64

func (s *sketch) add(t sketch) {
	for i, value := range t {
		s[i] += value
	}
}

// zero tells whether it is that of a change of nothing.
func (s *sketch) zero() bool { return *s == sketch{} }

// norm estimates the Frobenius norm of the change, but for a factor that all sketches share.
func (s *sketch) norm() float64 {
	var norm float64
	for _, value := range s {
		norm = math.Hypot(norm, value)
	}
	return norm
}

func (s *sketch) finite() bool {
	for _, value := range s {
		if value-value != 0 {
			return false
		}
	}
	return true
}

// signs are the vectors of one weight, 16 x out and 16 x in.
type signs struct{ u, v diag.Tensor }

// newSigns draws the vectors of a weight, by way of a buffer that is used again for the next. What they are is part of every bank: never
// change it without the module's version.
func (d *diagnosis) newSigns(target diag.Target) (signs, error) {
	u, err := d.signMatrix("duplicates u", target.Name, target.Out)
	if err != nil {
		return signs{}, err
	}
	v, err := d.signMatrix("duplicates v", target.Name, target.In)
	if err != nil {
		u.Drop()
		return signs{}, err
	}
	return signs{u, v}, nil
}

func (d *diagnosis) signMatrix(purpose, name string, length int) (diag.Tensor, error) {
	if len(d.buffer) < side*length {
		d.buffer = make([]float64, side*length)
	}
	for i := range side {
		stream := splitmix.New(purpose, name, i)
		stream.Signs(d.buffer[i*length : (i+1)*length])
	}
	return diag.Put(side, length, d.buffer[:side*length])
}

func (s signs) drop() {
	s.u.Drop()
	s.v.Drop()
}

// sketch gives scale (U B)(A V'), which costs 16 products for each value of the factors. It is false where the result is not finite. A
// delta that is zero but for rounding, because the factors cancel, has a sketch of zeros.
func (s signs) sketch(target diag.Target) (out sketch, ok bool, err error) {
	left, err := product(s.u, target.B(), diag.TransposeNone) // 16 x r
	if err != nil {
		return sketch{}, false, err
	}
	right, err := product(s.v, target.A(), diag.TransposeB) // 16 x r
	if err != nil {
		return sketch{}, false, err
	}
	var squares, noise float64
	for a := range side {
		x := left[a*target.Rank : (a+1)*target.Rank]
		for b := range side {
			y := right[b*target.Rank : (b+1)*target.Rank]
			var sum, terms float64
			for k, value := range x {
				term := float64(value * y[k])
				sum += term
				terms += math.Abs(term)
			}
			out[a*side+b] = target.Scale * sum
			squares += float64(sum * sum)
			noise += float64(terms * terms)
		}
	}
	if !out.finite() {
		return sketch{}, false, nil
	}
	if tolerance := float64(max(target.In, target.Out)) * 0x1p-52; squares <= tolerance*tolerance*noise {
		out = sketch{}
	}
	return out, true, nil
}

func product(x, y diag.Tensor, transpose diag.Transpose) ([]float64, error) {
	p, err := diag.MatMul(x, y, transpose)
	if err != nil {
		return nil, err
	}
	defer p.Drop()
	return p.Values()
}
