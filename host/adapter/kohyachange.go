package adapter

import (
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// changeKind is how the file gives the change of a weight.
type changeKind uint8

const (
	noChange         changeKind = iota
	twoFactors                  // up · down
	tuckerFactors               // up · (core · down)
	hadamardProduct             // LoHa: (1A · 1B) ∘ (2A · 2B)
	kroneckerProduct            // LoKr: 1 ⊗ 2
	wholeDelta                  // diff, w_norm
)

// change is the change of one weight as far as the shapes of its parts tell: W' = W + scale · delta, where delta has the shape out x inner.
type change struct {
	kind  changeKind
	part  Part // that is reported where something is wrong with the whole
	out   int
	inner []int // dimensions after the first; one where they are stored as one
	ranks []int // what alpha is divided by: the rank, or the ranks of the factored halves of a Kronecker product; empty where there is none
	rank  int   // inner dimension of the two factors
	a, b  safetensors.Tensor
}

// pair is the change of two stored factors.
func (c *change) pair(m *singleModule) Pair {
	return Pair{Module: m.name, A: c.a, B: c.b, Rank: c.rank, Alpha: m.alpha, Scale: m.scale}
}

// measure finds what the change of a module's weight is made of, and holds the shapes of the parts against each other.
func (k *kohya) measure(a *Adapter, m *singleModule) {
	for _, i := range m.tensors {
		if e := checkPart(&a.Tensors[i]); e != nil {
			m.broken = true
			a.refuse(i, e)
		}
	}
	if m.broken {
		k.rejectAll(a, m, fault.ADShape)
		return
	}
	var kinds []changeKind
	for kind := twoFactors; kind <= wholeDelta; kind++ {
		if slices.ContainsFunc(partsOf[kind], func(p Part) bool { return m.has(p) }) {
			kinds = append(kinds, kind)
		}
	}
	switch {
	case len(kinds) > 1 || m.has(fullDelta, normDelta):
		k.refuse(a, m, partsOf[kinds[0]][0], fault.New(fault.ADTwice, "module %s has changes of its weight of several kinds: %s", quoted(m.shown()),
			strings.Join(m.partNames(), ", ")).Fix("save the adapter again with one kind of change for each module"))
		return
	case m.has(biasDelta, normBias):
		k.refuse(a, m, normBias, fault.New(fault.ADTwice, "module %s has two changes of its bias", quoted(m.shown())).
			Fix("save the adapter again with one change of the bias"))
		return
	case len(kinds) == 0:
		if part := m.magnitudePart(); part != "" || !m.has(biasDelta) && !m.has(normBias) {
			k.refuse(a, m, part, fault.New(fault.ADPair, "module %s has no change of its weight to go with it", quoted(m.shown())).
				Fix("save the adapter again; some of its tensors are missing"))
		}
		return
	}
	kind := kinds[0]
	if kind == twoFactors && m.has(loraMid) {
		kind = tuckerFactors
	}
	if missing := m.missing(kind); missing != "" {
		k.refuse(a, m, m.firstOf(kind), fault.New(fault.ADPair, "module %s has no %s to go with it", quoted(m.shown()), missing).
			Fix("save the adapter again; one of its tensors is missing"))
		return
	}
	var part Part
	var e *fault.Error
	m.change, part, e = measurers[kind](a, m)
	if e != nil {
		k.refuse(a, m, part, e)
		return
	}
	m.change.kind = kind
	m.change.part = m.firstOf(kind)
	k.measureMagnitude(a, m)
}

// partsOf are the parts that make a kind of change; tuckerFactors is twoFactors with a core.
var partsOf = [...][]Part{
	noChange:         nil,
	twoFactors:       {loraDown, loraUp, loraMid},
	tuckerFactors:    nil,
	hadamardProduct:  {hadamard1A, hadamard1B, hadamard2A, hadamard2B, hadamardT1, hadamardT2},
	kroneckerProduct: {kronecker1, kronecker1A, kronecker1B, kronecker2, kronecker2A, kronecker2B, kroneckerT2},
	wholeDelta:       {fullDelta, normDelta},
}

var measurers = [...]func(a *Adapter, m *singleModule) (change, Part, *fault.Error){
	twoFactors:       measureFactors,
	tuckerFactors:    measureTucker,
	hadamardProduct:  measureHadamard,
	kroneckerProduct: measureKronecker,
	wholeDelta:       measureWhole,
}

// firstOf is the first part of a kind that the module has.
func (m *singleModule) firstOf(kind changeKind) Part {
	if kind == tuckerFactors {
		kind = twoFactors
	}
	for _, p := range partsOf[kind] {
		if m.has(p) {
			return p
		}
	}
	return ""
}

// missing names a part that the kind needs and the module lacks, or "".
func (m *singleModule) missing(kind changeKind) Part {
	lacks := func(parts ...Part) Part {
		for _, p := range parts {
			if !m.has(p) {
				return p
			}
		}
		return ""
	}
	switch kind {
	case twoFactors, tuckerFactors:
		return lacks(loraDown, loraUp)
	case hadamardProduct:
		if m.has(hadamardT1) || m.has(hadamardT2) {
			return lacks(hadamard1A, hadamard1B, hadamard2A, hadamard2B, hadamardT1, hadamardT2)
		}
		return lacks(hadamard1A, hadamard1B, hadamard2A, hadamard2B)
	case kroneckerProduct:
		if missing := lacks(kronecker1); missing != "" && lacks(kronecker1A, kronecker1B) != "" {
			if m.has(kronecker1A) || m.has(kronecker1B) {
				return lacks(kronecker1A, kronecker1B)
			}
			return missing
		}
		if missing := lacks(kronecker2); missing != "" && lacks(kronecker2A, kronecker2B) != "" {
			if m.has(kronecker2A) || m.has(kronecker2B) || m.has(kroneckerT2) {
				return lacks(kronecker2A, kronecker2B)
			}
			return missing
		}
	}
	return ""
}

func (m *singleModule) partNames() []string {
	var names []string
	for p := range m.at {
		names = append(names, string(p))
	}
	slices.Sort(names)
	return names
}

// rejectAll marks every tensor of a module that has no fault of its own.
func (k *kohya) rejectAll(a *Adapter, m *singleModule, code fault.Code) {
	for _, i := range m.tensors {
		if a.Tensors[i].Refused == "" {
			a.Tensors[i].Refused = code
		}
	}
}

// checkPart applies the rules for one tensor by itself.
func checkPart(t *Tensor) *fault.Error {
	if t.Key.Part == alphaScalar {
		if t.Elements() != 1 || !isNumber(t.DType) {
			return fault.New(fault.ADAlpha, "alpha is %v of shape %v, and must be one number", t.DType, t.Shape).
				Fix("save the adapter again; this one is damaged")
		}
		return nil
	}
	switch t.DType {
	case tensor.F32, tensor.F16, tensor.BF16:
	default:
		return fault.New(fault.ADDType, "the tensor is stored as %v, and only F32, F16 and BF16 are read", t.DType).
			Fix("save the adapter in one of these types")
	}
	if len(t.Shape) == 0 || len(t.Shape) > 5 || slices.Contains(t.Shape, 0) {
		return fault.New(fault.ADShape, "the tensor has shape %v, and must have one to five dimensions and none of length 0", t.Shape).
			Fix("save the adapter again; this one is damaged")
	}
	return nil
}
