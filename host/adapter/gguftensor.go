package adapter

import (
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// The ends of the names of a GGUF adapter's tensors.
const (
	suffixA    = ".lora_a"
	suffixB    = ".lora_b"
	suffixNorm = "_norm.weight"
)

// tokenEmbedding is the tensor whose lora_a is stored transposed, entries x rank, so that llama.cpp can look tokens up in it.
const tokenEmbedding = "token_embd.weight"

// ruleNormVector is the rule by which the weight of a norm is ignored: mergekit writes them, and llama.cpp reads over them.
const ruleNormVector = "norm_vector"

// factorOf takes the name of a factor apart: the tensor of the base, and FactorA or FactorB; "" for other names.
func factorOf(name string) (target string, part Part) {
	if target, ok := strings.CutSuffix(name, suffixA); ok {
		return target, FactorA
	}
	if target, ok := strings.CutSuffix(name, suffixB); ok {
		return target, FactorB
	}
	return name, ""
}

// readTensor applies the rules for one tensor by itself, and adds it. Its place in Weights is not known yet.
func (r *ggufReader) readTensor(a *Adapter, stored gguf.Tensor) {
	target, part := factorOf(stored.Name)
	t := Tensor{Tensor: safetensors.Tensor{Ref: tensor.Ref{Name: stored.Name, Shape: slices.Clone(stored.Shape)}}}
	t.Key = Key{Part: part, Module: strings.TrimSuffix(target, ".weight")}
	refuse := func(code fault.Code, cause string, args ...any) *fault.Error {
		e := fault.New(code, cause, args...).In(r.file).Of(stored.Name)
		t.Refused = code
		a.problems.Add(e)
		return e
	}
	shape, matrix := matrixShape(stored.Shape, part)
	switch _, inner := factorOf(target); {
	case part == "" && strings.HasSuffix(stored.Name, suffixNorm):
		t.Key = Key{Part: Parameter, Module: t.Key.Module, Parameter: "weight"}
		a.Notes.Add(fault.New(fault.ADUnsupported, "the weight of a norm is ignored, as llama.cpp ignores it: what was trained into it is lost").
			In(r.file).Of(stored.Name))
	case part == "" || inner != "" || t.Key.Module == "":
		t.Key = Key{Part: Unknown}
		refuse(fault.ADKey, "the name is not that of a factor: a tensor of the base with %s or %s", suffixA, suffixB).
			Fix("convert the adapter again")
	case !matrix:
		t.Shape = stored.Shape
		refuse(fault.ADUnsupported, "the factor has shape %v: stacked experts, which are not merged", stored.Shape).
			Fix("give the adapter as PEFT saved it")
	default:
		t.Shape = shape
		if target == tokenEmbedding && part == FactorA {
			t.Shape = []int{shape[1], shape[0]}
		}
	}
	switch dtype, ok := ggufDType(stored.Type); {
	case ok:
		t.DType = dtype
	case t.Refused == "" && part != "":
		refuse(fault.ADDType, "the factor is stored as %v, and only F32, F16, BF16 and Q8_0 are read", stored.Type).
			Fix("convert the adapter again, to one of these types")
	}
	a.Tensors = append(a.Tensors, t)
}

// matrixShape is a factor's shape with two axes: ggml counts axes of length 1 or leaves them out as it likes, so a vector is one row.
func matrixShape(shape []int, part Part) (matrix []int, ok bool) {
	for len(shape) > 2 && shape[0] == 1 {
		shape = shape[1:]
	}
	switch {
	case part == "" || len(shape) > 2:
		return nil, false
	case len(shape) == 0:
		return []int{1, 1}, true
	case len(shape) == 1:
		return []int{1, shape[0]}, true
	}
	return slices.Clone(shape), true
}

// ggufDType is the dtype that Weights holds the values of a type in: its own, and F32 for what is dequantised.
func ggufDType(t gguf.Type) (tensor.DType, bool) {
	switch t {
	case gguf.F32, gguf.Q8_0:
		return tensor.F32, true
	case gguf.F16:
		return tensor.F16, true
	case gguf.BF16:
		return tensor.BF16, true
	}
	return tensor.Invalid, false
}
