package adapter

import (
	"github.com/tenon-ml/tenon/host/fault"
)

// checkParts holds what a file has for a module, besides its factors, against the configuration: PEFT saves a magnitude vector with use_dora
// and a bias with lora_bias, and would leave out of the model what the configuration does not announce.
func (a *Adapter) checkParts(g *group) {
	for _, part := range []struct {
		index    int
		wanted   bool
		field    string
		part     Part
		excepted bool // the wrapper has no such part
	}{
		{g.magnitude, a.Config.DoRA, "use_dora", Magnitude, g.leaves != nil},
		{g.bias, a.Config.LoRABias, "lora_bias", FactorBias, g.leaves != nil || g.embedding},
	} {
		switch {
		case part.index >= 0 && part.excepted:
			a.refuse(part.index, fault.New(fault.ADUnsupported, "module %s is of a kind to which PEFT gives no %s", g.module, part.part).
				Fix("save the adapter again; this tensor is another module's"))
		case part.index >= 0 && !part.wanted:
			a.refuse(part.index, fault.New(fault.ADPair, "module %s has a %s, and the configuration does not set %s", g.module, part.part, part.field).
				Fix("give the configuration that was saved with these weights"))
		case part.index < 0 && part.wanted && part.excepted:
			a.refuse(g.a, fault.New(fault.ADUnsupported, "%s is set, which PEFT has for no module of this kind", part.field).
				Fix("give the configuration that was saved with these weights"))
		case part.index < 0 && part.wanted:
			a.refuse(g.a, fault.New(fault.ADPair, "module %s has no %s, and the configuration sets %s", g.module, part.part, part.field).
				Fix("save the adapter again; one of its tensors is missing"))
		}
	}
}

// addMagnitude gives a target its magnitudes: W' = m/‖V‖ · V with V = W + s B A, output by output (peft/tuners/lora/dora.py). They have an entry for
// each output of a linear module or a convolution, however many sides of 1 the shape has besides, and for each column of an embedding.
func (j *joint) addMagnitude(g *group, t *Target) {
	if g.magnitude < 0 {
		return
	}
	m := j.Tensors[g.magnitude].Tensor
	if m.Elements() != t.Out {
		j.refuse(g.magnitude, fault.New(fault.ADShape, "it has shape %v, and module %s has %d outputs", m.Shape, g.module, t.Out).
			Fix("save the adapter again; the magnitudes are another module's"))
		return
	}
	j.checkFinite(g.magnitude)
	m.Shape = []int{t.Out}
	t.Magnitude = m
}
