package adapter

import (
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// magnitudePart is the module's magnitudes, or "".
func (m *singleModule) magnitudePart() Part { return m.spare(doraScale, doraVector) }

// measureMagnitude checks what can be said of a module's magnitudes before the weight is known.
func (k *kohya) measureMagnitude(a *Adapter, m *singleModule) {
	switch {
	case m.magnitudePart() == "":
	case m.has(doraScale, doraVector):
		k.refuse(a, m, doraVector, fault.New(fault.ADTwice, "module %s has two magnitude vectors", quoted(m.shown())).
			Fix("save the adapter again with one of them"))
	case m.change.kind == wholeDelta:
		k.refuse(a, m, m.magnitudePart(), fault.New(fault.ADPair, "the magnitudes have no factors to go with them, and are not read beside %s",
			m.change.part).Fix("save the adapter again with one kind of change for each module"))
	}
}

// axis is which part of a weight each magnitude of DoRA belongs to.
type axis uint8

const (
	noAxis    axis = iota
	perOutput      // LyCORIS' wd_on_out, its default today, and PEFT
	perInput       // LyCORIS before, and what wd_on_out=False writes
	either         // a vector over a square weight; read as perOutput
)

// magnitudeAxis tells by the shape which convention the magnitudes follow, for a weight of so many outputs and inputs. Where both have the same
// length, the place of the ones tells them apart.
func magnitudeAxis(t safetensors.Tensor, part Part, out, in int) axis {
	s := t.Shape
	if part == doraVector {
		if n := t.Elements(); n == out && (len(s) == 1 || s[0] == out || len(s) > 2 && s[0] == 1 && s[1] == out) {
			return perOutput
		}
		return noAxis
	}
	switch {
	case len(s) == 1 && s[0] == out && out == in:
		return either
	case s[0] == out && onlyOnes(s[1:]):
		return perOutput
	case len(s) >= 2 && s[0] == 1 && s[1] == in && onlyOnes(s[2:]):
		return perInput
	}
	return noAxis
}

// setMagnitude gives a target its magnitudes.
func (k *kohya) setMagnitude(a *Adapter, m *singleModule, target *Target, out, in int) (axis, *fault.Error) {
	part := m.magnitudePart()
	if part == "" {
		return noAxis, nil
	}
	t := m.tensor(a, part)
	found := magnitudeAxis(t, part, out, in)
	if found == noAxis {
		return noAxis, fault.New(fault.ADShape, "%s has shape %v, and the weight has %d outputs and %d inputs", part, t.Shape, out, in).
			Fix("give the base this adapter was trained on")
	}
	target.Magnitude, target.MagnitudeOfInputs = asVector(t), found == perInput
	return found, nil
}

// axisNotes tell which convention was used.
func axisNotes(file string, count map[axis]int) (notes fault.List) {
	for _, c := range []struct {
		axis axis
		text string
	}{
		{perOutput, "%s (DoRA): the magnitudes are of the outputs, by their shape"},
		{perInput, "%s (DoRA): the magnitudes are of the inputs, by their shape: LyCORIS with wd_on_output=False, or an older one"},
		{either, "%s (DoRA): the magnitudes could be of the outputs or of the inputs, and were read as of the outputs"},
	} {
		if n := count[c.axis]; n > 0 {
			notes.Add(fault.New(fault.ADShape, c.text, plural(n, "module")).In(file))
		}
	}
	return notes
}
