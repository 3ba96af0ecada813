package adapter

import (
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
)

// Unbound is the adapter as a Binding without a base, to compare it with another adapter when nobody has the base at hand: Base is nil, each
// Target has the name that a base would give its weight and no Base of its own, and In and Out are what the factors say. Nothing about it
// says that such a base exists, so it can be compared and never merged. Only changes that are two factors for one matrix are in it; a Note
// tells how many tensors are of changes that need a base. The error lists what Open refuses and linear factors on an embedding, as Bind does;
// the Binding comes with it, with its Coverage and without Targets. The adapter stays the caller's.
func (a *Adapter) Unbound() (*Binding, error) {
	if a.reader != nil {
		return a.reader.unbound(a)
	}
	j := newJoint(a, nil)
	for i := range a.groups {
		j.unbound(&a.groups[i])
	}
	left := 0
	for i, t := range j.Tensors {
		if j.targetOf[i] == "" && j.refused[i] == "" && t.Key.Part != OriginalModule {
			j.ignored[i] = ruleNeedsBase
			left++
		}
	}
	if left > 0 {
		j.notes.Add(fault.New(fault.ADUnseen, "%s belong to changes that need a base to be read, and are left out", plural(left, "tensor")).
			In(j.Weights.Name()).Fix("compare the adapters with their base"))
	}
	return j.finish()
}

// ruleNeedsBase is the rule by which a tensor is left out of a Binding without a base.
const ruleNeedsBase = "needs_base"

// unbound makes the target of one module from its factors alone.
func (j *joint) unbound(g *group) {
	if isEmbedding(g.module) && !g.embedding {
		j.refuseModule(g, fault.New(fault.ADUnsupported, "%s is an embedding, and these are the factors of a linear module", g.module).
			Fix("give an adapter of the linear modules only"))
		return
	}
	plain := g.leaves == nil && g.magnitude < 0 && !j.Config.residual()
	for _, i := range []int{g.a, g.b} {
		if i >= 0 && plain {
			j.targetOf[i] = g.module + weightSuffix
		}
	}
	if !plain || !g.paired {
		return
	}
	t := j.target(g.module+weightSuffix, base.Tensor{})
	t.Pair, t.In, t.Out = g.factors, g.factors.A.Shape[1], g.factors.B.Shape[0]
	t.FanInFanOut = g.embedding || j.Config.FanInFanOut && len(j.Tensors[g.a].Shape) == 2
}
