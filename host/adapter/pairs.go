package adapter

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

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
	a.collect()
	a.boundPatterns()
	for i := range a.groups {
		g := &a.groups[i]
		g.leaves = a.Config.leavesOf(g.module)
		a.checkNesting(g)
		a.pair(g, hasConfig)
	}
	a.findReplacements(hasConfig)
	if len(a.groups) == 0 && len(a.replacements) == 0 {
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

// checkTensor applies the rules for one tensor by itself.
func (a *Adapter) checkTensor(i int) {
	t := &a.Tensors[i]
	switch t.Key.Part {
	case FactorA, FactorB, EmbeddingA, EmbeddingB, FactorBias, Magnitude:
		a.checkFactor(i)
	case TokenRows, BaseCopy, SavedModule, Parameter, OriginalModule: // held against the configuration and the base
	case Diagonal:
		a.refuse(i, fault.New(fault.ADUnsupported, "it is the diagonal of KaSA, which drops singular values of the base").
			Fix("merge this adapter with PEFT and give the merged model as the base"))
	default:
		a.refuse(i, fault.New(fault.ADKey, "%s", unknownReason(t.Name)).Fix("give the adapter as PEFT's save_pretrained wrote it"))
	}
}

// unknownReason says what a name outside the grammar probably is.
func unknownReason(name string) string {
	if len(name) > maxName {
		return fmt.Sprintf("the name has %d bytes; the limit is %d", len(name), maxName)
	}
	for _, mark := range []string{"lora_unet_", "lora_te", "lycoris_", "lora_down", "lora_up", "hada_w", "lokr_w", "dora_scale"} {
		if strings.Contains(name, mark) {
			return "the name is in the style of Kohya or LyCORIS, whose files are read without an adapter_config.json beside them"
		}
	}
	return "the name is not one that PEFT gives to a tensor of an adapter"
}

func (a *Adapter) checkFactor(i int) {
	t := &a.Tensors[i]
	_, _, _, placed := t.Key.place()
	dims := len(t.Shape)
	switch {
	case !placed:
		a.refuse(i, fault.New(fault.ADUnsupported, "the module is inside a wrapper (base_layer) that is neither a module's own nor an "+
			"attention's around its output projection").Fix("merge the adapter with PEFT"))
	case !computable(t.DType):
		a.refuse(i, fault.New(fault.ADDType, "the factor is stored as %v, and only F32, F16 and BF16 are read", t.DType).
			Fix("save the adapter in one of these types"))
	case t.Key.Part == FactorBias || t.Key.Part == Magnitude:
		if longest(t.Shape) != t.Elements() || t.Elements() == 0 {
			a.refuse(i, fault.New(fault.ADShape, "it has shape %v, and must be a vector with an entry for each output", t.Shape).
				Fix("save the adapter again; this one is damaged"))
		}
	case slices.Contains(t.Shape, 0) || dims < 2 || dims > maxConvolution || dims > 2 && (t.Key.Part == EmbeddingA || t.Key.Part == EmbeddingB):
		a.refuse(i, fault.New(fault.ADShape, "the factor has shape %v, and must be a matrix with no empty side, or the weight of a convolution",
			t.Shape).Fix("save the adapter again; this one is damaged"))
	}
}

// computable reports whether a tensor of an adapter can be computed with.
func computable(d tensor.DType) bool { return d == tensor.F32 || d == tensor.F16 || d == tensor.BF16 }

// longest is the largest side of a shape.
func longest(shape []int) int {
	most := 1
	for _, d := range shape {
		most = max(most, d)
	}
	return most
}

// checkAdapterNames makes sure that the names carry no adapter's name, or all the same one: two adapters in one file would have two scales.
func (a *Adapter) checkAdapterNames() {
	var names []string
	for _, t := range a.Tensors {
		switch t.Key.Part {
		case FactorA, FactorB, FactorBias, EmbeddingA, EmbeddingB, Magnitude, Diagonal, TokenRows:
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

// pair checks the parts of one module against each other and against the configuration's rank, and makes a Pair of the factors whose inner
// dimensions agree.
func (a *Adapter) pair(g *group, hasConfig bool) {
	if g.a < 0 && g.b < 0 {
		for _, i := range g.indices() {
			a.refuse(i, fault.New(fault.ADPair, "module %s has no lora_A and lora_B to go with it", g.module).
				Fix("save the adapter again; some of its tensors are missing"))
		}
		return
	}
	if g.a < 0 || g.b < 0 {
		present, missing := max(g.a, g.b), FactorB
		if g.a < 0 {
			missing = FactorA
		}
		if g.embedding {
			missing = map[Part]Part{FactorA: EmbeddingA, FactorB: EmbeddingB}[missing]
		}
		a.refuse(present, fault.New(fault.ADPair, "module %s has no %s to go with it", g.module, missing).
			Fix("save the adapter again; one of its tensors is missing"))
		return
	}
	ta, tb := &a.Tensors[g.a], &a.Tensors[g.b]
	if g.embedding && (ta.Key.Part != EmbeddingA || tb.Key.Part != EmbeddingB) {
		a.refuse(g.a, fault.New(fault.ADPair, "module %s has a factor of an embedding and one of a linear module", g.module).
			Fix("save the adapter again; the factors are from two adapters"))
		tb.Refused = cmp.Or(tb.Refused, fault.ADPair)
		return
	}
	if hasConfig {
		a.checkParts(g)
	}
	if ta.Refused != "" || tb.Refused != "" { // half a pair is no use
		code := cmp.Or(ta.Refused, tb.Refused)
		ta.Refused, tb.Refused = cmp.Or(ta.Refused, code), cmp.Or(tb.Refused, code)
		return
	}
	matrixA, matrixB, bad := flattened(ta.Tensor, tb.Tensor)
	if bad != nil {
		a.refuse(g.a, bad)
		tb.Refused = bad.Code
		return
	}
	rank, want := matrixA.Shape[0], a.Config.RankOf(g.names()[0])
	if !a.agree(g, matrixA, matrixB, want) {
		return
	}
	if g.leaves != nil && want > 0 {
		rank = want
	}
	alpha := a.Config.AlphaOf(g.names()[0])
	g.paired = true
	g.factors = Pair{Module: g.module, A: matrixA, B: matrixB, Rank: rank, Alpha: alpha, Scale: a.Config.scale(alpha, rank)}
	if g.leaves == nil {
		g.pair = len(a.Pairs)
		a.Pairs = append(a.Pairs, g.factors)
	}
}

// agree holds the inner dimensions of two factors against each other and against the configuration's rank, 0 for unknown. The rank of a
// parameter of several experts is held against theirs, with the base.
func (a *Adapter) agree(g *group, matrixA, matrixB safetensors.Tensor, want int) bool {
	tb := &a.Tensors[g.b]
	rank, inner := matrixA.Shape[0], matrixB.Shape[1]
	crossed := matrixA.Shape[1] == matrixB.Shape[0]
	if g.leaves != nil {
		want = 0
	}
	switch {
	case crossed && (rank != inner || want > 0 && rank != want && matrixA.Shape[1] == want):
		a.refuse(g.a, fault.New(fault.ADRankMismatch, "lora_A has shape %v and lora_B %v: they are swapped, or both are transposed",
			a.Tensors[g.a].Shape, tb.Shape).Fix("store lora_A as rank x in and lora_B as out x rank"))
	case len(tb.Shape) > 2 && rank != inner && rank%inner == 0:
		a.refuse(g.a, fault.New(fault.ADUnsupported, "lora_A has rank %d and lora_B holds %d of it for each output: the module is a convolution of "+
			"%d groups, and PEFT does not merge those either", rank, inner, rank/inner).Fix("train without this module"))
		tb.Refused = fault.ADUnsupported
		return false
	case rank != inner:
		a.refuse(g.a, fault.New(fault.ADRankMismatch, "lora_A has rank %d (shape %v) and lora_B rank %d (shape %v)",
			rank, a.Tensors[g.a].Shape, inner, tb.Shape).Fix("save the adapter again; the factors are from two adapters"))
	case want > 0 && rank != want:
		a.refuse(g.a, fault.New(fault.ADRankMismatch, "the configuration gives module %s rank %d, and the factors have rank %d",
			g.module, want, rank).Fix("give the configuration that was saved with these weights, with its rank_pattern"))
		tb.Refused = fault.ADRankMismatch
		return true // the pair is known, though the configuration is not its own
	default:
		return true
	}
	tb.Refused = fault.ADRankMismatch
	return false
}
