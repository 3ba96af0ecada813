package adapter

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// group is what a file holds for one module: indices into Adapter.Tensors, -1 where there is none, and into Adapter.Pairs.
type group struct {
	module     string
	a, b, pair int
}

// check applies every rule that needs no base: to each tensor, to each module's factors, and between the configuration and the tensors.
// hasConfig is false when there was no configuration to read.
func (a *Adapter) check(hasConfig bool) {
	for _, t := range a.Weights.Tensors {
		a.Tensors = append(a.Tensors, Tensor{Tensor: t, Key: ParseKey(t.Name)})
	}
	slices.SortFunc(a.Tensors, func(x, y Tensor) int { return cmp.Compare(x.Name, y.Name) })
	for i := range a.Tensors {
		a.checkTensor(i)
	}
	a.checkAdapterNames()
	a.group()
	a.boundPatterns()
	for i := range a.groups {
		a.pair(&a.groups[i])
	}
	if len(a.groups) == 0 {
		a.problems.Add(fault.New(fault.ADNoEffect, "the file holds no LoRA factors, so it changes nothing that Tenon merges").
			In(a.Weights.Name()).Fix("check that the adapter was saved after training, with PEFT's save_pretrained"))
	}
	if hasConfig {
		a.crossCheck()
	}
}

// refuse lists a fault of one tensor and marks the tensor.
func (a *Adapter) refuse(i int, e *fault.Error) {
	t := &a.Tensors[i]
	if t.Refused == "" {
		t.Refused = e.Code
	}
	a.problems.Add(e.In(a.Weights.Name()).Of(t.Name))
}

// The parts that are refused, each with what it is.
var unsupportedParts = map[Part]string{
	FactorBias:  "it adds to a bias of the base (lora_bias)",
	EmbeddingA:  "it adapts an embedding",
	EmbeddingB:  "it adapts an embedding",
	Magnitude:   "it is the magnitude vector of DoRA",
	Diagonal:    "it is the diagonal of KaSA",
	TokenRows:   "it replaces rows of an embedding (trainable_token_indices)",
	BaseCopy:    "it replaces a parameter of the base under an adapted module",
	SavedModule: "it replaces a parameter of the base (modules_to_save)",
	Parameter:   "it replaces a parameter of the base (modules_to_save or bias)",
}

// checkTensor applies the rules for one tensor by itself.
func (a *Adapter) checkTensor(i int) {
	t := &a.Tensors[i]
	switch t.Key.Part {
	case FactorA, FactorB:
		a.checkFactor(i)
	case OriginalModule:
	case Unknown:
		a.refuse(i, fault.New(fault.ADKey, "%s", unknownReason(t.Name)).Fix("give the adapter as PEFT's save_pretrained wrote it"))
	default:
		a.refuse(i, fault.New(fault.ADUnsupported, "%s, and only factors are merged", unsupportedParts[t.Key.Part]).
			Fix("merge the adapter with PEFT and give the merged model as the base, or train it without this part"))
	}
}

// unknownReason says what a name outside the grammar probably is.
func unknownReason(name string) string {
	if len(name) > maxName {
		return fmt.Sprintf("the name has %d bytes; the limit is %d", len(name), maxName)
	}
	for _, mark := range []string{"lora_unet_", "lora_te", "lycoris_", "lora_down", "lora_up", "hada_w", "lokr_w", "dora_scale"} {
		if strings.Contains(name, mark) {
			return "the name is in the style of Kohya or LyCORIS, which is not read"
		}
	}
	return "the name is not one that PEFT gives to a tensor of an adapter"
}

func (a *Adapter) checkFactor(i int) {
	t := &a.Tensors[i]
	switch {
	case t.Key.nested():
		a.refuse(i, fault.New(fault.ADUnsupported, "the module is a wrapper inside another (base_layer): fused experts or an attention's "+
			"output projection, and the name does not say which parameter it adapts").Fix("merge the adapter with PEFT"))
	case t.DType != tensor.F32 && t.DType != tensor.F16 && t.DType != tensor.BF16:
		a.refuse(i, fault.New(fault.ADDType, "the factor is stored as %v, and only F32, F16 and BF16 are read", t.DType).
			Fix("save the adapter in one of these types"))
	case len(t.Shape) >= 3 && len(t.Shape) <= 5:
		a.refuse(i, fault.New(fault.ADUnsupported, "the factor has shape %v, that of a convolution, and only linear modules are merged", t.Shape).
			Fix("merge the adapter with PEFT"))
	case len(t.Shape) != 2 || slices.Contains(t.Shape, 0):
		a.refuse(i, fault.New(fault.ADShape, "the factor has shape %v, and must be a matrix with no empty side", t.Shape).
			Fix("save the adapter again; this one is damaged"))
	}
}

