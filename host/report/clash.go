package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The limits by which a cosine becomes words: a distance from chance counts from five standard deviations on, and below 0.05 what is beyond
// chance is still little. They are those of the diagnostic interference.
const (
	beyondChance = 5
	littleCosine = 0.05
)

// kinship is what was measured of the adapter and one other.
type kinship struct {
	name            string // escaped
	cosine          float64
	clashes, shared int // weights that they write over each other in, and weights that both adapt
	judged, beyond  int // weights whose cosine was held against chance, and those where chance does not explain it
}

// opposes reports whether the two pull against each other, and not by chance.
func (k kinship) opposes() bool { return k.cosine <= -littleCosine && !k.chance() }

// chance reports whether chance explains the cosine of every weight.
func (k kinship) chance() bool { return k.judged > 0 && k.beyond == 0 }

// gravest puts first what a person must know: the most clashes, then the most opposed, then the most alike.
func gravest(a, b kinship) int {
	opposed := func(k kinship) float64 {
		if k.opposes() {
			return k.cosine
		}
		return 0
	}
	return cmp.Or(cmp.Compare(b.clashes, a.clashes), cmp.Compare(opposed(a), opposed(b)), cmp.Compare(b.cosine, a.cosine))
}

// relation is how the two relate, as the end of a sentence about them.
func (k kinship) relation() string {
	switch {
	case k.chance():
		return "are unrelated"
	case k.cosine >= littleCosine:
		return "pull in part the same way"
	case k.cosine <= -littleCosine:
		return "pull in part against each other"
	case k.judged == 0:
		return "have little in common"
	case 2*k.beyond < k.judged:
		return fmt.Sprintf("are unrelated in %d of %s", k.judged-k.beyond, plural(k.judged, "weight"))
	}
	return "are related, but little"
}

// scale is the cosine and how to read it.
func (k kinship) scale() string {
	places := 2
	if math.Abs(k.cosine) < littleCosine {
		places = 3
	}
	text := fmt.Sprintf("(cosine %s; 1 is the same, 0 unrelated, -1 opposite)", decimals(places)(k.cosine))
	return strings.ReplaceAll(text, "-", "−") // a hyphen would be a place to fold the line
}

// kin are the adapters that something was measured against, the gravest first.
func kin(r *Report) []kinship {
	labels := PeerLabels(r.Peers)
	var all []kinship
	for _, peer := range r.Peers {
		k := kinship{name: labels[peer.Digest]}
		cosines, _, _ := measured(r.Metrics, "cosine", peer.Digest)
		cosine, ok := overall(r.Metrics, "cosine", peer.Digest)
		if !ok && len(cosines) > 0 {
			cosine, ok = median(cosines), true
		}
		if !ok {
			continue
		}
		k.cosine = cosine
		if n, ok := overall(r.Metrics, "clashes", peer.Digest); ok {
			k.clashes = int(n)
		}
		if n, ok := overall(r.Metrics, "shared_targets", peer.Digest); ok {
			k.shared = int(n)
		}
		for _, z := range distances(r.Metrics, peer.Digest) {
			k.judged++
			if math.Abs(z) >= beyondChance {
				k.beyond++
			}
		}
		all = append(all, k)
	}
	slices.SortStableFunc(all, gravest)
	return all
}

// distances tells for each weight how many standard deviations the cosine with one other adapter is from chance: as reported, or else by the
// dimensions of the weight. Of d inputs two random directions share 1/d, which is reported, and likewise of the outputs; the cosine of
// random changes has the standard deviation √(1/(d_in d_out)).
func distances(metrics []Metric, with string) map[string]float64 {
	seen := map[string]map[string]float64{}
	for _, m := range metrics {
		if m.With == with && m.Target != "" {
			if seen[m.Target] == nil {
				seen[m.Target] = map[string]float64{}
			}
			seen[m.Target][m.Name] = float64(m.Value)
		}
	}
	z := map[string]float64{}
	for target, of := range seen {
		cosine, measured := of["cosine"]
		inputs, left := of["phi_delta_11_null"], of["phi_delta_left_11_null"]
		if given, ok := of["cosine_z"]; ok && !math.IsNaN(given) {
			z[target] = given
		} else if measured && inputs > 0 && left > 0 {
			z[target] = cosine / math.Sqrt(inputs*left)
		}
	}
	return z
}

func clash(r *Report) string {
	if r.Coverage.Applied+r.Coverage.Replaced == 0 {
		return ""
	}
	if len(r.Peers) == 0 {
		return "not known: it was compared with no other adapter"
	}
	all := kin(r)
	if len(all) == 0 {
		return "nothing was measured against " + plural(len(r.Peers), "other adapter")
	}
	first, peers := all[0], plural(len(r.Peers), "adapter")
	if first.clashes > 0 {
		return clashes(r, all)
	}
	intro := "compared with " + first.name
	switch {
	case len(r.Peers) > 1 && first.opposes():
		intro = fmt.Sprintf("of %s the most opposed is %s", peers, first.name)
	case len(r.Peers) > 1:
		intro = fmt.Sprintf("of %s the closest is %s", peers, first.name)
	}
	return fmt.Sprintf("%s: the two %s %s", intro, first.relation(), first.scale())
}

// clashes is the answer where the first of the adapters clashes.
func clashes(r *Report, all []kinship) string {
	first, with := all[0], all[0].name
	if len(r.Peers) > 1 {
		n := 0
		for _, k := range all {
			if k.clashes > 0 {
				n++
			}
		}
		with = fmt.Sprintf("%d of %s, most with %s", n, plural(len(r.Peers), "adapter"), first.name)
	}
	where := plural(first.clashes, "weight")
	if first.shared >= first.clashes {
		where = fmt.Sprintf("%d of the %s that both adapt", first.clashes, plural(first.shared, "weight"))
	}
	text := fmt.Sprintf("it clashes with %s: in %s they change the same directions and pull them apart %s", with, where, first.scale())
	if slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == "CLASH" }) {
		text += ", see above"
	}
	return text
}
