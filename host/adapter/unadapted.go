package adapter

import (
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// noteUnadapted notes the modules that target_modules selects and the file does not adapt: PEFT would have given them factors.
func (j *joint) noteUnadapted() {
	selector := &j.Config.Selector
	if !selector.known() || selector.broken {
		return
	}
	adapted := make(map[string]bool, len(j.groups))
	for _, g := range j.groups {
		adapted[j.renamed(g.module)] = true
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
