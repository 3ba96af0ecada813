package adapter

import (
	"cmp"
	"strings"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
)

// rename is one known way in which the module tree an adapter was trained in and the names of a checkpoint differ. It is applied only
// where it brings every adapted module of the file to a tensor of the base, exactly, and no module is in the base as it is called.
type rename struct {
	name  string // of the rule, for the report
	moves []move // the first whose from begins a path is made; a path that none begins is kept
}

// move replaces the beginning of a path.
type move struct{ from, to string }

// renames is the table of the known differences, from the adapter's names to the base's:
//
//   - the wrapper of torch.compile (_orig_mod), of DistributedDataParallel (module) and of a PeftModel inside another (base_model.model),
//     which training loops leave in the names;
//   - a vision-language model as transformers 4 calls its parts (language_model.model, language_model.lm_head, vision_tower,
//     multi_modal_projector; visual) and as transformers 5 does (model.language_model, lm_head, model.vision_tower, …), either way: checkpoints
//     keep the names they were published under, and adapters get those of the library they were trained with;
//   - a language model by itself (model, lm_head) and inside a vision-language model, of either version, either way;
//   - a checkpoint without the prefix that transformers gives to a model under a head (base_model_prefix: transformer in GPT-2, bert, …), as
//     Hugging Face's own gpt2 is saved, and the reverse. The names of output heads never have it.
var renames = table()

func table() []rename {
	v4to5 := []move{{"language_model.model.", "model.language_model."}, {"language_model.lm_head.", "lm_head."},
		{"vision_tower.", "model.vision_tower."}, {"multi_modal_projector.", "model.multi_modal_projector."}}
	qwen := []move{{"visual.", "model.visual."}, {"lm_head.", "lm_head."}, {"model.", "model.language_model."}}
	text := []move{{"model.", "language_model.model."}, {"lm_head.", "language_model.lm_head."}}
	all := []rename{
		{"without torch.compile's _orig_mod", []move{{"_orig_mod.", ""}}},
		{"without DistributedDataParallel's module", []move{{"module.", ""}}},
		{"without a second base_model.model", []move{{"base_model.model.", ""}}},
		{"a vision-language model of transformers 4 in names of 5", v4to5},
		{"a vision-language model of transformers 5 in names of 4", reversed(v4to5)},
		{"a language model inside a vision-language model of transformers 5", qwen},
		{"a language model out of a vision-language model of transformers 5", reversed(qwen)},
		{"a language model inside a vision-language model of transformers 4", text},
		{"a language model out of a vision-language model of transformers 4", reversed(text)},
	}
	heads := []string{"lm_head.", "embed_out.", "score.", "classifier.", "qa_outputs.", "pre_classifier.", "cls."}
	for _, prefix := range []string{"transformer.", "model.", "bert.", "roberta.", "distilbert.", "electra.", "albert.", "deberta.", "mpnet.",
		"gpt_neox.", "vit.", "backbone."} {
		all = append(all, rename{"without " + strings.TrimSuffix(prefix, "."), []move{{prefix, ""}}})
		var with []move
		for _, head := range heads {
			with = append(with, move{head, head})
		}
		all = append(all, rename{"with " + strings.TrimSuffix(prefix, "."), append(with, move{"", prefix})})
	}
	return all
}

func reversed(moves []move) []move {
	back := make([]move, len(moves))
	for i, m := range moves {
		back[i] = move{m.to, m.from}
	}
	return back
}

// path is a path under the rule. added tells whether the path as it was lacks a prefix, so that a module it names need not have one.
func (r *rename) path(path string) (renamed string, added bool) {
	if r == nil {
		return path, false
	}
	for _, m := range r.moves {
		if rest, ok := strings.CutPrefix(path, m.from); ok {
			return m.to + rest, m.from == ""
		}
	}
	return path, false
}

// findRename looks for the one rule that brings all adapted modules to the base, and notes it. Where the modules are in the base under their
// own names, or some are, or no rule brings all, or two bring them to different places, there is none.
func (j *joint) findRename() {
	var modules []func(r *rename) bool // each reports whether the base has a module under a rule
	for i := range j.groups {
		g := &j.groups[i]
		if j.tie.touches(g.module) && isHead(g.module) {
			continue // it is not stored
		}
		modules = append(modules, func(r *rename) bool {
			path, _ := r.path(g.module)
			return hasModule(j.base, path, g.leaves)
		})
	}
	for i := range j.replacements {
		if r := &j.replacements[i]; (r.rows || r.copied) && !isHead(r.module) {
			modules = append(modules, func(rule *rename) bool {
				path, _ := rule.path(r.name)
				_, ok := j.base.Tensor(path)
				return ok
			})
		}
	}
	if len(modules) == 0 {
		return
	}
	for _, has := range modules {
		if has(nil) {
			return
		}
	}
	var found *rename
	for i := range renames {
		rule := &renames[i]
		all := true
		for _, has := range modules {
			if all = has(rule); !all {
				break
			}
		}
		switch {
		case !all:
		case found == nil:
			found = rule
		case !j.agreesWith(found, rule):
			return
		}
	}
	if found == nil {
		return
	}
	j.rename = found
	example := j.exampleModule()
	path, _ := found.path(example)
	j.notes.Add(fault.New(fault.ADTarget, "the base's names differ from the adapter's by one known rule, %q, which brings every adapted module "+
		"to the base: %s is %s there", found.name, example, path).In(j.Weights.Name()))
}

// exampleModule is a module to show a rule with.
func (j *joint) exampleModule() string {
	if len(j.groups) > 0 {
		return j.groups[0].module
	}
	for _, r := range j.replacements {
		if r.rows || r.copied {
			return r.module
		}
	}
	return ""
}

// agreesWith reports whether two rules bring every adapted module to the same place.
func (j *joint) agreesWith(x, y *rename) bool {
	for i := range j.groups {
		one, _ := x.path(j.groups[i].module)
		other, _ := y.path(j.groups[i].module)
		if one != other {
			return false
		}
	}
	for _, r := range j.replacements {
		one, _ := x.path(r.name)
		other, _ := y.path(r.name)
		if one != other {
			return false
		}
	}
	return true
}

// hasModule reports whether the base has a weight of a module that factors can be for.
func hasModule(b *base.Base, module string, leaves []string) bool {
	for _, leaf := range leaves {
		if _, ok := findFused(b, module, leaf); ok {
			return true
		}
	}
	if leaves != nil {
		return false
	}
	_, weight := b.Tensor(module + weightSuffix)
	_, attention := b.Tensor(module + "." + inProjection)
	return weight || attention
}

// renamed is the base's path of a module of the file.
func (j *joint) renamed(module string) string {
	path, _ := j.rename.path(module)
	return path
}

// parameterName is the base's name of a parameter that the file replaces, and whether the base has it. A head may be without the prefix that the
// rule gives to the modules below it.
func (j *joint) parameterName(name string) (string, base.Tensor, bool) {
	path, added := j.rename.path(name)
	if stored, ok := j.base.Tensor(path); ok {
		return path, stored, true
	}
	if stored, ok := j.base.Tensor(name); ok {
		return name, stored, true
	}
	if added {
		path = name
	}
	return cmp.Or(path, name), base.Tensor{}, false
}
