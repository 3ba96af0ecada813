package adapter

import (
	"cmp"
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
)

// Unbound is the adapter as a Binding without a base, to compare it with another adapter when nobody has the base at hand: Base is nil, each
// Target has the name that a base would give its weight and no Base of its own, and In and Out are what the factors say. Nothing about it
// says that such a base exists, so it can be compared and never merged. The error lists what Open refuses and factors on an embedding,
// as Bind does; the Binding comes with it, with its Coverage and without Targets. The adapter stays the caller's.
func (a *Adapter) Unbound() (*Binding, error) {
	j := joint{Adapter: a, refused: make([]fault.Code, len(a.Tensors)), targetOf: make([]string, len(a.Tensors))}
	for i, t := range a.Tensors {
		j.refused[i] = t.Refused
	}
	for i := range a.groups {
		j.unbound(&a.groups[i])
	}
	problems := append(slices.Clone(a.problems), j.problems...)
	err := problems.Err()
	binding := &Binding{Adapter: a, Coverage: j.coverage(problems), Notes: slices.Clone(a.Notes)}
	if err != nil {
		return binding, err
	}
	slices.SortFunc(j.targets, func(x, y Target) int { return cmp.Compare(x.Name, y.Name) })
	binding.Targets = j.targets
	return binding, nil
}

// unbound makes the target of one module from its factors alone.
func (j *joint) unbound(g *group) {
	if isEmbedding(g.module) {
		j.refuseModule(g, fault.New(fault.ADUnsupported, "%s is an embedding, and these are the factors of a linear module", g.module).
			Fix("give an adapter of the linear modules only"))
		return
	}
	name := g.module + ".weight"
	for _, i := range []int{g.a, g.b} {
		if i >= 0 {
			j.targetOf[i] = name
		}
	}
	if g.pair < 0 {
		return // its factors are refused already
	}
	pair := j.Pairs[g.pair]
	j.targets = append(j.targets, Target{Name: name, Pair: pair, Blocks: 1, In: pair.A.Shape[1], Out: pair.B.Shape[0], FanInFanOut: j.Config.FanInFanOut})
}
