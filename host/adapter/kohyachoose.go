package adapter

import (
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// tally is how much of one component the base has.
type tally struct {
	component component
	modules   int
	hits      int // modules that the base has
	fits      int // modules that the base has with a weight of the right shape
	tensors   int
	prefixes  []string
}

// whole reports whether the base has everything that the file has for the component.
func (t tally) whole() bool { return t.fits == t.modules }

// choose decides which component of the file the base is. It is the one all of whose modules the base has, in the right shapes, and
// otherwise the one that fits best, whose faults are then listed. The first text encoder's names alone would not do: they are the second's
// too. Names without a prefix belong to whatever is chosen.
func (s *assembly) choose() {
	tallies := s.tallies()
	var best []tally
	for _, t := range tallies {
		if t.component == unnamed || t.hits == 0 {
			continue
		}
		switch {
		case len(best) == 0 || better(t, best[0]):
			best = []tally{t}
		case !better(best[0], t):
			best = append(best, t)
		}
	}
	s.chosen[unnamed] = true
	switch {
	case len(best) > 1 && best[0].whole():
		s.problems.Add(fault.New(fault.ADTarget, "the base has the modules of %s and of %s (%s and %s), and can be one of them only", best[0].component,
			best[1].component, listed(best[0].prefixes), listed(best[1].prefixes)).In(s.Weights.Name()).Fix("split the adapter into one file for each"))
	case len(best) > 0:
		s.chosen[best[0].component] = true
	default: // nothing hits, so everything is listed as missing
		for _, t := range tallies {
			s.chosen[t.component] = true
		}
	}
	if len(best) == 0 {
		return
	}
	for _, t := range tallies {
		if !s.chosen[t.component] {
			s.notes.Add(fault.New(fault.ADTarget, "%s of %s (%s) are not for this base and were left out", plural(t.tensors, "tensor"), t.component,
				strings.TrimSpace(listed(t.prefixes))).In(s.Weights.Name()).Fix("give that model as the base to merge them into it"))
		}
	}
}

// better orders the components that the base could be.
func better(x, y tally) bool {
	if x.whole() != y.whole() {
		return x.whole()
	}
	if x.whole() {
		return false
	}
	return x.fits > y.fits || x.fits == y.fits && x.hits > y.hits
}

// tallies counts the components, in order.
func (s *assembly) tallies() []tally {
	var all []tally
	for _, m := range s.file.modules { // by component
		if len(all) == 0 || all[len(all)-1].component != m.component {
			all = append(all, tally{component: m.component})
		}
		t := &all[len(all)-1]
		t.modules++
		t.tensors += len(m.tensors)
		if !slices.Contains(t.prefixes, m.prefix) {
			t.prefixes = append(t.prefixes, m.prefix)
		}
		found, _ := s.places.find(m)
		if len(found) != 1 {
			continue
		}
		t.hits++
		if weight, ok := s.base.Tensor(found[0] + ".weight"); ok && (m.change.kind == noChange || m.change.fits(weight.Shape)) {
			t.fits++
		}
	}
	return all
}
