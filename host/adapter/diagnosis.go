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

func mergeable(t base.Tensor) bool {
	return t.DType == tensor.F32 || t.DType == tensor.F16 || t.DType == tensor.BF16
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
	case "lm_head", "embed_out":
		return true
	}
	return false
}

// refuseEmbedding refuses factors on a tied pair of input embedding and output head, where one stored tensor is two modules and PEFT adapts
// only one of them, and linear factors on an embedding, which PEFT never writes.
func (j *joint) refuseEmbedding(g *group) bool {
	switch embedding, head := isEmbedding(g.module), isHead(g.module); {
	case (embedding || head) && j.base.Config.TieWordEmbeddings:
		j.refuseModule(g, fault.New(fault.ADTied, "the base ties its output head to its input embedding, and the adapter adapts only %s",
			g.module).Fix("train without this module, or merge with PEFT into a base whose head is untied"))
		return true
	case embedding:
		j.refuseModule(g, fault.New(fault.ADUnsupported, "%s is an embedding, and these are the factors of a linear module", g.module).
			Fix("give an adapter of the linear modules only"))
		return true
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

// checkOrientation refuses a fan_in_fan_out that the base's architecture contradicts. PEFT corrects the flag with a warning while it
// builds the model; a square weight would otherwise get its delta transposed, and no shape would tell.
func (j *joint) checkOrientation() {
	kind := j.base.Config.ModelType
	stored, right := "out x in", "false"
	if conv1DModels[kind] {
		stored, right = "in x out", "true"
	}
	if j.Config.FanInFanOut && linearModels[kind] || !j.Config.FanInFanOut && conv1DModels[kind] && len(j.groups) > 0 {
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
