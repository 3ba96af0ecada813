package adapter

import (
	"cmp"
	"slices"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
)

// The rules by which tensors of a single file are ignored.
const (
	ruleOtherComponent = "other_component" // they are for another model of the pipeline
	ruleAlphaUnused    = "alpha_unused"    // the change has no rank that alpha would be divided by
)

// assembly is one binding of a single file at work. What the base adds to the adapter's own faults is here, because one adapter may be bound
// to several bases.
type assembly struct {
	*Adapter
	file     *kohya
	base     *base.Base // nil in an Unbound
	places   moduleMap
	chosen   map[component]bool
	refused  []fault.Code // by index into Tensors, "" for none
	targetOf []string     // by index into Tensors: the base tensor, "" for none
	ownerOf  map[string]*singleModule
	targets  []Target
	derived  derivation
	axes     map[axis]int
	renamed  int
	missed   int
	problems fault.List
	notes    fault.List
}

func (k *kohya) assembly(a *Adapter, b *base.Base) *assembly {
	s := &assembly{Adapter: a, file: k, base: b, chosen: map[component]bool{}, refused: make([]fault.Code, len(a.Tensors)),
		targetOf: make([]string, len(a.Tensors)), ownerOf: map[string]*singleModule{}, axes: map[axis]int{}}
	s.derived.file = a.Weights.Name()
	for i, t := range a.Tensors {
		s.refused[i] = t.Refused
	}
	return s
}

// bind resolves every module against the base, as Adapter.Bind promises. A file may hold several models of a pipeline; the one that the base
// is gets merged, and the tensors of the others are ignored with a note.
func (k *kohya) bind(a *Adapter, b *base.Base) (*Binding, error) {
	s := k.assembly(a, b)
	s.places = newModuleMap(b)
	s.choose()
	for _, m := range k.modules {
		if s.chosen[m.component] {
			s.resolve(m)
		}
	}
	s.noteConventions()
	return s.finish()
}

// unbound is bind without a base: every module is taken, by the name that the file gives it, and what only a weight's size bounds is refused.
func (k *kohya) unbound(a *Adapter) (*Binding, error) {
	s := k.assembly(a, nil)
	for _, m := range k.modules {
		s.chosen[m.component] = true
		if !m.broken {
			s.lower(m, m.shown())
		}
	}
	return s.finish()
}

// resolve finds the module of the base and lowers what the file has for it.
func (s *assembly) resolve(m *singleModule) {
	found, renamed := s.places.find(m)
	switch {
	case len(found) == 0:
		s.missing(m)
		return
	case len(found) > 1:
		s.reject(m, fault.New(fault.ADTarget, "the name can mean %s of the base: %s", plural(len(found), "module"), some(found)).
			Fix("rename the tensors of the adapter to the dotted path of the module that is meant"))
		return
	}
	module := found[0]
	if renamed {
		s.renamed++
	}
	if first := s.ownerOf[module]; first != nil {
		s.reject(m, fault.New(fault.ADTwice, "module %s of the base is adapted twice, here and as %s", module, quoted(first.shown())).
			Fix("save the adapter again with one name for each module"))
		return
	}
	s.ownerOf[module] = m
	if m.broken {
		return
	}
	s.lower(m, module)
}

// missing lists a module that the base does not have.
func (s *assembly) missing(m *singleModule) {
	e := fault.New(fault.ADTarget, "the base has no module %s", quoted(m.name))
	e.Fix("give the base this adapter was trained on")
	if s.missed++; s.missed <= maxSuggestions {
		if near, ok := s.places.nearest(m); ok {
			e.Fix("did you mean %q? otherwise give the base this adapter was trained on", near)
		}
	}
	s.reject(m, e)
}

// reject lists a fault of a module and rejects its tensors.
func (s *assembly) reject(m *singleModule, e *fault.Error) {
	for _, i := range m.tensors {
		s.refused[i] = cmp.Or(s.refused[i], e.Code)
	}
	s.problems.Add(e.In(s.Weights.Name()).Of(s.Tensors[m.tensors[0]].Name))
}

// rejectPart is reject with a place that is one part of the module.
func (s *assembly) rejectPart(m *singleModule, part Part, e *fault.Error) {
	s.reject(m, e)
	if i, ok := m.at[part]; ok {
		e.Of(s.Tensors[i].Name)
	}
}

// finish makes the Binding, with the derived tensors where there are some.
func (s *assembly) finish() (*Binding, error) {
	problems := append(slices.Clone(s.Adapter.problems), s.problems...)
	binding := &Binding{Adapter: s.Adapter, Base: s.base, Notes: append(slices.Clone(s.Notes), s.notes...)}
	if len(problems) == 0 {
		if err := s.derive(binding); err != nil {
			problems = fault.All(err)
			if len(problems) == 0 {
				return nil, err
			}
			s.blame(problems)
		}
	}
	err := problems.Err()
	binding.Coverage = s.coverage(problems)
	if err != nil {
		return binding, err
	}
	slices.SortFunc(s.targets, func(x, y Target) int { return cmp.Compare(x.Name, y.Name) })
	binding.Targets = s.targets
	return binding, nil
}

// blame marks the tensors that faults name.
func (s *assembly) blame(problems fault.List) {
	for _, e := range problems {
		if i := slices.IndexFunc(s.Tensors, func(t Tensor) bool { return t.Name == e.Tensor }); i >= 0 {
			s.refused[i] = e.Code
		}
	}
}

// coverage tells where every tensor ended.
func (s *assembly) coverage(problems fault.List) report.Coverage {
	var whole fault.Code // a fault of no single tensor
	for _, e := range problems {
		if e.Tensor == "" {
			whole = e.Code
			break
		}
	}
	coverage := report.Coverage{Tensors: []report.Tensor{}}
	for i, t := range s.Tensors {
		row := report.Tensor{Name: t.Name, Disposition: report.Applied, Target: s.targetOf[i]}
		m := s.file.of[i]
		switch rule := cmp.Or(s.refused[i], whole); {
		case rule != "":
			row.Disposition, row.Rule = report.Rejected, string(rule)
		case m != nil && !s.chosen[m.component]:
			row.Disposition, row.Rule = report.Ignored, ruleOtherComponent
		case t.Key.Part == alphaScalar && m != nil && m.alphaUnused():
			row.Disposition, row.Rule = report.Ignored, ruleAlphaUnused
		}
		coverage.Add(row)
	}
	return coverage
}

// noteConventions tells how the file was read where there was a choice.
func (s *assembly) noteConventions() {
	file := s.Weights.Name()
	s.notes = append(s.notes, axisNotes(file, s.axes)...)
	if s.renamed > 0 {
		s.notes.Add(fault.New(fault.ADTarget, "%s found without %q in the path, or with it: transformers names the same text encoder both ways",
			plural(s.renamed, "module"), textModel).In(file))
	}
}
