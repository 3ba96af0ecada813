package adapter

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// mergeable reports whether a tensor of the base can be changed.
func mergeable(t base.Tensor) bool { return computable(t.DType) }

// unmergeable is the fault of a tensor of the base that cannot be changed.
func unmergeable(name string, dtype tensor.DType) *fault.Error {
	return fault.New(fault.ADDType, "the base's %q is stored as %v, and only F32, F16 and BF16 are merged", name, dtype).
		Fix("give the base in one of these types")
}

// lastElement is the name of a module inside its parent.
func lastElement(module string) string { return module[strings.LastIndexByte(module, '.')+1:] }

// isEmbedding knows the names that transformers gives to a model's input embeddings.
func isEmbedding(module string) bool {
	switch lastElement(module) {
	case "embed_tokens", "wte", "wpe", "word_embeddings", "position_embeddings", "token_type_embeddings", "embed_in", "embed_positions",
		"shared":
		return true
	}
	return false
}

// isHead knows the names that transformers gives to a model's output head.
func isHead(module string) bool {
	switch lastElement(module) {
	case "lm_head", "embed_out", "vocab_projector":
		return true
	case "decoder":
		around := lastElement(parent(module))
		return around == "predictions" || around == "lm_head"
	}
	return false
}

// The model types whose attention and MLP weights are stored in x out (transformers' Conv1D), and common ones where every linear weight is
// out x in. Of others nothing is known, and the configuration is believed.
var (
	conv1DModels = map[string]bool{"gpt2": true, "openai-gpt": true, "imagegpt": true, "decision_transformer": true}
	linearModels = map[string]bool{
		"llama": true, "mistral": true, "mixtral": true, "qwen2": true, "qwen3": true, "qwen2_moe": true, "qwen3_moe": true, "gemma": true,
		"gemma2": true, "gemma3_text": true, "phi": true, "phi3": true, "olmo": true, "olmo2": true, "smollm3": true, "granite": true,
		"cohere": true, "gpt_neox": true, "gptj": true, "opt": true, "bloom": true, "falcon": true, "t5": true, "bert": true, "roberta": true,
		"distilbert": true,
	}
)

// conv1DModules are the modules of such a model that are Conv1D; its others, as an output head, are torch's Linear.
var conv1DModules = map[string]bool{"c_attn": true, "c_proj": true, "c_fc": true, "q_attn": true}

// fansOut reports whether a linear module's weight is stored in x out. Where the base's architecture says it module by module, the flag is
// not asked: PEFT corrects it for each while it builds the model, and saves what it was for the last.
func (j *joint) fansOut(module string) bool {
	if conv1DModels[j.base.Config.ModelType] {
		return conv1DModules[lastElement(module)]
	}
	return j.Config.FanInFanOut
}

// checkOrientation refuses a fan_in_fan_out that the base's architecture contradicts. PEFT corrects the flag with a warning while it
// builds the model; a square weight would otherwise get its delta transposed, and no shape would tell. Where both kinds are adapted, the
// flag is of one of them only.
func (j *joint) checkOrientation() {
	kind := j.base.Config.ModelType
	adapted, linear, conv1D := false, false, false
	for i := range j.groups {
		g := &j.groups[i]
		if g.embedding || g.leaves != nil || g.a >= 0 && len(j.Tensors[g.a].Shape) != 2 {
			continue
		}
		adapted = true
		if conv1DModules[lastElement(g.module)] {
			conv1D = true
		} else {
			linear = true
		}
	}
	stored, right := "out x in", "false"
	if conv1DModels[kind] {
		stored, right = "in x out", "true"
	}
	if j.Config.FanInFanOut && linearModels[kind] && adapted || !j.Config.FanInFanOut && conv1DModels[kind] && conv1D && !linear {
		j.problems.Add(fault.New(fault.ADShape, "fan_in_fan_out is %v, and a %s model stores its weights %s", j.Config.FanInFanOut, kind, stored).
			In(j.configFile()).At("/fan_in_fan_out").Fix("set it to %s if the adapter was trained on this base", right))
	}
}

