package adapter

import (
	"github.com/tenon-ml/tenon/host/fault"
)

// checkFinite refuses values that are not finite in every part that no diagnostic looks at: a diagnostic sees two factors and nothing else.
// Magnitudes and whole deltas go into the weight as they are, and what the other parts come to is computed from them.
func (k *kohya) checkFinite(a *Adapter) {
	var zero []string
	for _, m := range k.modules {
		for _, i := range m.tensors {
			t := &a.Tensors[i]
			part := t.Key.Part
			if t.Refused != "" || part == alphaScalar || m.change.kind == twoFactors && (part == loraDown || part == loraUp) {
				continue
			}
			data := a.Weights.Bytes(t.Tensor)
			if first, bad := nonFinite(data, t.DType); bad > 0 {
				k.refuse(a, m, part, fault.New(fault.ADNonFinite, "%d of %d values are NaN or infinite, the first at index %d", bad, t.Elements(), first).
					Fix("train the adapter again, or give another of its checkpoints"))
			} else if (m.change.kind == wholeDelta || part == biasDelta || part == normBias) && allZero(data) {
				zero = append(zero, quoted(t.Name))
			}
		}
	}
	if len(zero) > 0 {
		a.Notes.Add(fault.New(fault.ADZero, "%s changes nothing, since every value is 0: %s", plural(len(zero), "tensor"), some(zero)).In(a.Weights.Name()))
	}
}

// allZero reports whether every byte is 0.
func allZero(data []byte) bool {
	for _, b := range data {
		if b != 0 {
			return false
		}
	}
	return true
}
