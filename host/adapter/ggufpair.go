package adapter

import (
	"cmp"
	"slices"

	"github.com/tenon-ml/tenon/host/fault"
)

// ggufPair is the two factors of one weight: indices into Adapter.Tensors, and into Adapter.Pairs; -1 where there is none.
type ggufPair struct {
	target     string // the tensor of the base
	module     string
	a, b, pair int
}

// indices are the tensors of the pair that are there, lora_b first.
func (p *ggufPair) indices() []int {
	return slices.DeleteFunc([]int{p.b, p.a}, func(i int) bool { return i < 0 })
}

// pairFactors pairs the factors by the tensor they change, checks them against each other, and makes the Pairs.
func (r *ggufReader) pairFactors(a *Adapter) {
	index := map[string]int{}
	for i, t := range a.Tensors {
		if t.Key.Part != FactorA && t.Key.Part != FactorB {
			continue
		}
		target, _ := factorOf(t.Name)
		at, ok := index[target]
		if !ok {
			at = len(r.pairs)
			index[target] = at
			r.pairs = append(r.pairs, ggufPair{target: target, module: t.Key.Module, a: -1, b: -1, pair: -1})
		}
		if t.Key.Part == FactorA {
			r.pairs[at].a = i
		} else {
			r.pairs[at].b = i
		}
	}
	slices.SortFunc(r.pairs, func(x, y ggufPair) int { return cmp.Compare(x.module, y.module) })
	for i := range r.pairs {
		r.checkPair(a, &r.pairs[i])
	}
	if len(r.pairs) == 0 {
		a.problems.Add(fault.New(fault.ADNoEffect, "the file holds no LoRA factors, so it changes nothing").In(r.file).
			Fix("check that this is the adapter's file"))
	}
}

// checkPair makes the Pair of two factors whose inner dimensions agree.
func (r *ggufReader) checkPair(a *Adapter, p *ggufPair) {
	if p.a < 0 || p.b < 0 {
		missing := suffixB
		if p.a < 0 {
			missing = suffixA
		}
		r.refuse(a, p.indices()[0], fault.New(fault.ADPair, "there is no %s to go with it", missing).
			Fix("convert the adapter again; one of its tensors is missing"))
		return
	}
	ta, tb := &a.Tensors[p.a], &a.Tensors[p.b]
	if code := cmp.Or(ta.Refused, tb.Refused); code != "" { // half a pair is no use
		ta.Refused, tb.Refused = cmp.Or(ta.Refused, code), cmp.Or(tb.Refused, code)
		return
	}
	rank, inner := ta.Shape[0], tb.Shape[1]
	if rank != inner {
		e := fault.New(fault.ADRankMismatch, "lora_a has rank %d (%d x %d) and lora_b rank %d (%d x %d)",
			rank, rank, ta.Shape[1], inner, tb.Shape[0], inner).
			Fix("convert the adapter again; the factors are from two adapters")
		if ta.Shape[1] == inner {
			e.Cause += ": lora_a is transposed, as old versions of llama.cpp's finetune wrote it"
			e.Fix("convert the adapter again, with a current version")
		}
		r.refuse(a, p.a, e)
		tb.Refused = fault.ADRankMismatch
		return
	}
	p.pair = len(a.Pairs)
	a.Pairs = append(a.Pairs, Pair{
		Module: p.module, A: ta.Tensor, B: tb.Tensor, Rank: rank, Alpha: a.Config.Alpha, Scale: scaleGGUF(a.Config.Alpha, rank),
	})
}

// refuse lists a fault of one tensor and marks the tensor.
func (r *ggufReader) refuse(a *Adapter, i int, e *fault.Error) {
	a.Tensors[i].Refused = cmp.Or(a.Tensors[i].Refused, e.Code)
	a.problems.Add(e.In(r.file).Of(a.Tensors[i].Name))
}