// explainMissing gives each missing target its remedy: the one change of prefix that would find all of them, the module that was
// probably meant, or another base.
func (j *joint) explainMissing() {
	if len(j.missing) == 0 {
		return
	}
	modules := j.base.Modules()
	if from, to, ok := prefixChange(j.missing, modules); ok {
		for _, m := range j.missing {
			m.fault.Fix("every missing module is in the base with %q in place of %q at the start: rename the tensors, "+
				"or give a base with that prefix", to, from)
		}
		return
	}
	others := ladder{has: set(modules), known: make(map[string]string)}
	for i, m := range j.missing {
		remedy := fmt.Sprintf("give the base this adapter was trained on%s", j.trainedOn())
		if layers := others.layersOf(m.module); layers != "" {
			remedy = "the base has this module in " + layers + " only; " + remedy
		} else if i < maxSuggestions {
			if near, ok := j.base.Nearest(m.module + ".weight"); ok {
				remedy = fmt.Sprintf("did you mean %q? otherwise %s", near, remedy)
			}
		}
		m.fault.Fix("%s", remedy)
	}
}

// maxSuggestions bounds the search for names alike, which looks at every tensor of the base for each.
const maxSuggestions = 20

// ladder finds the layers of a base that have a module.
type ladder struct {
	has   map[string]bool   // the base's modules
	known map[string]string // answers, by path with "" in place of the number
}

// layersOf tells where the base has a module of this path with another number in it, or returns "".
func (l ladder) layersOf(module string) string {
	path := strings.Split(module, ".")
	for at, element := range path {
		if strings.Trim(element, "0123456789") != "" {
			continue
		}
		path[at] = ""
		key := strings.Join(path, ".")
		answer, known := l.known[key]
		if !known {
			answer = l.climb(path, at)
			l.known[key] = answer
		}
		if answer != "" {
			return answer
		}
		path[at] = element
	}
	return ""
}

// climb counts the numbers from 0 on with which the path is in the base.
func (l ladder) climb(path []string, at int) string {
	layers := 0
	for ; ; layers++ {
		path[at] = strconv.Itoa(layers)
		if !l.has[strings.Join(path, ".")] {
			break
		}
	}
	switch layers {
	case 0:
		return ""
	case 1:
		return "layer 0"
	}
	return fmt.Sprintf("layers 0 to %d", layers-1)
}

// prefixChange finds the prefixes from and to such that every missing module, with to in place of from at its start, is one of the base's.
// modules is sorted. Among several the one that keeps most of the name is taken, then the first in order.
func prefixChange(all []missing, modules []string) (from, to string, ok bool) {
	type change struct{ from, to string }
	has := set(modules)
	first := all[0].module
	var candidates []change
	for _, module := range modules {
		tail := commonTail(first, module)
		if strings.Count(tail, ".") < 2 { // "layers.0.q_proj" has two: less could be chance
			continue
		}
		candidates = append(candidates, change{strings.TrimSuffix(first, tail), strings.TrimSuffix(module, tail)})
	}
	slices.SortFunc(candidates, func(x, y change) int {
		return cmp.Or(cmp.Compare(len(x.from)+len(x.to), len(y.from)+len(y.to)), cmp.Compare(x.from+"\x00"+x.to, y.from+"\x00"+y.to))
	})
	for _, c := range slices.Compact(candidates) {
		fits := true
		for _, m := range all {
			rest, has1 := strings.CutPrefix(m.module, c.from)
			if fits = has1 && has[c.to+rest]; !fits {
				break
			}
		}
		if fits {
			return c.from, c.to, true
		}
	}
	return "", "", false
}

// commonTail returns the longest common end of two paths that begins where an element of both does.
func commonTail(a, b string) string {
	tail := 0
	for n := 1; n <= min(len(a), len(b)) && a[len(a)-n] == b[len(b)-n]; n++ {
		startsA := n == len(a) || a[len(a)-n-1] == '.'
		startsB := n == len(b) || b[len(b)-n-1] == '.'
		if startsA && startsB {
			tail = n
		}
	}
	return a[len(a)-tail:]
}
