package adapter

import (
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// maxConvolution is how many dimensions the weight of a convolution has at most: outputs, inputs, and three of the kernel.
const maxConvolution = 5

// flattened gives both factors of a module as matrices. Those of a linear module are; of a convolution lora_A has shape [r, in, k…] and
// lora_B [out, r, 1…], and since both are stored row-major, delta = s reshape(B[out, r] A[r, in k…]) (peft/tuners/lora/layer.py, _ConvNd):
// the same bytes with another shape.
func flattened(a, b safetensors.Tensor) (matrixA, matrixB safetensors.Tensor, bad *fault.Error) {
	if len(a.Shape) == 2 && len(b.Shape) == 2 {
		return a, b, nil
	}
	const remedy = "save the adapter again; this one is damaged"
	switch {
	case len(a.Shape) != len(b.Shape):
		return a, b, fault.New(fault.ADShape, "lora_A has shape %v and lora_B %v: one is a convolution's and one is not", a.Shape, b.Shape).Fix(remedy)
	case slices.ContainsFunc(b.Shape[2:], func(d int) bool { return d != 1 }):
		return a, b, fault.New(fault.ADShape, "lora_B has shape %v, and a convolution's is 1 in every dimension of the kernel", b.Shape).Fix(remedy)
	}
	return reshaped(a, a.Shape[0], a.Elements()/a.Shape[0]), reshaped(b, b.Shape[0], b.Shape[1]), nil
}

// reshaped is the same bytes with another shape.
func reshaped(t safetensors.Tensor, rows, cols int) safetensors.Tensor {
	t.Shape = []int{rows, cols}
	return t
}
