package adapter

import (
	"slices"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
)

// inProjection is what torch calls the weight of a MultiheadAttention that makes queries, keys and values: 3d x d.
const inProjection = "in_proj_weight"

// bindAttention makes the target of factors on a MultiheadAttention itself, which PEFT applies to in_proj_weight. Its output projection is a
// module of its own in the file, and gets its delta there: once, although PEFT's own merge adds it twice.
func (j *joint) bindAttention(g *group, weight base.Tensor) {
	if g.magnitude >= 0 || g.bias >= 0 {
		j.refuseModule(g, fault.New(fault.ADUnsupported, "module %s is a MultiheadAttention, which PEFT trains with neither DoRA nor lora_bias", g.module).
			Fix("save the adapter again with its own configuration"))
		return
	}
	j.bindMatrix(g, weight, false)
}

// noteOutputProjection warns, once, that PEFT's own model is another than its definition: its forward pass adds the change of the output projection
// twice (measured with 0.21.2), so that is how the factors were trained.
func (j *joint) noteOutputProjection(g *group) {
	if slices.ContainsFunc(j.notes, func(e *fault.Error) bool { return e.Code == fault.ADTwice }) || g.b < 0 {
		return
	}
	j.notes.Add(fault.New(fault.ADTwice, "PEFT 0.21 adds the change of an attention's output projection twice, in training too; here it is added once, as it is defined").
		In(j.Weights.Name()).Of(j.Tensors[g.b].Name).Fix("compare what the merged model says with what PEFT's does; twice the values of this lora_B give PEFT's"))
}
