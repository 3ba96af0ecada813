package interference

import (
	"errors"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/deltas"
	"github.com/tenon-ml/tenon/wasm/modules/internal/phi"
)

// measured is one weight of the adapter and of one peer.
type measured struct {
	target, pair  diag.Target
	own           diag.Triples
	square, inner float64 // ||own delta||^2 and <own delta, theirs>

	cosine, cosineZ float64
	left, right     overlap
	conflict        conflict
}

// measure reports everything about the pair and gives ||their delta||^2. It is false where the peer's factors are not finite. Where one of
// the deltas is zero there is nothing to compare, but the norms still add up.
func (m *measured) measure(t *tally, e *entries, l limits) (square float64, ok bool, err error) {
	theirs, err := m.pair.DeltaSVD()
	if errors.Is(err, abi.Numeric) {
		t.broken.Add(m.pair.Name)
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer theirs.Drop()
	if square, err = deltas.Inner(m.pair, m.pair); err != nil {
		return 0, false, err
	}
	if m.inner, err = deltas.Inner(m.target, m.pair); err != nil {
		return 0, false, err
	}
	if !finite(square) || !finite(m.inner) {
		t.broken.Add(m.pair.Name)
		return 0, false, nil
	}
	if len(m.own.S) == 0 || len(theirs.S) == 0 || m.square <= 0 || square <= 0 {
		t.zero.Add(m.pair.Name)
		return square, true, nil
	}
	m.cosine = cosine(m.inner, m.square, square)
	m.cosineZ = m.cosine * math.Sqrt(float64(m.pair.In)*float64(m.pair.Out))
	pairSum := sum{m.square + square + 2*m.inner, m.square + square}
	m.pair.Metric("cosine", m.cosine)
	m.pair.Metric("cosine_z", m.cosineZ)
	m.pair.Metric("norm_blowup", pairSum.blowup())
	if m.left, err = m.overlap("overlap_left", m.own.U, theirs.U, len(theirs.S), m.pair.Out); err != nil {
		return 0, false, err
	}
	if m.right, err = m.overlap("overlap_right", m.own.V, theirs.V, len(theirs.S), m.pair.In); err != nil {
		return 0, false, err
	}
	if m.conflict, err = e.compare(m.pair); err != nil {
		return 0, false, err
	}
	m.conflict.report(m.pair)
	t.add(m, pairSum, square, l)
	return square, true, nil
}

// overlap is phi of two subspaces at their numerical ranks, and its distance from chance. There is no z where one is the whole space.
type overlap struct {
	excess, z float64
	whole     bool // one of them is the whole space, so every other lies in it
}

// beyond tells whether the overlap is at least z standard deviations beyond chance, or as large as it can be.
func (o overlap) beyond(z float64) bool { return o.whole || o.z >= z }

func (m *measured) overlap(name string, u, v diag.Tensor, k2, d int) (overlap, error) {
	product, err := diag.MatMul(u, v, diag.TransposeA)
	if err != nil {
		return overlap{}, err
	}
	defer product.Drop()
	cosines, err := product.Values()
	if err != nil {
		return overlap{}, err
	}
	k1 := len(m.own.S)
	value := phi.Full(cosines, k1, k2)
	mean, sd := phi.Null(k1, k2, d)
	m.pair.Metric(name, value)
	m.pair.Metric(name+"_null", mean)
	o := overlap{excess: value - mean, whole: sd == 0}
	if sd > 0 {
		o.z = o.excess / sd
		m.pair.Metric(name+"_z", o.z)
	}
	return o, nil
}

// cosine is <D1, D2> / (||D1|| ||D2||) from the inner product and the squares.
func cosine(inner, square1, square2 float64) float64 {
	return min(max(inner/(math.Sqrt(square1)*math.Sqrt(square2)), -1), 1)
}

// finite tells whether a sum is a number. Factors can be finite where the square of their product is not.
func finite(x float64) bool { return x-x == 0 }
