package duplicates

import (
	"math"
	"strconv"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/deltas"
	"github.com/tenon-ml/tenon/wasm/modules/internal/places"
)

// pair is the adapter and one peer, over the weights that both adapt.
type pair struct {
	targets     int // weights that both adapt
	broken      places.Places
	own, theirs sketch
}

// report compares the signatures, and where they say that the two may be one, the changes themselves.
func (p *pair) report(d *diagnosis, peer diag.Peer) error {
	if p.broken.Count > 0 {
		d.run.Finding(diag.Warn, "DUPLICATES_UNDEFINED", "the change that "+peer.Name+" makes is not finite in "+p.broken.Of(p.targets, "", "weights")+
			" that both adapt, which were not compared", "check that adapter by itself and stop serving it until it is repaired",
			float64(p.broken.Count), 0)
	}
	if p.targets == p.broken.Count {
		return nil
	}
	if p.own.zero() || p.theirs.zero() {
		d.run.Finding(diag.Info, "DUPLICATES_UNDEFINED",
			"this adapter or "+peer.Name+" changes nothing in the weights that both adapt, so there are no signatures to compare",
			"nothing to do, unless the adapter was trained on these weights: then see the findings of hygiene", 0, 0)
		return nil
	}
	own, theirs := p.own.signature(), p.theirs.signature()
	distance := own.distance(theirs)
	cosine, _ := estimate(distance)
	peer.Metric("sketch_distance", float64(distance))
	peer.Metric("sketch_cosine", cosine)
	if distance > d.maxDistance && distance < features-d.maxDistance {
		return nil
	}
	exact, size, ok, err := cosineTotal(d.run, peer)
	if err != nil || !ok {
		return err
	}
	peer.Metric("cosine_total", exact)
	peer.Metric("size_ratio", size)
	p.name(d, peer, exact, size)
	return nil
}

// name says that the peer changes the same, or the opposite. A cosine does not see the size of the two changes, so that is told beside it.
func (p *pair) name(d *diagnosis, peer diag.Peer, cosine, size float64) {
	if math.Abs(cosine) < d.nearCosine {
		return
	}
	d.named[hex(peer.Name)] = true
	where := "the " + strconv.Itoa(p.targets) + " weights that both adapt"
	if alone := len(d.run.Targets()) - p.targets; alone > 0 {
		where += "; " + strconv.Itoa(alone) + " more only this one adapts"
	}
	if cosine > 0 {
		d.run.Finding(diag.Info, "NEAR_DUPLICATE", "it makes a change in the same direction as "+peer.Name+", "+times(size)+" (cosine "+
			decimal(cosine, 4)+" over "+where+"): one may be a copy or a later checkpoint of the other",
			"load one of them only, or expect the two effects to add up when both are merged", cosine, d.nearCosine)
		return
	}
	d.run.Finding(diag.Info, "OPPOSITE",
		"it makes a change in the opposite direction of "+peer.Name+", "+times(size)+" (cosine "+decimal(cosine, 4)+" over "+where+
			"): merged together they take from each other",
		"check the sign of the scale, unless it is meant to take the other one back", cosine, -d.nearCosine)
}

// times says how large a change is beside another, as people read it.
func times(size float64) string {
	if words := strconv.FormatFloat(size, 'g', 2, 64); words != "1" {
		return words + " times as large"
	}
	return "as large"
}

// cosineTotal is the exact cosine of the two changes over the weights that both adapt, and how many times as large as the peer's this one
// is, by norm. It is false where a norm is not above zero, or the sums are too large for a float.
func cosineTotal(run *diag.Run, peer diag.Peer) (cosine, size float64, ok bool, err error) {
	var inner, own, theirs float64
	for _, target := range run.Targets() {
		pair, ok := peer.Target(target)
		if !ok {
			continue
		}
		var values [3]float64
		for i, of := range [3][2]diag.Target{{target, pair}, {target, target}, {pair, pair}} {
			if values[i], err = deltas.Inner(of[0], of[1]); err != nil {
				return 0, 0, false, err
			}
		}
		if finite := values[0] - values[0] + values[2] - values[2]; finite != 0 {
			continue // a weight of the peer that has no sketch either
		}
		inner += values[0]
		own += values[1]
		theirs += values[2]
	}
	cosine = inner / (math.Sqrt(own) * math.Sqrt(theirs))
	size = math.Sqrt(own) / math.Sqrt(theirs)
	return min(max(cosine, -1), 1), size, cosine-cosine == 0 && size-size == 0, nil
}
