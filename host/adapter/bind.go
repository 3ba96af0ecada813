package adapter

import (
	"cmp"
	"slices"
	"strconv"
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
	j := joint{Adapter: a, base: b, refused: make([]fault.Code, len(a.Tensors)), targetOf: make([]string, len(a.Tensors))}
	for i, t := range a.Tensors {
		j.refused[i] = t.Refused
	}
	j.checkOrientation()
	for i := range a.groups {
		j.bind(&a.groups[i])
	}
	j.explainMissing()
	if len(j.missing) == 0 {
		j.noteUnadapted()
	}
	problems := append(slices.Clone(a.problems), j.problems...)
	err := problems.Err()
	binding := &Binding{Adapter: a, Base: b, Coverage: j.coverage(problems), Notes: append(slices.Clone(a.Notes), j.notes...)}
	if err != nil {
		return binding, err
	}
	slices.SortFunc(j.targets, func(x, y Target) int { return cmp.Compare(x.Name, y.Name) })
	binding.Targets = j.targets
	return binding, nil
}

// joint is one Bind at work. It keeps what the base adds to the adapter's own faults, because one adapter may be bound to several bases.
type joint struct {
	*Adapter
	base     *base.Base
	targets  []Target
	missing  []missing
	refused  []fault.Code // by index into Tensors, "" for none
	targetOf []string     // by index into Tensors: the base tensor, "" for none
	problems fault.List
	notes    fault.List
}

// missing is a module that the base does not have.
type missing struct {
	module string
	fault  *fault.Error
}

// refuseModule lists a fault about a module's weight, at the first of its factors, and rejects both.
func (j *joint) refuseModule(g *group, e *fault.Error) *fault.Error {
	for _, i := range []int{g.b, g.a} {
		if i < 0 {
			continue
		}
		if j.refused[i] == "" {
			j.refused[i] = e.Code
		}
		e.In(j.Weights.Name()).Of(j.Tensors[i].Name)
	}
	j.problems.Add(e)
	return e
}

func (j *joint) bind(g *group) {
	name := g.module + ".weight"
	if j.refuseEmbedding(g) {
		return
	}
	target, ok := j.base.Tensor(name)
	if !ok {
		e := j.refuseModule(g, fault.New(fault.ADTarget, "the base has no tensor %q", name))
		j.missing = append(j.missing, missing{module: g.module, fault: e})
		return
	}
	for _, i := range []int{g.a, g.b} {
		if i >= 0 {
			j.targetOf[i] = name
		}
	}
	switch {
	case len(target.Shape) != 2:
		j.refuseModule(g, fault.New(fault.ADShape, "the base's %q has shape %v, and a linear module's weight is a matrix", name, target.Shape).
			Fix("give the base this adapter was trained on"))
		return
	case !mergeable(target):
		j.refuseModule(g, fault.New(fault.ADDType, "the base's %q is stored as %v, and only F32, F16 and BF16 are merged", name, target.DType).
			Fix("give the base in one of these types"))
		return
	case g.pair < 0:
		return // its factors are refused already
	}
	pair := j.Pairs[g.pair]
	in, out := pair.A.Shape[1], pair.B.Shape[0]
	rows, cols := out, in
	if j.Config.FanInFanOut {
		rows, cols = in, out
	}
	if target.Shape[0] != rows || target.Shape[1] != cols {
		j.refuseModule(g, j.shapeFault(name, target.Shape, rows, cols))
		return
	}
	j.targets = append(j.targets, Target{Name: name, Pair: pair, Blocks: 1, Base: target, In: in, Out: out, FanInFanOut: j.Config.FanInFanOut})
}

func (j *joint) shapeFault(name string, shape []int, rows, cols int) *fault.Error {
	order, other := "out x in", "true"
	if j.Config.FanInFanOut {
		order, other = "in x out", "false"
	}
	e := fault.New(fault.ADShape, "the base's %q has shape %v, and the factors are for [%d %d] (%s)", name, shape, rows, cols, order)
	if shape[0] == cols && shape[1] == rows {
		return e.Fix("set fan_in_fan_out to %s if the adapter was trained on this base", other)
	}
	return e.Fix("give the base this adapter was trained on%s", j.trainedOn())
}

// trainedOn names the base that the configuration names, for a remedy.
func (j *joint) trainedOn() string {
	if j.Config.BaseModel == "" {
		return ""
	}
	return "; adapter_config.json names " + strconv.Quote(j.Config.BaseModel)
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
		}
		coverage.Add(row)
	}
	return coverage
}

// noteUnadapted notes the modules that target_modules selects and the file does not adapt: PEFT would have given them factors.
func (j *joint) noteUnadapted() {
	selector := &j.Config.Selector
	if !selector.known() || selector.broken {
		return
	}
	adapted := make(map[string]bool, len(j.groups))
	for _, g := range j.groups {
		adapted[g.module] = true
	}
	if slow := tooMuch(selector.patterns(), selector.saved, j.base.Modules()); slow != nil {
		slow.Cause = "what target_modules selects in the base was not looked at: " + slow.Cause
		j.notes.Add(slow.In(j.configFile()).At("/target_modules"))
		return
	}
	var names []string
	for _, t := range j.base.Tensors {
		module, isWeight := strings.CutSuffix(t.Name, ".weight")
		if !isWeight || len(t.Shape) != 2 || adapted[module] || selector.Expression == AllLinear && (isEmbedding(module) || isHead(module)) {
			continue
		}
		if selector.Selects(module) {
			names = append(names, module)
		}
	}
	if len(names) > 0 {
		j.notes.Add(fault.New(fault.ADTargetModules, "target_modules selects %s that the file does not adapt: %s",
			plural(len(names), "module"), some(names)).In(j.configFile()).At("/target_modules"))
	}
}
