package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// newLora is an adapter of q_proj, gate_proj and up_proj in some layers, of rank 4, with different numbers in every place.
func newLora(layers int) *lora {
	random := rand.New(rand.NewPCG(7, 7))
	fill := func(rows, cols int) *matrix {
		m := &matrix{rows: rows, cols: cols, data: make([]float32, rows*cols)}
		for i := range m.data {
			m.data[i] = float32(random.NormFloat64())
		}
		return m
	}
	a := &lora{name: "test", tensors: map[string]*matrix{}, config: map[string]any{"peft_type": "LORA", "r": 4.0, "lora_alpha": 8.0,
		"target_modules": []any{"q_proj", "gate_proj", "up_proj"}}}
	for n := range layers {
		for _, module := range []string{"self_attn.q_proj", "mlp.gate_proj", "mlp.up_proj"} {
			prefix := fmt.Sprintf("base_model.model.model.layers.%d.%s", n, module)
			a.tensors[prefix+suffixA], a.tensors[prefix+suffixB] = fill(4, 12), fill(10, 4)
		}
	}
	return a
}

// differences are the names of tensors that differ between two adapters, or are in one of them only, sorted.
func differences(a, b *lora) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(a.tensors)) {
		x, y := a.tensors[name], b.tensors[name]
		if y == nil || x.rows != y.rows || x.cols != y.cols || !slices.EqualFunc(x.data, y.data, sameBits) {
			names = append(names, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.tensors)) {
		if a.tensors[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// delta is B·A of a module.
func (a *lora) delta(module string) []float64 {
	x, y := a.tensors[module+suffixB], a.tensors[module+suffixA]
	out := make([]float64, x.rows*y.cols)
	for i := range x.rows {
		for j := range y.cols {
			for k := range x.cols {
				out[i*y.cols+j] += float64(x.data[i*x.cols+k]) * float64(y.data[k*y.cols+j])
			}
		}
	}
	return out
}
