// Package layers reads the number of its layer off the name of a weight.
package layers

import (
	"strconv"
	"strings"
)

// Place is where a weight stands in a model: its kind is its name with the layer's number replaced by a star, so that the same weight of
// every layer has the same kind.
type Place struct {
	Kind  string // "model.layers.*.self_attn.q_proj.weight"; the whole name where it has no number
	Stack string // what is in front of the number, "model.layers."; empty where there is none
	Layer int
}

// Of reads a name. The layer is the first part between dots that is a number: the second number of a mixture of experts,
// "layers.3.experts.5.w1", stays in the kind. It is false where no part is a number, and the weight stands alone.
func Of(name string) (Place, bool) {
	start := 0
	for part := range strings.SplitSeq(name, ".") {
		if layer, ok := number(part); ok {
			stack := name[:start]
			return Place{Kind: stack + "*" + name[start+len(part):], Stack: stack, Layer: layer}, true
		}
		start += len(part) + 1
	}
	return Place{Kind: name}, false
}

// maxDigits is more than any model has layers, and less than an int holds.
const maxDigits = 6

// number is the value of a part that is digits only, without a sign.
func number(part string) (int, bool) {
	if part == "" || len(part) > maxDigits || strings.Trim(part, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(part)
	return n, err == nil
}

// Short is the kind for people: what follows the layer's number, without ".weight".
func (p Place) Short() string {
	_, after, found := strings.Cut(p.Kind, "*.")
	if !found {
		after = p.Kind
	}
	return strings.TrimSuffix(after, ".weight")
}
