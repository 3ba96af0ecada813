// Package similarity is the diagnostic that answers "did they learn the same?": how far the subspaces of two adapters on the same base
// overlap, the phi of the LoRA paper, each beside what independent random subspaces would give.
package similarity

import (
	"math"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/phi"
)

// settings are the operator's parameters.
type settings struct {
	gridRank   int     // rows and columns of the grids
	gaussian   int     // shared weights of each peer that get the panel of random matrices; below 0 all
	initPhi    float64 // how alike the spans of A are, of what chance leaves, where they share their initialisation
	initCosine float64 // how unlike the deltas are all the same
}

// Diagnose looks at one adapter.
func Diagnose(run *diag.Run) error {
	peers := run.Peers()
	if len(peers) == 0 {
		return nil
	}
	set := settings{
		gridRank: int(run.Param("grid_rank")), gaussian: int(run.Param("gaussian")),
		initPhi: run.Param("shared_init_phi"), initCosine: run.Param("shared_init_cosine"),
	}
	tallies := make([]tally, len(peers))
	for _, target := range run.Targets() {
		if err := compareTarget(target, peers, tallies, set); err != nil {
			return err
		}
	}
	for i, peer := range peers {
		tallies[i].report(run, peer.Name, set)
	}
	return nil
}

// compareTarget compares one weight with every peer that adapts it. The target's own decompositions are made once.
func compareTarget(target diag.Target, peers []diag.Peer, tallies []tally, set settings) error {
	var own *subspaces
	for i, peer := range peers {
		pair, ok := peer.Target(target)
		if !ok {
			continue
		}
		if own == nil {
			var err error
			if own, err = decompose(target); err != nil {
				return err
			}
			defer own.drop()
			if own.undefined != nil {
				target.Finding(diag.Warn, "SIMILARITY_UNDEFINED", "it cannot be compared with any adapter: "+own.undefined.Error(),
					"see the findings of hygiene for this weight", 0, 0)
			}
			own.reportGaps(target, "", set.gridRank)
		}
		t := &tallies[i]
		if set.gaussian < 0 || t.targets < set.gaussian {
			if err := compareGaussian(pair, target.Rank, set.gridRank); err != nil {
				return err
			}
		}
		t.targets++
		if own.undefined != nil {
			continue
		}
		if err := comparePair(pair, own, t, set); err != nil {
			return err
		}
	}
	return nil
}

// comparePair reports everything about one weight of two adapters. A delta that is zero has no directions and no cosine; one that is
// undefined is compared in nothing.
func comparePair(pair diag.Target, own *subspaces, t *tally, set settings) error {
	theirs, err := decompose(pair)
	if err != nil {
		return err
	}
	defer theirs.drop()
	if theirs.undefined != nil {
		t.broken.Add(pair.Name)
		return nil
	}
	theirs.reportGaps(pair, "_with", set.gridRank)
	a, err := compare(pair, "phi_a", bases{own.a.V, theirs.a.V, len(own.a.S), len(theirs.a.S), pair.In}, set.gridRank)
	if err != nil {
		return err
	}
	k1, k2 := len(own.delta.S), len(theirs.delta.S)
	right, err := compare(pair, "phi_delta", bases{own.delta.V, theirs.delta.V, k1, k2, pair.In}, set.gridRank)
	if err != nil {
		return err
	}
	left, err := compare(pair, "phi_delta_left", bases{own.delta.U, theirs.delta.U, k1, k2, pair.Out}, set.gridRank)
	if err != nil {
		return err
	}
	if right.cosines == nil || left.cosines == nil {
		t.zero.Add(pair.Name)
		return nil
	}
	if err := right.reportAngles(pair, ""); err != nil {
		return err
	}
	if err := left.reportAngles(pair, "_left"); err != nil {
		return err
	}
	cosine := cosineOf(own.delta.S, theirs.delta.S, left.cosines, right.cosines)
	pair.Metric("cosine", cosine)
	t.addInit(a, len(own.a.S), len(theirs.a.S), pair.In, cosine, set)
	return nil
}

// addInit counts a weight whose A spans nearly the same inputs in both adapters, of what chance leaves to span, while the deltas have
// nothing in common: the two began at the same random A (diagnostics 0.5).
func (t *tally) addInit(a comparison, k1, k2, d int, cosine float64, set settings) {
	null, _ := phi.Null(k1, k2, d)
	if null >= 1 {
		return
	}
	t.compared++
	excess := (a.full - null) / (1 - null)
	if excess < set.initPhi || math.Abs(cosine) > set.initCosine {
		return
	}
	if t.sameInit == 0 || excess < t.leastInit {
		t.leastInit = excess
	}
	t.sameInit++
}
