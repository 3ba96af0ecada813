package interference

import (
	"strconv"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/places"
)

// limits are when two updates of a weight clash.
type limits struct {
	z       float64 // both sides overlap so many standard deviations beyond chance
	cosine  float64 // and the updates are opposed by at least this cosine, and by z
	opposed float64 // or, of the large entries of both, at least this share
	warn    float64 // share of the weights that makes it a warning
}

func limitsOf(run *diag.Run) limits {
	return limits{run.Param("clash_z"), run.Param("clash_cosine"), run.Param("clash_opposed"), run.Param("clash_warn")}
}

// clash tells whether the two write over each other here. One side alone is no clash: the right side alone answers the same inputs
// elsewhere, the left side alone writes to the same outputs on other inputs. Nor are two random updates, of which half of the common
// entries are opposed. A side on which a change has all directions there are has no z: it overlaps by itself. Where that is so of both, they
// say nothing, and the signs of entries, which have no z either, are not enough.
func (l limits) clash(m *measured) bool {
	if !m.left.beyond(l.z) || !m.right.beyond(l.z) {
		return false
	}
	if m.cosine <= -l.cosine && m.cosineZ <= -l.z {
		return true
	}
	if m.left.whole && m.right.whole {
		return false
	}
	opposed := false
	m.conflict.shares(func(name string, share, _, deviation float64) {
		if name == "sign_opposed" && share-3*deviation >= l.opposed {
			opposed = true
		}
	})
	return opposed
}

// tally sums up the weights that the adapter and one peer both adapt.
type tally struct {
	targets      int           // weights that both adapt
	broken, zero places.Places // where nothing can be compared
	compared     int

	inner, own, theirs float64 // <.,.> and the squares over the weights compared
	together           sum
	left, right        float64 // sums of the excess overlaps
	conflicts          []conflict

	clashes  int
	worst    string // the weight with the smallest cosine of those that clash
	worstCos float64
}

func (t *tally) add(m *measured, s sum, theirs float64, l limits) {
	t.compared++
	t.inner += m.inner
	t.own += m.square
	t.theirs += theirs
	t.together.add(s)
	t.left += m.left.excess
	t.right += m.right.excess
	t.conflicts = append(t.conflicts, m.conflict)
	if !l.clash(m) {
		return
	}
	t.clashes++
	if t.worst == "" || m.cosine < t.worstCos {
		t.worst, t.worstCos = m.pair.Name, m.cosine
	}
}

// report gives what is true of the two adapters as a whole. What can be wrong with many weights is one finding for the peer, so that a
// hundred peers with a thousand weights do not use up the limit on findings.
func (t *tally) report(run *diag.Run, peer diag.Peer, l limits) {
	if t.targets > 0 {
		peer.Metric("shared_targets", float64(t.targets))
	}
	if t.broken.Count > 0 {
		run.Finding(diag.Warn, "INTERFERENCE_UNDEFINED", "the change that "+peer.Name+" makes is not finite in "+t.broken.Of(t.targets, "the ", "weights that both adapt")+
			", which were not compared", "check that adapter by itself and stop serving it until it is repaired", float64(t.broken.Count), 0)
	}
	if t.zero.Count > 0 {
		run.Finding(diag.Info, "INTERFERENCE_UNDEFINED", "this adapter or "+peer.Name+" changes nothing in "+t.zero.Of(t.targets, "the ", "weights that both adapt")+
			", so nothing can interfere there", "nothing to do, unless the adapter was trained on these weights: then see the findings of hygiene",
			float64(t.zero.Count), 0)
	}
	if t.compared == 0 {
		return
	}
	n := float64(t.compared)
	peer.Metric("cosine", cosine(t.inner, t.own, t.theirs))
	peer.Metric("norm_blowup", t.together.blowup())
	peer.Metric("overlap_left_excess", t.left/n)
	peer.Metric("overlap_right_excess", t.right/n)
	var contested float64
	for _, c := range t.conflicts {
		contested += c.opposed.total()
	}
	each(func(name string, share, null, deviation float64) {
		peer.Metric(name, share)
		peer.Metric(name+"_null", null)
		if deviation > 0 {
			peer.Metric(name+"_se", deviation)
		}
	}, t.conflicts)
	peer.Metric("contested", contested)
	peer.Metric("clashes", float64(t.clashes))
	if t.clashes > 0 {
		t.reportClash(run, peer.Name, l)
	}
}

func (t *tally) reportClash(run *diag.Run, peer string, l limits) {
	share := float64(t.clashes) / float64(t.targets)
	var severity abi.Severity = diag.Info
	if share >= l.warn {
		severity = diag.Warn
	}
	run.Finding(severity, "CLASH", "it and "+peer+" write over each other in "+strconv.Itoa(t.clashes)+" of the "+strconv.Itoa(t.targets)+
		" weights that both adapt: they change the same directions and pull them apart, most in "+t.worst+" (cosine "+
		strconv.FormatFloat(t.worstCos, 'f', 2, 64)+"); merged together, each loses part of what it learned",
		"serve them one at a time; if both must be merged, test the sum on the tasks of both, or train one on top of the other", share, l.warn)
}
