package adapter

import (
	"cmp"
	"slices"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// ggufJoint is one binding of a GGUF adapter at work.
type ggufJoint struct {
	*Adapter
	file     string
	targets  []Target
	problems fault.List
	refused  []fault.Code // by index into Tensors, "" for none
	targetOf []string     // by index into Tensors: the base tensor, "" for none
}

func (r *ggufReader) join(a *Adapter) *ggufJoint {
	j := &ggufJoint{Adapter: a, file: r.file, refused: make([]fault.Code, len(a.Tensors)), targetOf: make([]string, len(a.Tensors))}
	for i, t := range a.Tensors {
		j.refused[i] = t.Refused
	}
	return j
}

// bind resolves the pairs against a GGUF base of the same architecture. Against any other base nothing fits: the names are others, and in some
// families the rows of the queries and keys are in another order, which no shape shows.
func (r *ggufReader) bind(a *Adapter, b *base.Base) (*Binding, error) {
	j := r.join(a)
	if e := r.checkBase(b); e != nil {
		j.problems.Add(e.In(r.file))
	} else {
		for i := range r.pairs {
			j.bind(&r.pairs[i], b)
		}
	}
	return j.binding(b)
}

// checkBase refuses a base that the adapter's names do not speak of.
func (r *ggufReader) checkBase(b *base.Base) *fault.Error {
	model := b.GGUF()
	if model == nil {
		return fault.New(fault.ADBase, "a GGUF adapter changes the tensors of a GGUF base, and %s is a Hugging Face checkpoint", b.Ref).
			Fix("convert it: tenon convert ADAPTER --to peft --base %s --out DIR", b.Ref)
	}
	architecture, _ := model.Text(keyArchitecture)
	if r.architecture != "" && architecture != r.architecture {
		return fault.New(fault.ADBase, "the adapter is for the architecture %q, and the base is of %q", r.architecture, architecture).
			At("/" + keyArchitecture).Fix("give the base this adapter was trained on")
	}
	return nil
}

// refuse lists a fault about a weight, at the first of its factors, and rejects both.
func (j *ggufJoint) refuse(p *ggufPair, e *fault.Error) {
	for _, i := range p.indices() {
		j.refused[i] = cmp.Or(j.refused[i], e.Code)
		e.In(j.file).Of(j.Tensors[i].Name)
	}
	j.problems.Add(e)
}

// bind makes the target of one pair.
func (j *ggufJoint) bind(p *ggufPair, b *base.Base) {
	j.note(p)
	name := p.target
	stored, ok := b.Tensor(name)
	if !ok {
		j.refuse(p, fault.New(fault.ADTarget, "the base has no tensor %q", name).Fix("give the base this adapter was trained on"))
		return
	}
	if p.pair < 0 {
		return // its factors are refused already
	}
	t := j.target(p)
	rows, cols := t.Matrix()
	switch _, head := b.Tensor("output.weight"); {
	case len(stored.Shape) != 2:
		j.refuse(p, fault.New(fault.ADShape, "the base's %q has shape %v, and the factors are those of a matrix", name, stored.Shape).
			Fix("give the base this adapter was trained on"))
		return
	case stored.Shape[0] != rows || stored.Shape[1] != cols:
		j.refuse(p, fault.New(fault.ADShape, "the base's %q is %d x %d, and the factors are for %d x %d (rows x columns): "+
			"lora_a is %d x %d and lora_b %d x %d", name, stored.Shape[0], stored.Shape[1], rows, cols,
			t.A.Shape[0], t.A.Shape[1], t.B.Shape[0], t.B.Shape[1]).
			Fix("give the base this adapter was trained on"))
		return
	case name == tokenEmbedding && !head:
		j.refuse(p, fault.New(fault.ADTied, "the base's output head is its token embedding: a merge would change both, and the adapter "+
			"changes only what is looked up").
			Fix("give a base with an output.weight of its own"))
		return
	}
	t.Base = stored
	j.targets = append(j.targets, t)
}

// unbound makes the targets from the factors alone.
func (r *ggufReader) unbound(a *Adapter) (*Binding, error) {
	j := r.join(a)
	for i := range r.pairs {
		j.note(&r.pairs[i])
		if r.pairs[i].pair >= 0 {
			j.targets = append(j.targets, j.target(&r.pairs[i]))
		}
	}
	return j.binding(nil)
}

// note keeps the tensor that a pair changes, for the coverage.
func (j *ggufJoint) note(p *ggufPair) {
	for _, i := range p.indices() {
		j.targetOf[i] = p.target
	}
}

// target is what the factors say of the weight they change. The token embedding is entries x width, and its factors those of its transpose.
func (j *ggufJoint) target(p *ggufPair) Target {
	pair := j.Pairs[p.pair]
	return Target{
		Name: p.target, Pair: pair, Blocks: 1, In: pair.A.Shape[1], Out: pair.B.Shape[0], FanInFanOut: p.target == tokenEmbedding,
	}
}

// binding puts together what Bind returns.
func (j *ggufJoint) binding(b *base.Base) (*Binding, error) {
	problems := append(slices.Clone(j.Adapter.problems), j.problems...)
	err := problems.Err()
	binding := &Binding{Adapter: j.Adapter, Base: b, Coverage: j.coverage(problems), Notes: slices.Clone(j.Notes)}
	if err == nil {
		slices.SortFunc(j.targets, func(x, y Target) int { return cmp.Compare(x.Name, y.Name) })
		binding.Targets = j.targets
	}
	return binding, err
}

// coverage tells where every tensor ended.
func (j *ggufJoint) coverage(problems fault.List) report.Coverage {
	var whole fault.Code // a fault of no single tensor
	for _, e := range problems {
		if e.Tensor == "" {
			whole = e.Code
			break
		}
	}
	coverage := report.Coverage{Tensors: []report.Tensor{}}
	for i, t := range j.Tensors {
		row := report.Tensor{Name: t.Name, Disposition: report.Applied, Target: j.targetOf[i]}
		switch rule := cmp.Or(j.refused[i], whole); {
		case t.Key.Part == Parameter:
			row.Disposition, row.Rule = report.Ignored, ruleNormVector
		case rule != "":
			row.Disposition, row.Rule = report.Rejected, string(rule)
		}
		coverage.Add(row)
	}
	return coverage
}
