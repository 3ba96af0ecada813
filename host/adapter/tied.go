package adapter

import (
	"bytes"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// tie is how a base ties its output head to its input embedding.
type tie struct {
	tied      bool
	stored    bool        // the head is stored nevertheless, as a tensor of its own
	embedding base.Tensor // the one that both are; Shape is nil where it cannot be told
}

// isInputEmbedding knows the names of the embeddings that heads are tied to, which position and segment embeddings are not.
func isInputEmbedding(module string) bool {
	switch lastElement(module) {
	case "embed_tokens", "wte", "word_embeddings", "embed_in", "shared", "tok_embeddings":
		return true
	}
	return false
}

// languageModels are the ends of the names of architectures that have an output head over the vocabulary.
var languageModels = []string{"ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForMaskedLM", "ForPreTraining"}

// findTie tells whether the head and the input embedding of a base are one. Where config.json does not say so, a language model without a stored
// head is tied all the same: some families are tied unless the configuration says otherwise.
func findTie(b *base.Base) tie {
	found := tie{tied: b.Config.TieWordEmbeddings}
	embeddings := 0
	for _, t := range b.Tensors {
		module, isWeight := strings.CutSuffix(t.Name, weightSuffix)
		switch {
		case !isWeight:
		case isHead(module):
			found.stored = true
		case isInputEmbedding(module):
			embeddings++
			found.embedding = t
		}
	}
	if embeddings != 1 {
		found.embedding = base.Tensor{}
	}
	language := slices.ContainsFunc(b.Config.Architectures, func(name string) bool {
		return slices.ContainsFunc(languageModels, func(end string) bool { return strings.HasSuffix(name, end) })
	})
	if language && !found.stored && embeddings == 1 {
		found.tied = true
	}
	return found
}

// touches reports whether a module is one of two that are the same tensor of the base.
func (t tie) touches(module string) bool {
	return t.tied && (isInputEmbedding(module) || isHead(module))
}

// refused is the fault of a change to a module of a tied pair, or nil. both tells whether the adapter means the change for the embedding and
// the head alike; then it is made once, to the one tensor that is stored.
func (t tie) refused(module string, both bool) *fault.Error {
	switch {
	case !t.touches(module) || both && !t.stored && !isHead(module):
		return nil
	case both && t.stored:
		return fault.New(fault.ADTied, "the base says that it ties its output head to its input embedding, and stores both").
			Fix("save the base again, with one of them or with tie_word_embeddings false")
	}
	return fault.New(fault.ADTied, "the base ties its output head to its input embedding, and the adapter adapts only %s", module).
		Fix("train without this module, or merge with PEFT into a base whose head is untied")
}

// bindHead settles the factors of a tied output head, which a model with ensure_weight_tying has as views of the embedding's: lora_A is
// lora_embedding_B transposed, and lora_B is lora_embedding_A transposed. They are the same change, which the embedding gets.
func (j *joint) bindHead(g *group) bool {
	if !j.tie.touches(g.module) || !isHead(g.module) || g.embedding || !j.tiesFactors() || j.headBound {
		return false
	}
	j.headBound = true // there is one head
	other := j.tiedEmbedding()
	if other == nil || !other.paired || !g.paired || g.factors.Scale != other.factors.Scale {
		return false
	}
	if !j.transposes(g.factors.A, other.factors.B) || !j.transposes(g.factors.B, other.factors.A) {
		return false
	}
	for _, at := range g.indices() {
		j.ignored[at], j.targetOf[at] = ruleTied, j.tie.embedding.Name
	}
	return true
}

// tiesFactors reports whether factors of the embedding are the same change of the head. DoRA's are not, because it scales the embedding by columns
// and the head by rows, and a residual base is one of linear modules only.
func (j *joint) tiesFactors() bool {
	return j.Config.WeightTying && !j.Config.DoRA && !j.Config.residual()
}

// tiedEmbedding is the group of the embedding that the base ties its head to, or nil.
func (j *joint) tiedEmbedding() *group {
	for i := range j.groups {
		if g := &j.groups[i]; g.embedding && j.tie.embedding.Shape != nil && j.renamed(g.module)+weightSuffix == j.tie.embedding.Name {
			return g
		}
	}
	return nil
}

// ruleTied is the rule by which what belongs to a tied head is ignored, where the embedding has the same: both are one tensor of the base.
const ruleTied = "tied"

// transposes reports whether one matrix of the file holds the values of another, transposed.
func (j *joint) transposes(x, y safetensors.Tensor) bool {
	if x.DType != y.DType || x.Shape[0] != y.Shape[1] || x.Shape[1] != y.Shape[0] {
		return false
	}
	one, other, size := j.Weights.Bytes(x), j.Weights.Bytes(y), x.DType.Size()
	for row := range x.Shape[0] {
		for col := range x.Shape[1] {
			at, of := (row*x.Shape[1]+col)*size, (col*x.Shape[0]+row)*size
			if !bytes.Equal(one[at:at+size], other[of:of+size]) {
				return false
			}
		}
	}
	return true
}
