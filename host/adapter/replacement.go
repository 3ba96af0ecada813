package adapter

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// replacement is a tensor of the file that stands in place of a parameter of the base, or of some of its rows, whatever that was before.
type replacement struct {
	tensor int     // into Adapter.Tensors
	module string  // that has the parameter
	name   string  // of the parameter in the base
	rows   bool    // it holds the rows of indices only (trainable_token_indices)
	saved  bool    // its module is one of modules_to_save
	copied bool    // PEFT saved it because it belongs to an embedding, whether or not it was trained (save_embedding_layers)
	tokens []int64 // with rows: which
}

// findReplacements finds every tensor that is no factor, and refuses those that nothing in the configuration announces: what PEFT would do
// with one depends on how the model happens to be wrapped.
func (a *Adapter) findReplacements(hasConfig bool) {
	adapted := make(map[string]*group, len(a.groups))
	name := ""
	for i := range a.groups {
		adapted[a.groups[i].module] = &a.groups[i]
		for _, at := range a.groups[i].indices() {
			name = cmp.Or(name, a.Tensors[at].Key.Adapter)
		}
	}
	for i := range a.Tensors {
		t := &a.Tensors[i]
		switch t.Key.Part {
		case TokenRows, BaseCopy, SavedModule, Parameter:
		default:
			continue
		}
		r := replacement{tensor: i, rows: t.Key.Part == TokenRows}
		if r.rows {
			r.module = strings.ReplaceAll(t.Key.Module+".", "."+string(BaseCopy)+".", ".")
			r.module = strings.TrimSuffix(r.module, ".")
			r.name = r.module + weightSuffix
		} else {
			r.name = t.parameter(name)
			r.module = parent(r.name)
		}
		g := adapted[r.module]
		switch {
		case r.rows:
			a.checkRows(&r, g, hasConfig)
		case hasConfig:
			a.explain(&r, g)
		}
		a.replacements = append(a.replacements, r)
	}
	a.checkConflicts()
	a.checkList()
}

// weightSuffix is what the name of a module's weight ends in.
const weightSuffix = ".weight"

// parent is the path of the module that has a parameter.
func parent(name string) string {
	if at := strings.LastIndexByte(name, '.'); at >= 0 {
		return name[:at]
	}
	return ""
}

// explain finds the reason why the file holds a parameter of the base, and refuses it where there is none.
func (a *Adapter) explain(r *replacement, g *group) {
	key, leaf := a.Tensors[r.tensor].Key, lastElement(r.name)
	embedding := isEmbedding(r.module) || strings.HasSuffix(key.Module, "."+tokenAdapter) || g != nil && g.embedding
	switch {
	case a.Config.saves(r.module) || key.Part == SavedModule:
		r.saved = true
	case a.Config.Bias == biasAll && strings.HasSuffix(leaf, "bias"):
	case a.Config.Bias == biasLoRA && leaf == "bias" && g != nil:
	case embedding || isHead(r.module):
		r.copied = true
	case key.Part == BaseCopy && g != nil && leaf == "weight":
		r.copied = true
	default:
		a.refuse(r.tensor, fault.New(fault.ADTargetModules, "it is a parameter of the base, and neither modules_to_save nor bias says that %s "+
			"is trained", r.module).Fix("give the configuration that was saved with these weights"))
	}
}

// taskHeads are the modules that PEFT adds to modules_to_save for a task, without writing them into older configurations
// (peft/peft_model.py, PeftModelForSequenceClassification and its like).
var taskHeads = map[string][]string{
	"SEQ_CLS": {"classifier", "score"}, "TOKEN_CLS": {"classifier", "score"}, "QUESTION_ANS": {"qa_outputs"},
}

// saves reports whether the configuration has a module trained and saved as a whole: it, or one around it, ends in a name of modules_to_save.
func (c *Config) saves(module string) bool {
	for _, name := range slices.Concat(c.SavedModules, taskHeads[c.TaskType]) {
		if name != "" && strings.Contains(module+".", name+".") {
			return true
		}
	}
	return false
}

// checkConflicts refuses what would change one parameter in two ways whose order is not defined.
func (a *Adapter) checkConflicts() {
	const remedy = "save the adapter again; this one names the same values twice"
	type place struct {
		name string
		rows bool
	}
	first := make(map[place]int, len(a.replacements))
	copied := make(map[string]bool) // saved unasked: where it is the base's own, nothing is replaced as a whole
	for _, r := range a.replacements {
		if other, twice := first[place{r.name, r.rows}]; twice {
			a.refuse(r.tensor, fault.New(fault.ADTwice, "%s is replaced twice, here and by %q", r.name, a.Tensors[other].Name).Fix(remedy))
			a.Tensors[other].Refused = cmp.Or(a.Tensors[other].Refused, fault.ADTwice)
			continue
		}
		first[place{r.name, r.rows}] = r.tensor
		copied[r.name] = copied[r.name] || r.copied
	}
	for _, r := range a.replacements {
		if _, whole := first[place{r.name, false}]; r.rows && whole && !copied[r.name] {
			a.refuse(r.tensor, fault.New(fault.ADTwice, "%s is replaced as a whole, and some of its rows are too", r.name).
				Fix("train the embedding with modules_to_save or with trainable_token_indices, not with both"))
		}
	}
}
