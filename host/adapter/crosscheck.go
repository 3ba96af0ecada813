package adapter

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tenon-ml/tenon/host/fault"
)

// crossCheck holds the configuration against the tensors: each module must be one that the configuration selects, each entry of
// target_modules must have found a module, and every scale must be a number that the merge can use.
func (a *Adapter) crossCheck() {
	var names, modules []string // what patterns are held against, and what target_modules may mean
	for i := range a.groups {
		g := &a.groups[i]
		names = append(names, g.names()...)
		if g.leaves == nil {
			modules = append(modules, cmp.Or(g.attention, g.module))
		}
	}
	a.checkScales()
	a.noteConfig(names)
	a.checkParameters()
	selector := &a.Config.Selector
	switch {
	case len(modules) == 0 || selector.broken:
		return // what could be said is said already
	case !selector.known():
		a.Notes.Add(fault.New(fault.ADTargetModules, "target_modules is not given, so nothing says which modules the tensors should adapt").
			In(a.configFile()))
		return
	}
	for i := range a.groups {
		g := &a.groups[i]
		if g.leaves != nil || selector.Selects(cmp.Or(g.attention, g.module)) || a.Config.WeightTying && isHead(g.module) {
			continue // a tied head has the embedding's factors, whatever is selected
		}
		for _, i := range g.indices() {
			a.refuse(i, fault.New(fault.ADTargetModules, "the configuration's target_modules do not select module %s", g.module).
				Fix("give the configuration that was saved with these weights"))
		}
	}
	if unused := selector.unused(modules); len(unused) > 0 {
		a.problems.Add(fault.New(fault.ADTargetModules, "target_modules lists %s, which no tensor adapts", some(unused)).
			In(a.configFile()).At("/target_modules").
			Fix("remove the entries if the base has no such modules; otherwise the weights are incomplete"))
	}
}

// checkParameters refuses entries of target_parameters that no module of the file can be meant by.
func (a *Adapter) checkParameters() {
	var unused []string
	for _, name := range a.Config.Parameters {
		of, leaf := parent(name), lastElement(name)
		if !slices.ContainsFunc(a.groups, func(g group) bool {
			return slices.Contains(g.leaves, leaf) && (of == "" || g.module == of || strings.HasSuffix(g.module, "."+of))
		}) {
			unused = append(unused, name)
		}
	}
	if len(unused) > 0 {
		a.problems.Add(fault.New(fault.ADTargetModules, "target_parameters lists %s, which no tensor adapts", some(unused)).
			In(a.configFile()).At("/target_parameters").
			Fix("remove the entries if the base has no such parameters; otherwise the weights are incomplete"))
	}
}

// boundPatterns refuses a configuration whose patterns would take too long on the modules of the file, or could match other modules than
// in Python, and drops them before any is matched.
func (a *Adapter) boundPatterns() {
	modules := make([]string, len(a.groups))
	for i, g := range a.groups {
		modules[i] = g.module
	}
	names := slices.Concat(a.Config.Selector.saved, a.Config.Parameters)
	for _, t := range a.Tensors { // each of which modules_to_save and trainable_token_indices may be about
		if part := t.Key.Part; part == TokenRows || part == BaseCopy || part == SavedModule || part == Parameter {
			modules = append(modules, t.Key.Module)
		}
	}
	for _, rows := range a.Config.Tokens {
		names = append(names, rows.Module)
	}
	refused := tooMuch(a.Config.patterns(), names, modules)
	if refused == nil {
		refused = a.Config.ambiguous(modules)
	}
	if refused == nil {
		return
	}
	a.problems.Add(refused.In(a.configFile()))
	a.Config.RankPattern, a.Config.AlphaPattern = nil, nil
	a.Config.SavedModules, a.Config.Parameters, a.Config.Tokens = nil, nil, nil
	a.Config.Selector = Selector{broken: true}
}

// tooMuch refuses patterns, and names of modules_to_save, that would take too long on these modules.
func tooMuch(patterns []Pattern, saved, modules []string) *fault.Error {
	programs, plain, bytes := 0, 0, 0
	for _, p := range patterns {
		programs += p.program
		if p.program == 0 {
			plain += len(p.Text) + plainCost
		}
	}
	for _, name := range saved {
		plain += len(name) + plainCost
	}
	for _, module := range modules {
		bytes += len(module)
	}
	if programs*bytes <= maxPatternWork && plain*len(modules) <= maxPlainWork {
		return nil
	}
	return fault.New(fault.ADPattern, "%s and %s of modules_to_save, of about %d instructions, are too many for %d modules",
		plural(len(patterns), "pattern"), plural(len(saved), "name"), programs, len(modules)).
		Fix("give fewer patterns, and names in place of regular expressions")
}

// ambiguous refuses regular expressions on modules whose names are not ASCII: \w, \d, \s and \b are other sets in Python.
func (c *Config) ambiguous(modules []string) *fault.Error {
	if !slices.ContainsFunc(c.patterns(), func(p Pattern) bool { return p.program > 0 }) {
		return nil
	}
	for _, module := range modules {
		if strings.ContainsFunc(module, func(r rune) bool { return r >= utf8.RuneSelf }) {
			return fault.New(fault.ADPattern, "module %s is not in ASCII, where regular expressions differ from Python's", module).
				Fix("name the modules one by one")
		}
	}
	return nil
}

// checkScales makes sure that s is finite in f32, in which every backend computes with it. It says so of the first module of each kind.
func (a *Adapter) checkScales() {
	infinite, vanishing := false, false
	for i := range a.groups {
		if !a.groups[i].paired {
			continue
		}
		p := a.groups[i].factors
		switch single := float32(p.Scale); {
		case math.IsInf(float64(single), 0) && !infinite:
			infinite = true
			a.problems.Add(fault.New(fault.ADAlpha, "the scale of module %s is %g, which is beyond the range of f32", p.Module, p.Scale).
				In(a.configFile()).At(a.Config.alphaPlace(p.Module)).Fix("write the alpha the adapter was trained with"))
		case single == 0 && p.Alpha != 0 && !vanishing:
			vanishing = true
			a.Notes.Add(fault.New(fault.ADAlpha, "the scale of module %s is %g, which is 0 in f32: it adds nothing", p.Module, p.Scale).
				In(a.configFile()).At(a.Config.alphaPlace(p.Module)))
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
		note("/base_model_name_or_path", fault.ADBase, "the adapter says it was trained on %q%s; a name is not checked",
			c.BaseModel, revision)
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
