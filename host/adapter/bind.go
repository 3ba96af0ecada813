package adapter

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// Binding is an adapter resolved against a base: which weight each pair changes, and where every tensor of the adapter ended.
type Binding struct {
	Adapter *Adapter
	Base    *base.Base
	Targets []Target // by Name; nil when anything was refused
	// Coverage accounts for every tensor of the adapter, by name. Applied means that it is part of a target, whether or not a gate lets it
	// be merged later. A fault of the adapter as a whole rejects every tensor.
	Coverage report.Coverage
	Notes    fault.List // the adapter's, and what the base adds to them

	// Derived holds the tensors that were computed from the adapter's, and from the base where a form asks for it; nil where there are none.
	Derived *safetensors.File
}

// ruleOriginalModule is the rule by which a legacy copy of an untouched base module is ignored: PEFT does not read it either.
const ruleOriginalModule = "original_module"

// Load reads an adapter and binds it to a base, and reports everything wrong with it in one list: what Open refuses and what Bind
// refuses. When only the binding fails, or the adapter's tensors are known though Open would refuse it, the Binding comes with the error,
// for a report: it has no Targets, and its Adapter is closed already. Without an error the caller closes Binding.Adapter.
func Load(ref string, b *base.Base) (*Binding, error) {
	a, err := read(ref)
	if err != nil {
		return nil, err
	}
	binding, err := a.Bind(b)
	if err != nil {
		a.Close()
	}
	return binding, err
}

// Bind resolves every pair against a base. A module must be in the base under its own path, exactly: a name that only ends alike is
// refused, because guessing is how adapters come to load with success and do nothing. The error lists all that is wrong; the Binding is
// returned with it, with its Coverage and without Targets. The adapter stays the caller's.
func (a *Adapter) Bind(b *base.Base) (*Binding, error) {
	if a.reader != nil {
		return a.reader.bind(a, b)
	}
	return a.bindPEFT(b)
}

// bindPEFT is Bind of a PEFT directory.
func (a *Adapter) bindPEFT(b *base.Base) (*Binding, error) {
	j := newJoint(a, b)
	if b.GGUF() != nil {
		j.problems.Add(fault.New(fault.ADBase, "a PEFT adapter changes the tensors of a Hugging Face checkpoint, and %s is a GGUF file", b.Ref).
			In(a.Weights.Name()).Fix("convert it: tenon convert ADAPTER --to gguf --base MODEL --out FILE.gguf, with the checkpoint that it was trained on as MODEL"))
		return j.finish()
	}
	j.tie = findTie(b)
	j.findRename()
	j.checkOrientation()
	for i := 0; i < len(a.groups); {
		g := &a.groups[i]
		if g.leaves == nil {
			j.bind(g)
			i++
			continue
		}
		var wrappers []*group
		for ; i < len(a.groups) && a.groups[i].module == g.module; i++ {
			wrappers = append(wrappers, &a.groups[i])
		}
		j.bindParameters(wrappers)
	}
	j.bindReplacements()
	j.explainMissing()
	if len(j.missing) == 0 {
		j.noteUnadapted()
	}
	return j.finish()
}

// finish computes what is derived, where nothing was refused, and makes the Binding.
func (j *joint) finish() (*Binding, error) {
	problems := append(slices.Clone(j.Adapter.problems), j.problems...)
	binding := &Binding{Adapter: j.Adapter, Base: j.base, Notes: append(slices.Clone(j.Notes), j.notes...)}
	if len(problems) == 0 {
		derived, err := j.derived.make(j.Weights.Name() + ", what is derived from it")
		problems = append(problems, fault.All(err)...)
		binding.Derived = derived
	}
	binding.Coverage = j.coverage(problems)
	if err := problems.Err(); err != nil {
		return binding, err
	}
	for _, name := range slices.Sorted(maps.Keys(j.changes)) {
		t := j.changes[name]
		t.settle(binding.Derived)
		binding.Targets = append(binding.Targets, *t)
	}
	return binding, nil
}

// joint is one Bind at work. It keeps what the base adds to the adapter's own faults, because one adapter may be bound to several bases.
type joint struct {
	*Adapter
	base      *base.Base // nil without one
	tie       tie
	headBound bool    // the factors of a tied head have been looked at
	rename    *rename // nil for none
	changes   map[string]*Target
	roots     map[string]bool // the first elements of the base's names; nil until it is needed
	derived   derivations
	missing   []missing
	refused   []fault.Code // by index into Tensors, "" for none
	ignored   []string     // by index into Tensors: the rule, "" for none
	replaced  []bool       // by index into Tensors
	targetOf  []string     // by index into Tensors: the base tensor, "" for none
	problems  fault.List
	notes     fault.List
}

func newJoint(a *Adapter, b *base.Base) *joint {
	n := len(a.Tensors)
	j := &joint{Adapter: a, base: b, changes: make(map[string]*Target), refused: make([]fault.Code, n), ignored: make([]string, n),
		replaced: make([]bool, n), targetOf: make([]string, n)}
	for i, t := range a.Tensors {
		j.refused[i] = t.Refused
	}
	return j
}

// missing is a module that the base does not have.
type missing struct {
	module string
	fault  *fault.Error
}

// refuse lists a fault of one tensor that the base brings up.
func (j *joint) refuse(i int, e *fault.Error) *fault.Error {
	j.refused[i] = cmp.Or(j.refused[i], e.Code)
	j.problems.Add(e.In(j.Weights.Name()).Of(j.Tensors[i].Name))
	return e
}

// refuseModule lists a fault about a module's weight, at the first of its factors, and rejects all that the file has of the module.
func (j *joint) refuseModule(g *group, e *fault.Error) *fault.Error {
	for _, i := range g.indices() {
		j.refused[i] = cmp.Or(j.refused[i], e.Code)
		e.In(j.Weights.Name()).Of(j.Tensors[i].Name)
	}
	j.problems.Add(e)
	return e
}

// lacks refuses a module that the base does not have.
func (j *joint) lacks(g *group, name string) {
	e := j.refuseModule(g, fault.New(fault.ADTarget, "the base has no tensor %q", name))
	j.missing = append(j.missing, missing{module: strings.TrimSuffix(name, weightSuffix), fault: e})
}

// change is the target of a tensor of the base, to be given the factors of a module. It is nil, and the module refused, where another
// module has changed the same tensor already.
func (j *joint) change(g *group, stored base.Tensor) *Target {
	t := j.target(stored.Name, stored)
	if t.LowRank() {
		j.refuseModule(g, fault.New(fault.ADTwice, "the base's %q is adapted by module %s too", stored.Name, t.Module).
			Fix("save the adapter again with one name for each module"))
		return nil
	}
	return t
}

// target is what becomes of a tensor, of the base or, where stored has no shape, new.
func (j *joint) target(name string, stored base.Tensor) *Target {
	t, ok := j.changes[name]
	if !ok {
		t = &Target{Name: name, Blocks: 1, Base: stored}
		j.changes[name] = t
	}
	return t
}

// coverage tells where every tensor ended.
func (j *joint) coverage(problems fault.List) report.Coverage {
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
		case t.Key.Part == OriginalModule:
			row.Disposition, row.Rule = report.Ignored, ruleOriginalModule
		case rule != "":
			row.Disposition, row.Rule = report.Rejected, string(rule)
		case j.ignored[i] != "":
			row.Disposition, row.Rule = report.Ignored, j.ignored[i]
		case j.replaced[i]:
			row.Disposition = report.Replaced
		}
		coverage.Add(row)
	}
	return coverage
}
