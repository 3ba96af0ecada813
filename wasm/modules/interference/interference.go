// Package interference is the diagnostic that answers "will it clash?": whether the adapter and those it is to live beside change the same
// weights in opposite directions, so that merged together they undo each other.
package interference

import (
	"errors"
	"math"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/deltas"
)

// Diagnose looks at one adapter.
func Diagnose(run *diag.Run) error {
	peers := run.Peers()
	if len(peers) == 0 {
		return nil
	}
	d := &diagnosis{
		peers: peers, tallies: make([]tally, len(peers)), limits: limitsOf(run),
		entries: entries{density: run.Param("density"), exact: int(run.Param("exact_entries")), sample: int(run.Param("sample_entries"))},
	}
	for _, target := range run.Targets() {
		if err := d.measure(target); err != nil {
			return err
		}
	}
	if d.together.squares > 0 {
		run.Metric("norm_blowup_all", d.together.blowup())
	}
	for i, peer := range peers {
		d.tallies[i].report(run, peer, d.limits)
	}
	return nil
}

// diagnosis is the state of one run.
type diagnosis struct {
	peers    []diag.Peer
	tallies  []tally // by peer
	limits   limits
	entries  entries
	together sum // of the adapter and all peers, over the weights done so far
}

// sum is what adding deltas up gives: the square of the norm of their sum, and the sum of the squares of their norms.
type sum struct{ square, squares float64 }

// blowup is 1 where the deltas are orthogonal, the square root of their number where they are equal, and 0 where they cancel.
func (s sum) blowup() float64 { return math.Sqrt(max(s.square, 0) / s.squares) }

func (s *sum) add(t sum) {
	s.square += t.square
	s.squares += t.squares
}

// measure compares one weight with every peer that adapts it.
func (d *diagnosis) measure(target diag.Target) error {
	pairs, indices := d.shared(target)
	if len(pairs) == 0 {
		return nil
	}
	own, err := target.DeltaSVD()
	if errors.Is(err, abi.Numeric) {
		target.Finding(diag.Warn, "INTERFERENCE_UNDEFINED", "it cannot be compared with any adapter: "+err.Error(),
			"see the findings of hygiene for this weight", 0, 0)
		return nil
	}
	if err != nil {
		return err
	}
	defer own.Drop()
	square, err := deltas.Inner(target, target)
	if err != nil {
		return err
	}
	if !finite(square) {
		target.Finding(diag.Warn, "INTERFERENCE_UNDEFINED", "it cannot be compared with any adapter: the square of its change is not finite",
			"see the findings of hygiene for this weight", 0, 0)
		return nil
	}
	all := sum{square, square}
	var counted []diag.Target // the peers in all
	d.entries.begin(target)
	for i, pair := range pairs {
		p := measured{target: target, pair: pair, own: own, square: square}
		theirs, ok, err := p.measure(&d.tallies[indices[i]], &d.entries, d.limits)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		all.add(sum{theirs + 2*p.inner, theirs})
		for _, other := range counted {
			inner, err := deltas.Inner(pair, other)
			if err != nil {
				return err
			}
			all.square += 2 * inner
		}
		counted = append(counted, pair)
	}
	if len(counted) > 0 && all.squares > 0 {
		target.Metric("norm_blowup_all", all.blowup())
		d.together.add(all)
	}
	return nil
}

// shared gives the target of every peer that adapts this weight, and which peer it is.
func (d *diagnosis) shared(target diag.Target) (pairs []diag.Target, indices []int) {
	for i, peer := range d.peers {
		if pair, ok := peer.Target(target); ok {
			pairs, indices = append(pairs, pair), append(indices, i)
			d.tallies[i].targets++
		}
	}
	return pairs, indices
}
