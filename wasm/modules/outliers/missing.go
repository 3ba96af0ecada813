package outliers

import (
	"slices"
	"strconv"

	"github.com/tenon-ml/tenon/sdk/diag"
	"github.com/tenon-ml/tenon/wasm/modules/internal/layers"
)

// stack is a run of layers of the model, "model.layers.", as far as the names of the adapted weights show it.
type stack struct {
	name  string
	all   []int   // the layers in which anything is adapted, ascending
	kinds []*kind // in the order of their first names
}

// kind is one weight of the stack and the layers in which it is adapted, ascending.
type kind struct {
	name   string
	layers []int
}

// gap is layers that are left out, and whose.
type gap struct {
	kinds  []string // empty: all
	has    []int
	absent []int
	edge   bool // at the first or last layers, as layers_to_transform leaves them out
}

// reportMissing tells which layers are left out: a gap inside is a warning, because no setting makes one by itself; a whole edge and a gap
// that repeats may be meant.
func reportMissing(run *diag.Run) {
	var gaps []*gap
	for _, s := range stacks(run.Targets()) {
		gaps = append(gaps, s.gaps()...)
	}
	for i, g := range gaps {
		if i == maxGaps {
			run.Finding(diag.Warn, "MISSING_LAYERS", strconv.Itoa(len(gaps)-i)+" more kinds of weights leave layers out, each in its own way",
				"compare the tensors of the file with target_modules", float64(len(gaps)-i), 0)
			break
		}
		g.report(run)
	}
}

// maxGaps bounds the findings of an adapter whose every weight leaves out other layers.
const maxGaps = 16

func stacks(targets []diag.Target) []*stack {
	var out []*stack
	for _, target := range targets {
		place, ok := layers.Of(target.Name)
		if !ok {
			continue
		}
		i := slices.IndexFunc(out, func(s *stack) bool { return s.name == place.Stack })
		if i < 0 {
			i = len(out)
			out = append(out, &stack{name: place.Stack})
		}
		out[i].add(place)
	}
	for _, s := range out {
		s.all = ascending(s.all)
		for _, k := range s.kinds {
			k.layers = ascending(k.layers)
		}
	}
	return out
}

func (s *stack) add(place layers.Place) {
	s.all = append(s.all, place.Layer)
	i := slices.IndexFunc(s.kinds, func(k *kind) bool { return k.name == place.Short() })
	if i < 0 {
		i = len(s.kinds)
		s.kinds = append(s.kinds, &kind{name: place.Short()})
	}
	s.kinds[i].layers = append(s.kinds[i].layers, place.Layer)
}

func ascending(numbers []int) []int {
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// gaps finds what is left out: first the layers of which nothing is adapted, then those of single kinds, alike ones together.
func (s *stack) gaps() []*gap {
	var out []*gap
	if whole := between(s.all); most(s.all, whole) {
		out = append(out, &gap{has: s.all, absent: whole})
	}
	if first := s.all[0]; first > 0 {
		out = append(out, &gap{has: s.all, absent: []int{0, first - 1}, edge: true})
	}
	for _, k := range s.kinds {
		var inside, edge []int
		for _, layer := range s.all {
			switch {
			case layer < k.layers[0] || layer > k.layers[len(k.layers)-1]:
				edge = append(edge, layer)
			case !slices.Contains(k.layers, layer):
				inside = append(inside, layer)
			}
		}
		if len(inside) >= len(k.layers) {
			continue // it belongs to few layers by design
		}
		for _, g := range []*gap{{has: k.layers, absent: inside}, {has: k.layers, absent: edge, edge: true}} {
			if !most(g.has, g.absent) {
				continue
			}
			i := slices.IndexFunc(out, func(o *gap) bool {
				return len(o.kinds) > 0 && o.edge == g.edge && slices.Equal(o.absent, g.absent) && slices.Equal(o.has, g.has)
			})
			if i < 0 {
				i = len(out)
				out = append(out, g)
			}
			out[i].kinds = append(out[i].kinds, k.name)
		}
	}
	return out
}

// between is what lies between the first and the last of ascending numbers and is not among them; nothing where that is more than there
// are numbers.
func between(has []int) []int {
	if has[len(has)-1]-has[0] >= 2*len(has) {
		return nil
	}
	var out []int
	for i := has[0]; i <= has[len(has)-1]; i++ {
		if !slices.Contains(has, i) {
			out = append(out, i)
		}
	}
	return out
}

// most reports whether something is absent, and less than what is there: every other layer is a design, and not a loss.
func most(has, absent []int) bool { return len(absent) > 0 && len(absent) < len(has) }

// regular reports whether a gap repeats through all layers, as where every fourth layer of a model is of another kind.
func (g *gap) regular() bool {
	if len(g.absent) < 2 {
		return false
	}
	period := g.absent[1] - g.absent[0]
	for i := 1; i < len(g.absent); i++ {
		if g.absent[i]-g.absent[i-1] != period {
			return false
		}
	}
	return period > 1 && g.absent[0]-g.has[0] < period && g.has[len(g.has)-1]-g.absent[len(g.absent)-1] < period
}

func (g *gap) report(run *diag.Run) {
	what := "nothing"
	if len(g.kinds) > 0 {
		what = list(g.kinds)
	}
	message := what + " is adapted in " + numbers(g.absent) + ", between layers " + ends(g.has) + " that are adapted"
	if len(g.kinds) > 0 {
		message = what + " is not adapted in " + numbers(g.absent) + ", but is in other layers from " + ends(g.has)
	}
	severity, hint := diag.Warn, "compare the tensors of the file with target_modules and layers_to_transform: some may have been lost on the way"
	switch {
	case g.edge && len(g.kinds) == 0:
		severity, message = diag.Info, "nothing is adapted in layers "+ends(g.absent)
		hint = "nothing to do if layers_to_transform was meant to leave them out"
	case g.edge:
		severity, message = diag.Info, what+" is adapted in layers "+ends(g.has)+" only, and other weights in "+numbers(g.absent)+" too"
		hint = "nothing to do if the configuration was meant to leave them out"
	case g.regular():
		severity, hint = diag.Info, "nothing to do if the model has layers of another kind there, or the configuration was meant to leave them out"
	}
	run.Finding(severity, "MISSING_LAYERS", message, hint, float64(len(g.absent)), 0)
}

// ends writes the first and last of ascending numbers.
func ends(of []int) string { return strconv.Itoa(of[0]) + " to " + strconv.Itoa(of[len(of)-1]) }

// numbers writes layers for a sentence.
func numbers(of []int) string {
	names := make([]string, len(of))
	for i, n := range of {
		names[i] = strconv.Itoa(n)
	}
	if len(of) == 1 {
		return "layer " + names[0]
	}
	return "layers " + list(names)
}
