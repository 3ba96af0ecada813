package adapter

import (
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
)

// TokenIndices are the rows of one embedding that are trained by themselves (trainable_token_indices).
type TokenIndices struct {
	Module  string  `json:"module"` // the end of its path; "" for the model's input embedding
	Indices []int64 `json:"indices"`
}

// maxTokens is how many rows of embeddings a configuration may list.
const maxTokens = 1 << 20

// tokens reads trainable_token_indices: a list of indices, for the input embedding, or such a list for each of several modules.
func (f *fields) tokens() []TokenIndices {
	m, ok := f.value("trainable_token_indices")
	if !ok || m.empty() {
		return nil
	}
	lists := []member{m}
	if members, isObject := m.object(); isObject {
		lists = members
	}
	var all []TokenIndices
	total := 0
	for _, list := range lists {
		elements, isList := list.array()
		if !isList {
			f.wrongType(list, fault.ADConfig, "an array of token indices")
			continue
		}
		rows := TokenIndices{Module: list.name}
		if list.pointer == m.pointer {
			rows.Module = ""
		}
		if total += len(elements); total > maxTokens {
			f.refuse(f.at(fault.New(fault.ADConfig, "%s lists more than %d tokens", m.name, maxTokens), m).
				Fix("save the embedding whole, with modules_to_save"))
			return nil
		}
		seen := make(map[int64]bool, len(elements))
		for _, element := range elements {
			index, isIndex := element.integer()
			switch {
			case !isIndex || index < 0:
				f.refuse(f.at(fault.New(fault.ADConfig, "%s holds %s, and a token's index is a whole number from 0", m.name,
					element.excerpt()), element).Fix("write the indices the adapter was trained with"))
			case seen[index]:
				f.refuse(f.at(fault.New(fault.ADConfig, "%s holds %d twice", m.name, index), element).
					Fix("write the indices the adapter was trained with, each once"))
			default:
				seen[index] = true
			}
			rows.Indices = append(rows.Indices, index)
		}
		all = append(all, rows)
	}
	return all
}

// tokensOf finds the indices of the rows that a module's tensor holds. A list without a module's name is of the input embedding.
func (c *Config) tokensOf(module string) (indices []int64, ok bool) {
	for _, rows := range c.Tokens {
		if rows.of(module) {
			return rows.Indices, true
		}
	}
	return nil, false
}

// checkRows holds the rows of one embedding against the configuration, and refuses them beside factors of the same embedding: PEFT
// defines no order of the two.
func (a *Adapter) checkRows(r *replacement, g *group, hasConfig bool) {
	t := &a.Tensors[r.tensor]
	indices, listed := a.Config.tokensOf(r.module)
	r.tokens = indices
	switch {
	case len(t.Shape) != 2 || t.Elements() == 0:
		a.refuse(r.tensor, fault.New(fault.ADShape, "it has shape %v, and must be a matrix of one row for each token", t.Shape).
			Fix("save the adapter again; this one is damaged"))
	case g != nil:
		a.refuse(r.tensor, fault.New(fault.ADUnsupported, "module %s has factors and rows of its own, and which are applied first is not defined",
			r.module).Fix("train the embedding with target_modules or with trainable_token_indices, not with both"))
	case hasConfig && !listed:
		a.refuse(r.tensor, fault.New(fault.ADPair, "the configuration's trainable_token_indices do not say which rows of %s these are", r.module).
			Fix("give the configuration that was saved with these weights"))
	case listed && len(indices) != t.Shape[0]:
		a.refuse(r.tensor, fault.New(fault.ADShape, "it has %s, and trainable_token_indices lists %d", plural(t.Shape[0], "row"), len(indices)).
			Fix("give the configuration that was saved with these weights"))
	}
}

// checkList refuses rows of several modules where the indices are those of the input embedding.
func (a *Adapter) checkList() {
	if len(a.Config.Tokens) != 1 || a.Config.Tokens[0].Module != "" {
		return
	}
	first := -1
	for _, r := range a.replacements {
		switch {
		case !r.rows:
		case first < 0:
			first = r.tensor
		default:
			a.refuse(r.tensor, fault.New(fault.ADPair, "trainable_token_indices is a list, which is of the input embedding, and the file has rows "+
				"of %q too", a.Tensors[first].Name).Fix("give the configuration that was saved with these weights"))
		}
	}
}

// replaceRows makes rows of an embedding, or of an output head, the start of their target (peft/tuners/trainable_tokens/layer.py: the rows
// stand in place of the base's, in spite of their name). A head that is tied to the embedding gets them with it.
func (j *joint) replaceRows(r *replacement, stored base.Tensor) {
	t := &j.Tensors[r.tensor]
	if e := j.tie.refused(r.module, true); e != nil {
		j.refuse(r.tensor, e)
		return
	}
	switch beyond := slices.IndexFunc(r.tokens, func(i int64) bool { return len(stored.Shape) == 2 && i >= int64(stored.Shape[0]) }); {
	case len(stored.Shape) != 2 || t.Shape[1] != stored.Shape[1]:
		j.refuse(r.tensor, fault.New(fault.ADShape, "it has shape %v, and the base's %q has %v", t.Shape, stored.Name, stored.Shape).
			Fix("give the base this adapter was trained on%s", j.trainedOn()))
		return
	case beyond >= 0:
		j.refuse(r.tensor, fault.New(fault.ADShape, "the token %d is not in the base, whose %q has %d rows", r.tokens[beyond], stored.Name,
			stored.Shape[0]).Fix("give the base with the vocabulary that the adapter was trained on"))
		return
	case !computable(t.DType) || !mergeable(stored):
		j.refuse(r.tensor, typesFault(t, stored))
		return
	}
	target := j.target(stored.Name, stored)
	if target.LowRank() || target.Start.Shape != nil {
		j.refuse(r.tensor, fault.New(fault.ADUnsupported, "the base's %q is changed in another way too, and which comes first is not defined", stored.Name).
			Fix("train the embedding in one way"))
		return
	}
	j.checkFinite(r.tensor)
	j.replaced[r.tensor] = true
	target.Start, target.StartRows = t.Tensor, r.tokens
	target.Out, target.In = target.Matrix()
}

// checkTokens refuses indices for which the file has no rows, but those of a tied head: PEFT stores the embedding's only.
func (j *joint) checkTokens() {
	for _, list := range j.Config.Tokens {
		here := slices.ContainsFunc(j.replacements, func(r replacement) bool { return r.rows && list.of(r.module) })
		if here || len(list.Indices) == 0 {
			continue
		}
		tied := j.tie.tied && isHead(list.Module) && slices.ContainsFunc(j.replacements, func(r replacement) bool {
			return r.rows && isInputEmbedding(r.module) && slices.Equal(r.tokens, list.Indices)
		})
		if !tied {
			name := list.Module
			if name == "" {
				name = "the input embedding"
			}
			j.problems.Add(fault.New(fault.ADPair, "trainable_token_indices lists %s of %s, and the file has no such rows",
				plural(len(list.Indices), "token"), name).In(j.configFile()).At("/trainable_token_indices").Fix("save the adapter again; one of its tensors is missing"))
		}
	}
}

// of reports whether the indices are of a module.
func (t TokenIndices) of(module string) bool {
	return t.Module == "" || t.Module == module || strings.HasSuffix(module, "."+t.Module)
}