// checkAdapterNames makes sure that the names carry no adapter's name, or all the same one: two adapters in one file would have two scales.
func (a *Adapter) checkAdapterNames() {
	var names []string
	for _, t := range a.Tensors {
		switch t.Key.Part {
		case FactorA, FactorB, FactorBias, EmbeddingA, EmbeddingB, Magnitude, Diagonal:
			names = append(names, t.Key.Adapter)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) < 2 {
		return
	}
	for i, name := range names {
		if name == "" {
			names[i] = "(none)"
		}
	}
	a.problems.Add(fault.New(fault.ADKey, "the tensors belong to %d adapters: %s", len(names), some(names)).In(a.Weights.Name()).
		Fix("save each adapter to a directory of its own"))
}

// group collects the factors by module. The same factor of one module under two prefixes or names is refused: which one counts
// would be a guess, and adding both would double the delta.
func (a *Adapter) group() {
	index := make(map[string]int)
	for i := range a.Tensors {
		key := a.Tensors[i].Key
		if key.Part != FactorA && key.Part != FactorB || key.nested() {
			continue
		}
		at, ok := index[key.Module]
		if !ok {
			at = len(a.groups)
			index[key.Module] = at
			a.groups = append(a.groups, group{module: key.Module, a: -1, b: -1, pair: -1})
		}
		slot := &a.groups[at].a
		if key.Part == FactorB {
			slot = &a.groups[at].b
		}
		if *slot < 0 {
			*slot = i
			continue
		}
		first := *slot
		a.refuse(i, fault.New(fault.ADTwice, "module %s has this factor twice, here and as %q", key.Module, a.Tensors[first].Name).
			Fix("save the adapter again with one name for each factor"))
		a.Tensors[first].Refused = fault.ADTwice
	}
	slices.SortFunc(a.groups, func(x, y group) int { return cmp.Compare(x.module, y.module) })
}

// pair checks the factors of one module against each other and against the configuration's rank, and makes a Pair of those whose inner
// dimensions agree.
func (a *Adapter) pair(g *group) {
	if g.a < 0 || g.b < 0 {
		present, missing := max(g.a, g.b), FactorB
		if g.a < 0 {
			missing = FactorA
		}
		a.refuse(present, fault.New(fault.ADPair, "module %s has no %s to go with it", g.module, missing).
			Fix("save the adapter again; one of its tensors is missing"))
		return
	}
	ta, tb := &a.Tensors[g.a], &a.Tensors[g.b]
	if ta.Refused != "" || tb.Refused != "" { // half a pair is no use
		code := cmp.Or(ta.Refused, tb.Refused)
		ta.Refused, tb.Refused = cmp.Or(ta.Refused, code), cmp.Or(tb.Refused, code)
		return
	}
	want := a.Config.RankOf(g.module)
	rank, inner := ta.Shape[0], tb.Shape[1]
	crossed := ta.Shape[1] == tb.Shape[0]
	switch {
	case crossed && (rank != inner || want > 0 && rank != want && ta.Shape[1] == want):
		a.refuse(g.a, fault.New(fault.ADRankMismatch, "lora_A has shape %v and lora_B %v: they are swapped, or both are transposed",
			ta.Shape, tb.Shape).Fix("store lora_A as rank x in and lora_B as out x rank"))
		tb.Refused = fault.ADRankMismatch
		return
	case rank != inner:
		a.refuse(g.a, fault.New(fault.ADRankMismatch, "lora_A has rank %d (shape %v) and lora_B rank %d (shape %v)",
			rank, ta.Shape, inner, tb.Shape).Fix("save the adapter again; the factors are from two adapters"))
		tb.Refused = fault.ADRankMismatch
		return
	case want > 0 && rank != want:
		a.refuse(g.a, fault.New(fault.ADRankMismatch, "the configuration gives module %s rank %d, and the factors have rank %d",
			g.module, want, rank).Fix("give the configuration that was saved with these weights, with its rank_pattern"))
		tb.Refused = fault.ADRankMismatch
	}
	alpha := a.Config.AlphaOf(g.module)
	g.pair = len(a.Pairs)
	a.Pairs = append(a.Pairs, Pair{
		Module: g.module,
		A:      ta.Tensor,
		B:      tb.Tensor,
		Rank:   rank,
		Alpha:  alpha,
		Scale:  a.Config.scale(alpha, rank),
	})
}
