package main

import (
	"cmp"
	"errors"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
)

// nearDuplicate is the cosine of two deltas above which the adapters are taken for the same.
const nearDuplicate = 0.99

// shared sums up the weights that the adapter and one peer both adapt.
type shared struct {
	targets, alike int
	least          float64 // the smallest cosine among those alike
}

func (s *shared) add(cosine float64) {
	if cosine <= nearDuplicate {
		return
	}
	if s.alike == 0 || cosine < s.least {
		s.least = cosine
	}
	s.alike++
}

func diagnose(run *diag.Run) error {
	peers := run.Peers()
	if len(peers) == 0 {
		return nil
	}
	tally := make([]shared, len(peers))
	for _, target := range run.Targets() {
		if err := compareTarget(target, peers, tally, int(run.Param("grid_rank"))); err != nil {
			return err
		}
	}
	for i, peer := range peers {
		if t := tally[i]; t.targets > 0 && t.alike == t.targets {
			run.Finding(diag.Info, "NEAR_DUPLICATE",
				"the deltas agree with those of "+peer.Name+" on every weight both adapt: one may be a copy or a later checkpoint of the other",
				"load one of them only, or expect twice the effect when both are merged", t.least, nearDuplicate)
		}
	}
	return nil
}

// compareTarget compares one weight with every peer that adapts it. The target's own decompositions are made once.
func compareTarget(target diag.Target, peers []diag.Peer, tally []shared, gridRank int) error {
	var own *subspaces
	for i, peer := range peers {
		pair, ok := peer.Target(target)
		if !ok {
			continue
		}
		tally[i].targets++
		if own == nil {
			var err error
			if own, err = decompose(target); err != nil {
				return err
			}
			defer own.drop()
			own.reportGaps(target, "", gridRank)
		}
		cosine, ok, err := comparePair(pair, own, gridRank)
		if err != nil {
			return err
		}
		if ok {
			tally[i].add(cosine)
		}
	}
	return nil
}

// comparePair reports everything about one weight of two adapters. There is no cosine where a delta is zero or undefined.
func comparePair(pair diag.Target, own *subspaces, gridRank int) (cosine float64, ok bool, err error) {
	theirs, err := decompose(pair)
	if err != nil {
		return 0, false, err
	}
	defer theirs.drop()
	if own.undefined != nil || theirs.undefined != nil {
		pair.Finding(diag.Warn, "SIMILARITY_UNDEFINED", "the two adapters cannot be compared: "+cmp.Or(own.undefined, theirs.undefined).Error(),
			"see the findings of hygiene for this weight of either adapter", 0, 0)
		return 0, false, nil
	}
	theirs.reportGaps(pair, "_with", gridRank)
	if _, err := compareMode(pair, "phi_a", own.a.V, theirs.a.V, len(own.a.S), len(theirs.a.S), pair.In, gridRank); err != nil {
		return 0, false, err
	}
	right, err := compareMode(pair, "phi_delta", own.delta.V, theirs.delta.V, len(own.delta.S), len(theirs.delta.S), pair.In, gridRank)
	if err != nil {
		return 0, false, err
	}
	left, err := compareMode(pair, "phi_delta_left", own.delta.U, theirs.delta.U, len(own.delta.S), len(theirs.delta.S), pair.Out, gridRank)
	if err != nil {
		return 0, false, err
	}
	if right == nil || left == nil {
		return 0, false, nil
	}
	cosine = cosineOf(own.delta.S, theirs.delta.S, left, right)
	pair.Metric("cosine", cosine)
	return cosine, true, nil
}

// subspaces are the decompositions of one target of one adapter: of A alone, and of delta W. Both are empty where undefined says why there
// are none, because a factor is not finite: hygiene denies that, and the other weights can still be compared.
type subspaces struct {
	a, delta  diag.Triples
	undefined error
}

func decompose(target diag.Target) (*subspaces, error) {
	a, err := decomposeA(target)
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
	return &subspaces{a: a, delta: delta}, nil
}

// decomposeA takes A as the product of the identity and A: that way its wide shape costs a thin QR, and its rank is cut by the same rule
// as that of delta W, so that the directions of a dependent row, which are arbitrary, are not compared.
func decomposeA(target diag.Target) (diag.Triples, error) {
	identity := make([]float64, target.Rank*target.Rank)
	for i := range target.Rank {
		identity[i*target.Rank+i] = 1
	}
	one, err := diag.Put(target.Rank, target.Rank, identity)
	if err != nil {
		return diag.Triples{}, err
	}
	defer one.Drop()
	return diag.DeltaSVD(one, target.A(), 1)
}

func (s *subspaces) drop() {
	s.a.Drop()
	s.delta.Drop()
}

// reportGaps reports how far each singular value is from the next: where the gap is below the noise of the stored factors, the cut after
// that direction is arbitrary and φ there means nothing (diagnostics A.6).
func (s *subspaces) reportGaps(target diag.Target, suffix string, gridRank int) {
	for _, g := range []struct {
		name   string
		values []float64
	}{{"gap_a", gaps(s.a.S)}, {"gap", gaps(s.delta.S)}} {
		if k := min(len(g.values), gridRank); k > 0 {
			target.Grid(g.name+suffix, 1, k, g.values[:k])
		}
	}
}
