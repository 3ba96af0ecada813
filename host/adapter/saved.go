package adapter

import (
	"bytes"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// ruleSameAsBase is the rule by which a saved copy of a parameter is ignored that is the base's own, bit for bit or value for value.
const ruleSameAsBase = "same_as_base"

// bindReplacements settles every tensor that stands in place of the base's values.
func (j *joint) bindReplacements() {
	for i := range j.replacements {
		if r := &j.replacements[i]; j.refused[r.tensor] == "" {
			j.replace(r)
		}
	}
	j.checkTokens()
}

// replace settles one.
func (j *joint) replace(r *replacement) {
	t := &j.Tensors[r.tensor]
	name, stored, ok := j.parameterName(r.name)
	if !ok && !r.rows && isHead(r.module) && j.tie.tied && j.tie.embedding.Shape != nil {
		name, stored, ok = j.tie.embedding.Name, j.tie.embedding, true // the head is the embedding
	}
	j.targetOf[r.tensor] = name
	switch {
	case !ok && j.isMask(r):
		j.ignored[r.tensor] = ruleMask
	case !ok && r.rows:
		j.missesParameter(r, name)
	case !ok:
		j.addNew(r, name)
	case r.rows:
		j.replaceRows(r, stored)
	case !slices.Equal(t.Shape, stored.Shape):
		j.refuse(r.tensor, j.sizeFault(r, stored))
	case j.sameAsBase(r, stored):
		j.ignored[r.tensor] = ruleSameAsBase
	case !computable(t.DType) || !mergeable(stored):
		j.refuse(r.tensor, typesFault(t, stored))
	default:
		j.replaceWhole(r, stored)
	}
}

// typesFault refuses a parameter in a type that is not computed with, or for one.
func typesFault(t *Tensor, stored base.Tensor) *fault.Error {
	return fault.New(fault.ADDType, "it is stored as %v and the base's %q as %v, and only F32, F16 and BF16 are merged", t.DType, stored.Name,
		stored.DType).Fix("save the adapter in one of these types")
}

// sizeFault refuses a parameter of another shape than the base's; where only the vocabulary differs it says so.
func (j *joint) sizeFault(r *replacement, stored base.Tensor) *fault.Error {
	shape, vocabulary := j.Tensors[r.tensor].Shape, isEmbedding(r.module) || isHead(r.module)
	if vocabulary && len(shape) == len(stored.Shape) && len(shape) > 0 && slices.Equal(shape[1:], stored.Shape[1:]) {
		return fault.New(fault.ADShape, "the vocabulary was resized: it has %d rows, and the base's %q has %d", shape[0], stored.Name,
			stored.Shape[0]).Fix("give the base with the resized vocabulary, saved after resize_token_embeddings; the tokenizer belongs to it too")
	}
	return fault.New(fault.ADShape, "it has shape %v, and the base's %q has %v", shape, stored.Name, stored.Shape).
		Fix("give the base this adapter was trained on%s", j.trainedOn())
}

// sameAsBase reports whether a parameter is the base's own. Only copies that PEFT saves unasked, of embeddings and heads, are looked at, and
// what cannot be computed with: what was trained stands in the report as replaced, whatever its values.
func (j *joint) sameAsBase(r *replacement, stored base.Tensor) bool {
	t := &j.Tensors[r.tensor]
	tied := j.tie.touches(r.module)
	if !r.copied && !tied && computable(t.DType) {
		return false
	}
	const chunk = 1 << 16 // elements
	n, data := t.Elements(), j.Weights.Bytes(t.Tensor)
	if !t.DType.IsWeight() || !stored.DType.IsWeight() {
		if t.DType != stored.DType || int64(len(data)) != stored.Length {
			return false
		}
		own, err := j.base.Read(stored)
		return err == nil && bytes.Equal(own, data)
	}
	reader := j.base.Reader(stored)
	own := make([]byte, min(n, chunk)*stored.DType.Size())
	x, y := make([]float64, min(n, chunk)), make([]float64, min(n, chunk))
	for from := 0; from < n; from += chunk {
		count := min(chunk, n-from)
		part := own[:count*stored.DType.Size()]
		if _, err := reader.ReadAt(part, stored.Offset+int64(from*stored.DType.Size())); err != nil {
			return false // the merge will say what is wrong with it
		}
		mine := data[from*t.DType.Size() : (from+count)*t.DType.Size()]
		if t.DType == stored.DType {
			if !bytes.Equal(part, mine) {
				return false
			}
			continue
		}
		if tensor.ToF64(x[:count], part, stored.DType) != nil || tensor.ToF64(y[:count], mine, t.DType) != nil || !slices.Equal(x[:count], y[:count]) {
			return false
		}
	}
	return true
}

// replaceWhole makes a parameter the start of its target: what factors of the same module add is added to it. Of two that are one tensor of the
// base, the values must be meant for both.
func (j *joint) replaceWhole(r *replacement, stored base.Tensor) {
	t := &j.Tensors[r.tensor]
	if e := j.tie.refused(r.module, r.copied || j.Config.WeightTying); e != nil {
		if j.repeatsEmbedding(r) {
			j.ignored[r.tensor] = ruleTied
			return
		}
		j.refuse(r.tensor, e)
		return
	}
	j.checkFinite(r.tensor)
	if r.copied {
		j.notes.Add(fault.New(fault.ADBase, "its values differ from the base's %q, so the adapter was trained on another base, or on one that was "+
			"changed first: they replace the base's", stored.Name).In(j.Weights.Name()).Of(t.Name))
	}
	target := j.target(stored.Name, stored)
	if target.Start.Shape != nil {
		j.refuse(r.tensor, fault.New(fault.ADTwice, "the base's %q is replaced by %q too", stored.Name, target.Start.Name).
			Fix("save the adapter again with one name for each parameter"))
		return
	}
	if target.LowRank() && j.Config.residual() && !isEmbedding(r.module) {
		j.refuse(r.tensor, fault.New(fault.ADUnsupported, "the file replaces %q, and its factors are relative to what init_lora_weights %q "+
			"leaves of it", stored.Name, j.Config.InitWeights).Fix("save the adapter again without the base's weights"))
		return
	}
	j.replaced[r.tensor] = true
	target.Start = t.Tensor
	if !target.LowRank() {
		target.Out, target.In = target.Matrix()
		return
	}
	for i, factor := range j.Tensors { // no diagnostic sees factors whose start is not the base's
		if factor.Name == target.A.Name || factor.Name == target.B.Name {
			j.checkFinite(i)
		}
	}
}

// repeatsEmbedding reports whether a tied head's values are those with which the file replaces the embedding, and the change is meant for both.
func (j *joint) repeatsEmbedding(r *replacement) bool {
	if !isHead(r.module) || !r.copied && !j.Config.WeightTying {
		return false
	}
	t := &j.Tensors[r.tensor]
	for _, other := range j.replacements {
		e := &j.Tensors[other.tensor]
		if isInputEmbedding(other.module) && !other.rows && e.DType == t.DType && slices.Equal(e.Shape, t.Shape) &&
			bytes.Equal(j.Weights.Bytes(e.Tensor), j.Weights.Bytes(t.Tensor)) {
			return true
		}
	}
	return false
}

// addNew makes a target of a parameter that the base does not have, as a classification head has: only of modules_to_save, and only where the
// base has nothing else under the first name of its path, because a parameter that is missing among others is another model's.
func (j *joint) addNew(r *replacement, name string) {
	t := &j.Tensors[r.tensor]
	if j.roots == nil {
		j.roots = make(map[string]bool)
		for _, stored := range j.base.Tensors {
			root, _, _ := strings.Cut(stored.Name, ".")
			j.roots[root] = true
		}
	}
	root, _, _ := strings.Cut(name, ".")
	switch {
	case j.roots[root] || !r.saved || isHead(r.module) || isEmbedding(r.module):
		j.missesParameter(r, name)
		return
	case !computable(t.DType):
		j.refuse(r.tensor, fault.New(fault.ADDType, "it is stored as %v, and only F32, F16 and BF16 are read", t.DType).
			Fix("save the adapter in one of these types"))
		return
	}
	j.checkFinite(r.tensor)
	j.replaced[r.tensor] = true
	target := j.target(name, base.Tensor{})
	target.Start = t.Tensor
	target.Out, target.In = target.Matrix()
	j.notes.Add(fault.New(fault.ADTarget, "the base has no %q: it is new, a checkpoint that is written gets it, and a model that is served "+
		"does not", name).In(j.Weights.Name()).Of(t.Name))
}

// missesParameter refuses a parameter that is not in the base.
func (j *joint) missesParameter(r *replacement, name string) {
	e := j.refuse(r.tensor, fault.New(fault.ADTarget, "the base has no tensor %q", name))
	j.missing = append(j.missing, missing{module: parent(name), fault: e})
}
