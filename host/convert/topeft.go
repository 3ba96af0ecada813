package convert

import (
	"bytes"
	"cmp"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// keyPrefix is what PEFT writes before the path of a module.
const keyPrefix = "base_model.model."

// ToPEFT plans a PEFT directory of a GGUF adapter. The base, the Hugging Face checkpoint that its GGUF was made of, gives the modules' names,
// and the heads by which the rows of queries and keys are ordered. It writes nothing. The error lists every weight that does not fit the base.
func ToPEFT(a *adapter.Adapter, b *base.Base, o Options) (*Plan, error) {
	if a.Format != adapter.FormatGGUF {
		return nil, fault.New(fault.UsageFlag, "the adapter is of the format %q, and only GGUF is converted to PEFT", a.Format).In(a.Ref).
			Fix("leave it as it is, or give --to gguf")
	}
	if err := CheckBase(b); err != nil {
		return nil, err
	}
	architecture, ok := gguf.ArchitectureOf(b.Config.ModelType)
	if !ok || architecture.Name != a.Architecture() {
		return nil, fault.New(fault.ADBase, "the adapter is for the architecture %q, and the base's model_type is %q", a.Architecture(), b.Config.ModelType).
			In(a.Ref).Fix("give the Hugging Face checkpoint of the base this adapter was trained on: llama, mistral, qwen2, qwen3 or gpt2")
	}
	bound, err := a.Unbound()
	if err != nil {
		return nil, err
	}
	p := &Plan{From: a.Format, To: adapter.FormatPEFT, Alpha: a.Config.Alpha, source: a, Dropped: notApplied(bound), Notes: bound.Notes}
	f := &peftForm{base: b, modelName: a.Config.BaseModel, modules: modulesOf(architecture, b)}
	stored := storedBy(architecture, b)
	var problems fault.List
	for i := range bound.Targets {
		t := &bound.Targets[i]
		e := fits(architecture, b, t, stored)
		if e != nil {
			problems.Add(e.In(a.Ref).Of(t.Name))
			continue
		}
		name, _ := architecture.HF(t.Name)
		w := Weight{Source: t.Name, Target: name, Rank: t.Rank, Scale: t.Scale, Folded: 1}
		keyA, keyB := peftKeys(name, t.Name == tokenEmbedding)
		w.a, w.b = newFactor(keyA, t.A, bound.File(t.A)), newFactor(keyB, t.B, bound.File(t.B))
		if w.Heads = architecture.Heads(t.Name, b.Config.Heads, b.Config.KVHeads); w.Heads > 0 {
			w.b.heads, w.b.arrange = w.Heads, gguf.RowsToHF
		}
		f.fanInFanOut = f.fanInFanOut || architecture.Transposed(t.Name)
		p.Weights = append(p.Weights, w)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	f.choose(p)
	p.form = f
	if err := p.settle(o); err != nil {
		return nil, err
	}
	return p, nil
}

// peftKeys are the names that PEFT gives to the factors of a weight.
func peftKeys(weight string, embedding bool) (a, b string) {
	module := keyPrefix + strings.TrimSuffix(weight, ".weight")
	if embedding {
		return module + ".lora_embedding_A", module + ".lora_embedding_B"
	}
	return module + ".lora_A.weight", module + ".lora_B.weight"
}

// storedBy are the base's tensors by their names in GGUF.
func storedBy(architecture *gguf.Architecture, b *base.Base) map[string]base.Tensor {
	stored := map[string]base.Tensor{}
	for _, t := range b.Tensors {
		if name, ok := architecture.GGUF(t.Name); ok {
			stored[name] = t
		}
	}
	return stored
}

// modulesOf are the paths of the base's modules with a weight, with the root of the module tree even where the checkpoint leaves it out.
func modulesOf(architecture *gguf.Architecture, b *base.Base) []string {
	var modules []string
	for _, module := range b.Modules() {
		if name, ok := architecture.GGUF(module + ".weight"); ok {
			name, _ = architecture.HF(name)
			module = strings.TrimSuffix(name, ".weight")
		}
		modules = append(modules, module)
	}
	return modules
}

// fits holds the factors of one weight against the base.
func fits(architecture *gguf.Architecture, b *base.Base, t *adapter.Target, stored map[string]base.Tensor) *fault.Error {
	const remedy = "give the Hugging Face checkpoint of the base this adapter was trained on"
	hf, ok := architecture.HF(t.Name)
	s, has := stored[t.Name]
	_, head := stored[outputHead]
	switch {
	case !ok || !strings.HasSuffix(hf, ".weight"):
		return fault.New(fault.ADTarget, "the architecture %q has no module of that name in Hugging Face", architecture.Name).Fix(remedy)
	case !has:
		return fault.New(fault.ADTarget, "the base has no tensor %q", hf).Fix(remedy)
	case t.Name == positionEmbedding:
		return fault.New(fault.ADUnsupported, "llama.cpp applies no adapter to the embedding of positions").Fix("convert an adapter without it")
	case (t.Name == tokenEmbedding || t.Name == outputHead) && (b.Config.TieWordEmbeddings || !head):
		return fault.New(fault.ADTied, "the base's output head is its token embedding, and the adapter changes one of them").
			Fix("convert an adapter of the layers only")
	}
	rows, cols := t.Matrix()
	if architecture.Transposed(t.Name) {
		rows, cols = cols, rows
	}
	if len(s.Shape) != 2 || s.Shape[0] != rows || s.Shape[1] != cols {
		return fault.New(fault.ADShape, "the base's %q has shape %v, and the factors are for [%d %d]", s.Name, s.Shape, rows, cols).Fix(remedy)
	}
	return nil
}

// peftForm writes a PEFT directory.
type peftForm struct {
	base        *base.Base
	modelName   string
	modules     []string // of the base
	fanInFanOut bool
	config      []byte
	rank        int // r, that most weights have
}

var _ form = (*peftForm)(nil)

// factors are the matrices in the order of the file, by their names.
func (*peftForm) factors(p *Plan) []*factor {
	var all []*factor
	for _, w := range p.Weights {
		all = append(all, w.a, w.b)
	}
	slices.SortFunc(all, func(x, y *factor) int { return cmp.Compare(x.name, y.name) })
	return all
}

var metadata = map[string]string{"format": "pt"}

func (f *peftForm) entries(p *Plan) []safetensors.Entry {
	var all []safetensors.Entry
	for _, m := range f.factors(p) {
		all = append(all, safetensors.Entry{Name: m.name, DType: m.dtype, Shape: m.shape()})
	}
	return all
}

func (f *peftForm) layout(p *Plan) (size int64, err error) {
	if f.config, err = f.configuration(p); err != nil {
		return 0, err
	}
	_, _, size, err = safetensors.Layout(f.entries(p), metadata)
	return size, err
}

func (f *peftForm) write(p *Plan, path string) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return durable.Fault(path, err)
	}
	err := durable.Create(filepath.Join(path, adapter.ConfigName), func(w io.Writer) error {
		_, err := w.Write(f.config)
		return err
	})
	if err != nil {
		return err
	}
	return durable.Create(filepath.Join(path, adapter.WeightsName), func(file io.Writer) error {
		w, err := safetensors.NewWriter(file, f.entries(p), metadata)
		if err != nil {
			return err
		}
		if err := writeFactors(w, f.factors(p)); err != nil {
			return err
		}
		return w.Close()
	})
}

