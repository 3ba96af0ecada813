package similarity

import (
	"errors"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/gaps"
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

// measureNoise bounds the error that the stored factors carry, of A and of delta W.
func (s *subspaces) measureNoise(target diag.Target) error {
	b, err := target.B().Stats()
	if err != nil {
		return err
	}
	var squares float64
	for _, value := range s.a.S {
		squares += float64(value * value)
	}
	s.noiseA = gaps.Roundoff(target.FactorDType) * math.Sqrt(squares)
	s.noiseDelta = gaps.Noise(target, math.Sqrt(squares), math.Sqrt(b.SumSquares))
	return nil
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
		target.Grid("gap"+g.side+suffix, 1, k, gaps.Of(g.values)[:k])
		target.Grid("grey"+g.side+suffix, 1, k, gaps.Grey(g.values, g.noise)[:k])
	}
}
