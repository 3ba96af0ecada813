package similarity

import (
	"errors"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

// subspaces are the decompositions of one target of one adapter: of A alone, and of delta W. Both are empty where undefined says why there
// are none, because a factor is not finite: hygiene denies that, and the other weights can still be compared.
type subspaces struct {
	a, delta           diag.Triples
	noiseA, noiseDelta float64 // what storing the factors can have moved the singular values by
	undefined          error
}

func decompose(target diag.Target) (*subspaces, error) {
	a, err := decomposeA(target.A(), target.Rank)
	if errors.Is(err, abi.Numeric) {
		return &subspaces{undefined: err}, nil
	}
	if err != nil {
		return nil, err
	}
	delta, err := target.DeltaSVD()
	if err != nil {
		a.Drop()
		if errors.Is(err, abi.Numeric) {
			return &subspaces{undefined: err}, nil
		}
		return nil, err
	}
	s := &subspaces{a: a, delta: delta}
	if err := s.measureNoise(target); err != nil {
		s.drop()
		return nil, err
	}
	return s, nil
}

// decomposeA takes A as the product of the identity and A: that way its wide shape costs a thin QR, and its rank is cut by the same rule
// as that of delta W, so that the directions of a dependent row, which are arbitrary, are not compared.
func decomposeA(a diag.Tensor, rank int) (diag.Triples, error) {
	identity := make([]float64, rank*rank)
	for i := range rank {
		identity[i*rank+i] = 1
	}
	one, err := diag.Put(rank, rank, identity)
	if err != nil {
		return diag.Triples{}, err
	}
	defer one.Drop()
	return diag.DeltaSVD(one, a, 1)
}

func (s *subspaces) drop() {
	s.a.Drop()
	s.delta.Drop()
}

// measureNoise bounds the error that the stored factors carry: each value a relative rounding error u, so that A is known to u ||A|| and
// B A to 2 u ||B|| ||A|| in Frobenius norm. For Gaussian factors || |B| |A| ||, which diagnostics A.6 bounds it by, is smaller by pi/2.
func (s *subspaces) measureNoise(target diag.Target) error {
	b, err := target.B().Stats()
	if err != nil {
		return err
	}
	u := roundoff(target.FactorDType)
	var squares float64
	for _, value := range s.a.S {
		squares += float64(value * value)
	}
	s.noiseA = u * math.Sqrt(squares)
	s.noiseDelta = 2 * u * math.Abs(target.Scale) * math.Sqrt(squares) * math.Sqrt(b.SumSquares)
	return nil
}

// roundoff is the relative error of a value stored in dtype, typically: half of the largest.
func roundoff(dtype abi.DType) float64 {
	switch dtype {
	case abi.DTypeBF16:
		return 0x1p-9
	case abi.DTypeF16:
		return 0x1p-12
	case abi.DTypeF32:
		return 0x1p-25
	}
	return 0x1p-52 // no error of storage, but one of the arithmetic
}

// reportGaps reports how far each singular value is from the next, and which of these gaps are below the noise of the stored factors: the
// cut after such a direction is arbitrary, phi there means nothing, and a figure greys it (diagnostics A.6).
func (s *subspaces) reportGaps(target diag.Target, suffix string, gridRank int) {
	for _, g := range []struct {
		side   string
		values []float64
		noise  float64
	}{{"_a", s.a.S, s.noiseA}, {"", s.delta.S, s.noiseDelta}} {
		k := min(len(g.values), gridRank)
		if k < 1 {
			continue
		}
		gap := gaps(g.values)
		grey := make([]float64, k)
		for i := range grey {
			if gap[i]*g.values[0] <= g.noise {
				grey[i] = 1
			}
		}
		target.Grid("gap"+g.side+suffix, 1, k, gap[:k])
		target.Grid("grey"+g.side+suffix, 1, k, grey)
	}
}

// gaps gives (s_i - s_i+1) / s_1 for singular values in descending order, and s_k / s_1 for the last.
func gaps(s []float64) []float64 {
	out := make([]float64, len(s))
	for i, value := range s {
		if i+1 < len(s) {
			value -= s[i+1]
		}
		out[i] = value / s[0]
	}
	return out
}
