package base

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Servable reports whether the model can be generated with: nil, or a fault.List with every reason why not. A base that is not servable can
// still be checked against and merged into. The answer is found once.
func (b *Base) Servable() error { return b.servable() }

func (b *Base) findUnservable() error {
	c := b.Config
	family, known := families[c.ModelType]
	if !known {
		return fault.New(fault.BSArch, "models of type %q are not served, only %s", c.ModelType, strings.Join(sortedKeys(families), ", ")).In(c.file).
			At("/model_type").Fix(unservedRemedy)
	}
	faults := slices.Clone(c.faults)
	if len(c.Architectures) > 0 && !slices.Contains(c.Architectures, family.architecture) {
		faults.Add(fault.New(fault.BSArch, "the architectures are %q, without %s", c.Architectures, family.architecture).In(c.file).
			At("/architectures").Fix(unservedRemedy))
	}
	dimensions, usable := c.checkDimensions()
	faults = append(faults, dimensions...)
	if usable {
		faults = append(faults, b.checkTensors()...)
	}
	return faults.Err()
}

// checkDimensions checks the numbers by themselves and against each other. Where they are not usable no shape can be told.
func (c Config) checkDimensions() (faults fault.List, usable bool) {
	add := func(field, cause string, args ...any) {
		faults.Add(fault.New(fault.BSConfig, cause, args...).In(c.file).At("/" + field).
			Fix("use the config.json that was saved with the weights"))
	}
	for _, d := range []struct {
		field string
		value int
	}{
		{"hidden_size", c.HiddenSize}, {"intermediate_size", c.IntermediateSize}, {"num_hidden_layers", c.Layers},
		{"num_attention_heads", c.Heads}, {"vocab_size", c.VocabSize},
	} {
		if d.value < 1 {
			add(d.field, "the config does not say %s", d.field)
		}
	}
	if len(faults) > 0 {
		return faults, false
	}
	if c.Heads%c.KVHeads != 0 {
		add("num_key_value_heads", "%d heads do not divide into groups for %d key-value heads", c.Heads, c.KVHeads)
	}
	switch {
	case c.ModelType == "gpt2" && c.HiddenSize%c.Heads != 0:
		add("n_head", "%d elements do not divide into %d heads", c.HiddenSize, c.Heads)
	case c.ModelType != "gpt2" && (c.HeadDim == 0 || c.HeadDim%2 != 0):
		add("head_dim", "a head of %d elements has no halves for the rotary embedding", c.HeadDim)
	}
	return faults, len(faults) == 0
}

// checkTensors holds the checkpoint against what the architecture needs: every tensor in its shape, and no other.
func (b *Base) checkTensors() fault.List {
	var faults fault.List
	add := func(e *fault.Error, name string) {
		if len(faults) < maxFaults {
			faults.Add(e.In(b.shown).Of(name).Fix("check that config.json and the weights are of the same model"))
		}
	}
	if b.Config.Layers > len(b.Tensors) {
		faults.Add(fault.New(fault.BSTensor, "the config says %d layers, but the checkpoint has %d tensors in all",
			b.Config.Layers, len(b.Tensors)).In(b.Config.file).At("/num_hidden_layers").
			Fix("check that config.json and the weights are of the same model"))
		return faults
	}
	needed := b.neededTensors()
	for _, name := range sortedKeys(needed) {
		t, ok := b.Tensor(name)
		switch {
		case !ok:
			add(fault.New(fault.BSTensor, "the checkpoint lacks the tensor, of shape %v", needed[name]), name)
		case !slices.Equal(t.Shape, needed[name]):
			add(fault.New(fault.BSTensor, "the shape is %v; by the config it must be %v", t.Shape, needed[name]), name)
		case t.DType != tensor.F32 && t.DType != tensor.F16 && t.DType != tensor.BF16:
			add(fault.New(fault.BSTensor, "the dtype is %v; only F32, F16 and BF16 are served", t.DType), name)
		}
	}
	for _, t := range b.Tensors {
		if _, ok := needed[t.Name]; ok || b.Config.isUnused(t.Name) {
			continue
		}
		if t.Name == headName && b.Config.TieWordEmbeddings {
			if e := b.checkTied(t, b.embeddingName()); e != nil {
				add(e, t.Name)
			}
			continue
		}
		add(fault.New(fault.BSTensor, "the architecture has no such tensor"), t.Name)
	}
	return faults
}

// checkTied compares an output head with the embedding it is tied to: engines differ in which of the two they use.
func (b *Base) checkTied(head Tensor, embeddingName string) *fault.Error {
	differ := fault.New(fault.BSTensor, "the config ties it to %s, but the checkpoint holds another one", embeddingName)
	embedding, ok := b.Tensor(embeddingName)
	if !ok || head.DType != embedding.DType || !slices.Equal(head.Shape, embedding.Shape) {
		return differ
	}
	const chunk = 1 << 20
	p, q := make([]byte, chunk), make([]byte, chunk)
	for at := int64(0); at < head.Length; at += chunk {
		n := min(chunk, head.Length-at)
		for _, half := range []struct {
			t Tensor
			p []byte
		}{{head, p[:n]}, {embedding, q[:n]}} {
			if _, err := io.ReadFull(io.NewSectionReader(b.Reader(half.t), half.t.Offset+at, n), half.p); err != nil {
				return fault.New(fault.IORead, "the tensor cannot be read").Wrap(err)
			}
		}
		if !bytes.Equal(p[:n], q[:n]) {
			return differ
		}
	}
	return nil
}
