package adapter

import (
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
