package adapter

import (
	"math"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// crossCheck holds the configuration against the tensors: each module must be one that the configuration selects, each entry of
// target_modules must have found a module, and every scale must be a number that the merge can use.
func (a *Adapter) crossCheck() {
	modules := make([]string, len(a.groups))
	for i, g := range a.groups {
		modules[i] = g.module
	}
	a.checkScales()
	a.noteConfig(modules)
	selector := &a.Config.Selector
	switch {
	case len(modules) == 0 || selector.broken:
		return // what could be said is said already
	case !selector.known():
		a.Notes.Add(fault.New(fault.ADTargetModules, "target_modules is not given, so nothing says which modules the tensors should adapt").
			In(a.configFile()))
		return
	}
	for _, g := range a.groups {
		if selector.Selects(g.module) {
			continue
		}
		for _, i := range []int{g.a, g.b} {
			if i >= 0 {
				a.refuse(i, fault.New(fault.ADTargetModules, "the configuration's target_modules do not select module %s", g.module).
					Fix("give the configuration that was saved with these weights"))
			}
		}
	}
	if unused := selector.unused(modules); len(unused) > 0 {
		a.problems.Add(fault.New(fault.ADTargetModules, "target_modules lists %s, which no tensor adapts", some(unused)).
			In(a.configFile()).At("/target_modules").
			Fix("remove the entries if the base has no such modules; otherwise the weights are incomplete"))
	}
}

// boundPatterns refuses a configuration whose patterns would take too long on the modules of the file, and drops them before any is
// matched.
func (a *Adapter) boundPatterns() {
	programs, plains, bytes := 0, 0, 0
	for _, p := range a.Config.patterns() {
		programs += p.program
		if p.program == 0 {
			plains++
		}
	}
	for _, g := range a.groups {
		bytes += len(g.module)
	}
	if programs*bytes <= maxPatternWork && plains*len(a.groups) <= maxPlainWork {
		return
	}
	a.problems.Add(fault.New(fault.ADPattern, "%d patterns, of about %d instructions, are too many for %d modules",
		len(a.Config.patterns()), programs, len(a.groups)).In(a.configFile()).Fix("give fewer patterns, and names in place of regular expressions"))
	a.Config.RankPattern, a.Config.AlphaPattern = nil, nil
	a.Config.Selector = Selector{broken: true}
}

// checkScales makes sure that s is finite in f32, in which every backend computes with it.
func (a *Adapter) checkScales() {
	for _, p := range a.Pairs {
		switch single := float32(p.Scale); {
		case math.IsInf(float64(single), 0):
			a.problems.Add(fault.New(fault.ADAlpha, "the scale of module %s is %g, which is beyond the range of f32", p.Module, p.Scale).
				In(a.configFile()).At("/lora_alpha").Fix("write the alpha the adapter was trained with"))
			return
		case single == 0 && p.Alpha != 0:
			a.Notes.Add(fault.New(fault.ADAlpha, "the scale of module %s is %g, which is 0 in f32: it adds nothing", p.Module, p.Scale).
				In(a.configFile()).At("/lora_alpha"))
			return
		}
	}
}

// noteConfig notes what in the configuration has no effect on these tensors, or is only a statement.
func (a *Adapter) noteConfig(modules []string) {
	note := func(pointer string, code fault.Code, cause string, args ...any) {
		a.Notes.Add(fault.New(code, cause, args...).In(a.configFile()).At(pointer))
	}
	c := &a.Config
	if c.BaseModel != "" {
		revision := ""
		if c.Revision != "" {
			revision = " at revision " + c.Revision
		}
		note("/base_model_name_or_path", fault.ADBase, "the adapter says it was trained on %q%s; a name is not checked", c.BaseModel, revision)
	}
	saved := 0
	for _, t := range a.Tensors {
		if t.Key.Part == SavedModule || t.Key.Part == Parameter {
			saved++
		}
	}
	if len(c.SavedModules) > 0 && saved == 0 {
		note("/modules_to_save", fault.ADTargetModules, "modules_to_save lists %s, and the file holds none of them", some(c.SavedModules))
	}
	if unmatched := idle(c.RankPattern, func(p RankPattern) Pattern { return p.Pattern }, modules); len(unmatched) > 0 {
		note("/rank_pattern", fault.ADPattern, "no adapted module matches %s", some(unmatched))
	}
	if unmatched := idle(c.AlphaPattern, func(p AlphaPattern) Pattern { return p.Pattern }, modules); len(unmatched) > 0 {
		note("/alpha_pattern", fault.ADPattern, "no adapted module matches %s", some(unmatched))
	}
}

// idle returns the patterns that match none of the modules.
func idle[P any](patterns []P, of func(P) Pattern, modules []string) []string {
	var unmatched []string
	for _, p := range patterns {
		pattern := of(p)
		found := false
		for _, module := range modules {
			if found = pattern.Match(module); found {
				break
			}
		}
		if !found {
			unmatched = append(unmatched, strings.TrimSpace(pattern.Text))
		}
	}
	return unmatched
}