func (f *peftForm) verify(p *Plan, path string) error {
	written, err := adapter.Load(path, f.base)
	if err != nil {
		return p.mismatch("%v", err)
	}
	defer written.Close()
	if len(written.Targets) != len(p.Weights) {
		return p.mismatch("%s written and %d read back", plural(len(p.Weights), "weight"), len(written.Targets))
	}
	architecture, _ := gguf.ArchitectureOf(f.base.Config.ModelType)
	for i := range written.Targets {
		t := &written.Targets[i]
		name, _ := architecture.GGUF(t.Name)
		at := slices.IndexFunc(p.Weights, func(w Weight) bool { return w.Source == name })
		if at < 0 || p.Weights[at].Rank != t.Rank || p.Weights[at].Scale != t.Scale {
			return p.mismatch("%s has another rank or scale", t.Name)
		}
		w := &p.Weights[at]
		for _, pair := range []struct {
			factor *factor
			stored safetensors.Tensor
		}{{w.a, t.A}, {w.b, t.B}} {
			want, err := pair.factor.bytes()
			if err != nil {
				return err
			}
			if !bytes.Equal(written.File(pair.stored).Bytes(pair.stored), want) {
				return p.mismatch("%s has other bytes", pair.factor.name)
			}
		}
	}
	return nil
}
