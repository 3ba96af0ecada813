package kernel

import (
	"fmt"
	"math"
)

// DeltaSVD factorises scale·B·A (B is out x r, A is r x in) without forming it: QR of B and of Aᵀ, then the SVD of the core R_B R_Aᵀ. U is
// out x rank, s descending, V is in x rank, and signs are fixed as SVD does. rank is the numerical rank, the number of singular values
// above
//
//	max(out, in) · 2^-52 · |scale| · ‖B‖_F · ‖A‖_F
//
// which is relative to the factors: a product of factors that cancel is noise from its first singular value on. Where rank is 0, U, s
// and V are nil. It fails with ErrNumeric where scale, B or A are not finite, or a singular value is not.
func DeltaSVD(b, a *Matrix, scale float64) (u *Matrix, s []float64, v *Matrix, rank int, err error) {
	core, err := newCore(b, a, scale, true)
	if err != nil || len(core.s) == 0 {
		return nil, nil, nil, 0, err
	}
	u, v = core.b.apply(core.u), core.a.apply(core.v)
	if scale < 0 {
		negate(u.Data)
	}
	fixRowSigns(u, v)
	return u, core.s, v, len(core.s), nil
}

// DeltaValues returns the singular values that DeltaSVD does, to the bit, without any vectors. It fails as DeltaSVD does.
func DeltaValues(b, a *Matrix, scale float64) ([]float64, error) {
	core, err := newCore(b, a, scale, false)
	return core.s, err
}

// deltaCore is scale·B·A in the bases of its factors: B is Q_B R_B, Aᵀ is Q_A R_A, and |scale| R_B R_Aᵀ is u diag(s) vᵀ up to what is
// below the tolerance.
type deltaCore struct {
	b, a *tall
	u, v columns
	s    []float64
}

// newCore does all of DeltaSVD that does not need the Qs, which it only keeps for vectors.
func newCore(b, a *Matrix, scale float64, vectors bool) (deltaCore, error) {
	tallB, exponentB, err := scaledTall("B", b, false)
	if err != nil {
		return deltaCore{}, err
	}
	tallA, exponentA, err := scaledTall("A", a, true)
	if err != nil {
		return deltaCore{}, err
	}
	if b.Cols != a.Rows {
		return deltaCore{}, fmt.Errorf("B is %d x %d and A is %d x %d: %w", b.Rows, b.Cols, a.Rows, a.Cols, ErrShape)
	}
	if scale-scale != 0 {
		return deltaCore{}, fmt.Errorf("the scale is %g: %w", scale, ErrNumeric)
	}
	if scale == 0 {
		return deltaCore{}, nil
	}
	factorizeAll(vectors, tallB, tallA)
	// A factor and its R have the same norm.
	tolerance := float64(max(b.Rows, a.Cols)) * 0x1p-52 * frobenius(tallB.r()) * frobenius(tallA.r())
	if tolerance == 0 {
		return deltaCore{}, nil
	}
	u, s, v, err := svdCore(tallB, tallA, vectors)
	if err != nil {
		return deltaCore{}, err
	}
	rank := 0
	for rank < len(s) && s[rank] > tolerance {
		rank++
	}
	s = s[:rank]
	fraction, exponent := math.Frexp(math.Abs(scale))
	for i := range s {
		s[i] *= fraction
	}
	core := deltaCore{b: tallB, a: tallA, s: s}
	if vectors {
		core.u, core.v = u.part(0, rank), v.part(0, rank)
	}
	return core, rescale(s, exponentB+exponentA+exponent)
}

// scaledTall prepares the factorisation of a finite m or its transpose, over a power of two that brings it to size 1.
func scaledTall(name string, m *Matrix, transposed bool) (t *tall, exponent int, err error) {
	if err := m.check(name); err != nil {
		return nil, 0, err
	}
	largest := m.largest()
	if largest-largest != 0 {
		return nil, 0, m.checkFinite(name) // which says where
	}
	if largest == 0 {
		return newTall(m, transposed, 1), 0, nil
	}
	exponent = math.Ilogb(largest)
	if !plainPower(exponent) {
		copied := NewMatrix(m.Rows, m.Cols)
		for i, v := range m.Data {
			copied.Data[i] = math.Ldexp(v, -exponent)
		}
		return newTall(copied, transposed, 1), exponent, nil
	}
	return newTall(m, transposed, math.Ldexp(1, -exponent)), exponent, nil
}

// largest is the largest magnitude in m; NaN where m has NaN, else infinity where it has that.
func (m *Matrix) largest() float64 {
	const part = 1 << 16
	parts := make([]float64, (len(m.Data)+part-1)/part)
	n := workers(len(parts), float64(len(m.Data)))
	parallel(n, func(worker int) {
		for i := worker; i < len(parts); i += n {
			parts[i] = largestOf(m.Data[i*part : min((i+1)*part, len(m.Data))])
		}
	})
	return largestOf(parts)
}

// svdCore factorises R_B R_Aᵀ.
func svdCore(b, a *tall, vectors bool) (u columns, s []float64, v columns, err error) {
	rb, ra := b.r(), a.r()
	product := NewMatrix(a.k(), b.k()) // R_A R_Bᵀ by rows: the columns of the core
	addProduct(product, view{ra.byRows(), true}, pack(view{rb.byRows(), false}))
	if b.k() < a.k() {
		v, s, u, err = topTall(columnsOf(product, false), b.k(), vectors)
		return u, s, v, err
	}
	return topTall(columnsOf(product, true), a.k(), vectors)
}

func frobenius(c columns) float64 {
	var squares float64
	for j := range c.cols {
		squares += dot(c.column(j), c.column(j))
	}
	return math.Sqrt(squares)
}
