// Package duplicates is the diagnostic that answers "do we have this one already?": a signature of what an adapter changes, the same
// however its factors are written, to compare with that of any number of other adapters.
package duplicates

import (
	"errors"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/places"
)

// Diagnose looks at one adapter. What a bank keeps of it, the grid features, is reported whether or not there is anything to compare with.
func Diagnose(run *diag.Run) error {
	d := &diagnosis{
		run: run, maxDistance: int(run.Param("max_distance")), nearCosine: run.Param("near_cosine"), peers: run.Peers(), named: map[string]bool{},
	}
	d.pairs = make([]pair, len(d.peers))
	for _, target := range run.Targets() {
		if err := d.sketch(target); err != nil {
			return err
		}
	}
	if d.broken.Count > 0 {
		run.Finding(diag.Warn, "DUPLICATES_UNDEFINED", "its change is not finite in "+d.broken.Of(len(run.Targets()), "", "weights")+", so it has no signature",
			"see the findings of hygiene for these weights", float64(d.broken.Count), 0)
		return nil
	}
	run.Grid("features", 1, features, d.own[:])
	if d.own.zero() {
		run.Finding(diag.Info, "DUPLICATES_UNDEFINED", "it changes nothing, so it has no signature",
			"nothing to do, unless the adapter was trained: then see the findings of hygiene", 0, 0)
		return nil
	}
	signature := d.own.signature()
	run.Grid("signature", 1, len(signature), signature.words())
	for i, peer := range d.peers {
		if err := d.pairs[i].report(d, peer); err != nil {
			return err
		}
	}
	return d.compareBank(signature)
}

// diagnosis is the state of one run.
type diagnosis struct {
	run         *diag.Run
	maxDistance int     // bits in which the signatures of a duplicate differ at most
	nearCosine  float64 // least cosine of a duplicate, where the exact one is known
	own         sketch
	broken      places.Places // own weights without a sketch
	peers       []diag.Peer
	pairs       []pair          // by peer
	named       map[string]bool // hex digests of the peers that are duplicates
	buffer      []float64
}

// sketch adds one weight to the sketches of the adapter and of the peers that adapt it.
func (d *diagnosis) sketch(target diag.Target) error {
	signs, err := d.newSigns(target)
	if err != nil {
		return err
	}
	defer signs.drop()
	own, ok, err := signs.sketch(target)
	if err != nil {
		return err
	}
	if !ok {
		d.broken.Add(target.Name)
		return nil
	}
	d.own.add(own)
	for i, peer := range d.peers {
		pair, ok := peer.Target(target)
		if !ok {
			continue
		}
		p := &d.pairs[i]
		p.targets++
		theirs, ok, err := signs.sketch(pair)
		if err != nil {
			return err
		}
		if !ok {
			p.broken.Add(target.Name)
			continue
		}
		p.own.add(own)
		p.theirs.add(theirs)
	}
	return nil
}

// compareBank holds the signature against those of the operator's bank, whose features are of each adapter as a whole.
func (d *diagnosis) compareBank(own signature) error {
	names, ok := d.run.BankNames()
	if !ok || len(names) == 0 {
		return nil
	}
	table, ok := d.run.BankFeatures()
	if !ok {
		return nil
	}
	defer table.Drop()
	rows, cols, err := table.Shape()
	if err != nil {
		return err
	}
	if cols != features || rows != len(names) {
		return errors.New("the bank holds " + strconv.Itoa(cols) + " features of each adapter, and a signature has " + strconv.Itoa(features))
	}
	self, _ := d.run.Attr("adapter.digest")
	b := bankSearch{maxDistance: d.maxDistance, nearest: features + 1}
	for i, name := range names {
		var theirs sketch
		if err := table.Read64(theirs[:], i*features); err != nil {
			return err
		}
		// The adapter itself is no duplicate of itself, and what is said of a peer is exact.
		if hex(name) == hex(self) || d.named[hex(name)] || !theirs.finite() || theirs.zero() {
			continue
		}
		b.add(name, own.distance(theirs.signature()), d.own.norm()/theirs.norm())
	}
	b.report(d.run)
	return nil
}

// hex is a digest without the name of its algorithm.
func hex(digest string) string {
	_, after, found := strings.Cut(digest, ":")
	if found {
		return after
	}
	return digest
}
