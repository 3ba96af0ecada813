package adapter

import (
	"cmp"
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
)

// group is what a file holds for one wrapper that PEFT put around a module: indices into Adapter.Tensors, -1 where there is none, and what its
// factors come to.
type group struct {
	module    string   // path in the tree, without the wrappers
	attention string   // of the output projection of a MultiheadAttention: the path of the attention
	depth     int      // how many wrappers are inside this one, around the same module
	embedding bool     // the factors are an embedding's
	leaves    []string // the parameters of the module that target_parameters may mean; nil for a module that is adapted as such

	a, b, bias, magnitude int

	pair    int  // into Adapter.Pairs, -1 where it is not there
	paired  bool // the factors go together
	factors Pair // where paired: A and B as matrices; of parameters the rank is that of r, and the true one is known with the base
}

// indices are the tensors of the group, lora_A last.
func (g *group) indices() []int {
	var all []int
	for _, i := range []int{g.magnitude, g.bias, g.b, g.a} {
		if i >= 0 {
			all = append(all, i)
		}
	}
	return all
}

// name is what a message calls what the group adapts.
func (g *group) name() string {
	if len(g.leaves) == 1 {
		return g.module + "." + g.leaves[0]
	}
	return g.module
}

// names are the paths that the configuration's patterns are held against.
func (g *group) names() []string {
	if g.leaves == nil {
		return []string{g.module}
	}
	names := make([]string, len(g.leaves))
	for i, leaf := range g.leaves {
		names[i] = g.module + "." + leaf
	}
	return names
}

// collect puts the tensors together by module. The same part of one module under two prefixes or names is refused: which one counts
// would be a guess, and adding both would double the delta.
func (a *Adapter) collect() {
	type place struct {
		module string
		depth  int
	}
	index := make(map[place]int)
	for i := range a.Tensors {
		t := &a.Tensors[i]
		embedding := t.Key.Part == EmbeddingA || t.Key.Part == EmbeddingB
		switch t.Key.Part {
		case FactorA, FactorB, EmbeddingA, EmbeddingB, FactorBias, Magnitude:
		default:
			continue
		}
		module, attention, depth, ok := t.Key.place()
		if !ok {
			continue // refused already
		}
		at, known := index[place{module, depth}]
		if !known {
			at = len(a.groups)
			index[place{module, depth}] = at
			a.groups = append(a.groups, group{module: module, attention: attention, depth: depth, a: -1, b: -1, bias: -1, magnitude: -1, pair: -1})
		}
		g := &a.groups[at]
		g.attention = cmp.Or(g.attention, attention)
		slot := g.slot(t.Key.Part)
		if *slot >= 0 {
			first := *slot
			a.refuse(i, fault.New(fault.ADTwice, "module %s has this factor twice, here and as %q", module, a.Tensors[first].Name).
				Fix("save the adapter again with one name for each factor"))
			a.Tensors[first].Refused = fault.ADTwice
			continue
		}
		*slot = i
		g.embedding = g.embedding || embedding
	}
	slices.SortFunc(a.groups, func(x, y group) int { return cmp.Or(cmp.Compare(x.module, y.module), cmp.Compare(x.depth, y.depth)) })
}

// slot is where a group keeps a part.
func (g *group) slot(part Part) *int {
	switch part {
	case FactorA, EmbeddingA:
		return &g.a
	case FactorB, EmbeddingB:
		return &g.b
	case FactorBias:
		return &g.bias
	}
	return &g.magnitude
}

// checkNesting refuses wrappers inside one another for which there is no reason.
func (a *Adapter) checkNesting(g *group) {
	if g.depth == 0 || g.leaves != nil {
		return
	}
	for _, i := range g.indices() {
		a.refuse(i, fault.New(fault.ADUnsupported, "module %s is wrapped inside another wrapper (base_layer), and the configuration's "+
			"target_parameters name no parameter of it", g.module).Fix("give the configuration that was saved with these weights"))
	}
}
