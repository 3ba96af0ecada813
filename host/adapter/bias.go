package adapter

import (
	"github.com/tenon-ml/tenon/host/fault"
)

// The values of bias: which biases of the base are trained, saved and replaced.
const (
	biasNone = "none"
	biasAll  = "all"
	biasLoRA = "lora_only"
)

// ruleMask is the rule by which the causal mask of an attention is ignored, which older models keep as a buffer called bias: PEFT saves it with
// bias "all", and nothing trains it.
const ruleMask = "causal_mask"

// isMask reports whether a parameter is such a mask of a model whose attention has no parameter of that name.
func (j *joint) isMask(r *replacement) bool {
	shape := j.Tensors[r.tensor].Shape
	if !conv1DModels[j.base.Config.ModelType] || lastElement(r.module) != "attn" {
		return false
	}
	switch lastElement(r.name) {
	case "bias":
		return len(shape) == 4 && shape[0] == 1 && shape[1] == 1 && shape[2] == shape[3]
	case "masked_bias":
		return len(shape) == 0
	}
	return false
}

// bias reads which biases the file replaces.
func (f *fields) bias() string {
	m, present := f.take("bias")
	if !present {
		return biasNone
	}
	kind, ok := m.text()
	switch {
	case !ok:
		f.wrongType(m, fault.ADConfig, `"none", "all" or "lora_only"`)
	case kind != biasNone && kind != biasAll && kind != biasLoRA:
		f.refuse(f.at(fault.New(fault.ADConfig, "bias is %q, and PEFT knows none, all and lora_only", kind), m).
			Fix("write the value the adapter was trained with"))
	}
	return kind
}
