package merge

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math"

	"github.com/tenon-ml/tenon/host/safetensors"
)

// Rule names the arithmetic of a merge: delta[i,j] = sum over k of fma(f32(s) B[i,k], A[k,j]), k ascending from 0, in f32;
// W' = round-to-nearest-even(f32(W) + delta) into W's dtype. A plan's digest covers it, since other arithmetic gives other bytes.
const Rule = "tenon.merge/1"

// FormsRule names the arithmetic of backendpb.Patch with all its forms, of which Rule is the plain one. It is the rule of a plan with any other form
// than that, or with tensors that were computed from the adapter's.
const FormsRule = "tenon.merge/2"

// Rule is the name of the arithmetic by which the plan is merged.
func (p *Plan) Rule() string {
	if p.Combination != nil || !p.Plain() || len(p.files) > 1 {
		return FormsRule
	}
	return Rule
}

// name gives the plan its digest. It covers everything that decides the bytes: of a plain plan the base, the adapter and the scales are all of it;
// otherwise also the form of every change, where its tensors lie, and the bytes of what was derived.
func (p *Plan) name() {
	rule := p.Rule()
	h := sha256.New()
	if p.Unmerged {
		rule = unmergedRules[rule]
	}
	fmt.Fprintf(h, "%s\nbase %x\n", rule, p.Base.Digest)
	if p.Combination == nil {
		fmt.Fprintf(h, "adapter %x\n", p.Adapter.Digest)
	} else {
		p.Combination.describe(h)
	}
	if p.Rule() == Rule {
		for _, item := range p.Items {
			fmt.Fprintf(h, "%016x %t %q\n", math.Float64bits(item.Scale), item.FanInFanOut, item.Name)
		}
	} else {
		for _, f := range p.files {
			fmt.Fprintf(h, "file %x\n", f.SHA256())
		}
		for _, items := range [][]Item{p.Items, p.Added} {
			for _, item := range items {
				item.describe(h)
			}
		}
	}
	h.Sum(p.Digest[:0])
}

// describe writes everything of an item but the bytes of its tensors.
func (item Item) describe(w io.Writer) {
	fmt.Fprintf(w, "tensor %q %v %v\n", item.Name, item.Base.DType, item.Base.Shape)
	if item.LowRank() {
		fmt.Fprintf(w, "factors %016x %d x %d x %d x %d %t\n", math.Float64bits(item.Scale), item.Blocks, item.Out, item.Rank, item.In, item.FanInFanOut)
		place(w, "a", item.A)
		place(w, "b", item.B)
	}
	if item.Dense.Shape != nil {
		fmt.Fprintf(w, "scale %016x\n", math.Float64bits(item.Scale))
		place(w, "dense", item.Dense)
	}
	if item.Start.Shape != nil {
		place(w, "start", item.Start)
		fmt.Fprintf(w, "rows %d\n", item.StartRows)
	}
	if item.Magnitude.Shape != nil {
		place(w, "magnitude", item.Magnitude)
		fmt.Fprintf(w, "of inputs %t, %t\n", item.MagnitudeOfInputs, item.FanInFanOut)
	}
}

func place(w io.Writer, part string, t safetensors.Tensor) {
	fmt.Fprintf(w, "%s %d %v %v %d %d\n", part, t.File, t.DType, t.Shape, t.Offset, t.Length)
}
