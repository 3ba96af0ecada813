package adapter

import (
	"github.com/tenon-ml/tenon/host/fault"
)

// bindEmbedding makes the target of an embedding W [n, d]: W' = W + s (B A)ᵀ with A = lora_embedding_A [r, n] and B = lora_embedding_B [d, r],
// which is a weight that is stored in x out (peft/tuners/lora/layer.py, Embedding).
func (j *joint) bindEmbedding(g *group) {
	if e := j.tie.refused(g.module, j.tiesFactors()); e != nil {
		j.refuseModule(g, e)
		return
	}
	if isHead(g.module) {
		j.refuseModule(g, fault.New(fault.ADUnsupported, "%s is an output head, and these are the factors of an embedding", g.module).
			Fix("save the adapter again; the factors are another module's"))
		return
	}
	weight, ok := j.base.Tensor(j.renamed(g.module) + weightSuffix)
	if !ok {
		j.lacks(g, j.renamed(g.module)+weightSuffix)
		return
	}
	j.bindMatrix(g, weight, true)
}
