package convert

import (
	"bytes"
	"cmp"
	"io"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// The names of tensors that llama.cpp treats unlike others.
const (
	tokenEmbedding    = "token_embd.weight"
	positionEmbedding = "position_embd.weight"
	outputHead        = "output.weight"
)

// The ends of the names of a GGUF adapter's factors.
const (
	suffixA = ".lora_a"
	suffixB = ".lora_b"
)

// ToGGUF plans a GGUF adapter of an adapter that is bound to its Hugging Face base: the base gives the names, and the heads by which the rows of
// queries and keys are ordered. It writes nothing. The error lists everything that GGUF has no form for.
func ToGGUF(b *adapter.Binding, o Options) (*Plan, error) {
	if err := CheckBase(b.Base); err != nil {
		return nil, err
	}
	architecture, err := architectureOf(b)
	if err != nil {
		return nil, err
	}
	p := &Plan{From: b.Adapter.Format, To: adapter.FormatGGUF, source: b.Adapter, Dropped: notApplied(b), Notes: b.Notes}
	var problems fault.List
	var scales []scaled
	for i := range b.Targets {
		t := &b.Targets[i]
		name, e := nameInGGUF(architecture, b, t)
		if e != nil {
			problems.Add(e.In(b.Adapter.Ref).Of(t.Name))
			continue
		}
		w := Weight{Source: t.Name, Target: name, Rank: t.Rank, Scale: t.Scale, Folded: 1}
		w.a = newFactor(name+suffixA, t.A, b.File(t.A))
		w.b = newFactor(name+suffixB, t.B, b.File(t.B))
		w.a.transposed = name == tokenEmbedding
		if w.Heads = architecture.Heads(name, b.Base.Config.Heads, b.Base.Config.KVHeads); w.Heads > 0 {
			w.b.heads, w.b.arrange = w.Heads, gguf.RowsToGGUF
		}
		p.Weights, scales = append(p.Weights, w), append(scales, scaled{t.Rank, t.Scale, t.Alpha})
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	p.Alpha = chooseAlpha(scales)
	for i := range p.Weights {
		w := &p.Weights[i]
		w.Folded = scales[i].fold(p.Alpha)
		w.b.scale = w.Folded
	}
	p.form = &ggufForm{pairs: ggufPairs(architecture, b.Adapter, p.Alpha)}
	if err := p.settle(o); err != nil {
		return nil, err
	}
	return p, nil
}

// architectureOf is the architecture of the base that an adapter is bound to.
func architectureOf(b *adapter.Binding) (*gguf.Architecture, error) {
	family := b.Base.Config.ModelType
	if a, ok := gguf.ArchitectureOf(family); ok {
		return a, nil
	}
	return nil, fault.New(fault.BSArch, "how llama.cpp arranges the weights of a %q is not known here", family).In(b.Base.Ref).
		Fix("convert it with llama.cpp's convert_lora_to_gguf.py; known are llama, mistral, qwen2, qwen3 and gpt2")
}

// lost says what a form of change would lose in GGUF.
var lost = map[string]string{
	backendpb.FormReshaped:  "it changes a tensor that is no matrix",
	backendpb.FormBlocks:    "it changes the blocks of one tensor with factors of their own, as experts have",
	backendpb.FormDense:     "its change is no product of two factors",
	backendpb.FormStart:     "it replaces the weight, or rows of it",
	backendpb.FormMagnitude: "it scales the rows of the result to magnitudes of its own (DoRA)",
}

// nameInGGUF is the name of the weight that a target changes, or why GGUF has no form for the change.
func nameInGGUF(architecture *gguf.Architecture, b *adapter.Binding, t *adapter.Target) (string, *fault.Error) {
	const remedy = "merge the adapter, or train it without this part"
	unsupported := func(cause string) *fault.Error {
		return fault.New(fault.ADUnsupported, "a GGUF adapter cannot hold this change: %s", cause).Fix(remedy)
	}
	if t.New() {
		return "", unsupported("the base has no such tensor")
	}
	if !t.Plain() {
		var causes []string
		for _, form := range t.Forms() {
			causes = append(causes, cmp.Or(lost[form], form))
		}
		if len(causes) == 0 {
			causes = []string{"it is no product of two factors"}
		}
		return "", unsupported(strings.Join(causes, "; "))
	}
	name, ok := architecture.GGUF(t.Name)
	switch {
	case !ok || !strings.HasSuffix(name, ".weight"):
		return "", unsupported("llama.cpp has no matrix for it in the architecture " + architecture.Name)
	case name == positionEmbedding:
		return "", unsupported("llama.cpp applies no adapter to the embedding of positions")
	case (name == tokenEmbedding || name == outputHead) && tied(b):
		return "", fault.New(fault.ADTied, "the base's output head is its token embedding, and llama.cpp cannot apply an adapter to one of them").
			Fix(remedy)
	case t.FanInFanOut != (architecture.Transposed(name) || name == tokenEmbedding):
		return "", fault.New(fault.ADShape, "the base stores it transposed, which its architecture does not").Fix("check the base's config.json")
	}
	return name, nil
}

// tied reports whether the base uses its token embedding as its output head.
func tied(b *adapter.Binding) bool {
	_, head := b.Base.Tensor("lm_head.weight")
	return b.Base.Config.TieWordEmbeddings || !head
}

// ggufPairs is the head of the file, in llama.cpp's order.
func ggufPairs(architecture *gguf.Architecture, a *adapter.Adapter, alpha float64) []gguf.Pair {
	pairs := []gguf.Pair{gguf.TextPair("general.architecture", architecture.Name), gguf.TextPair("general.type", "adapter")}
	if a.Config.BaseModel != "" {
		pairs = append(pairs, gguf.UintPair("general.base_model.count", 1), gguf.TextPair("general.base_model.0.name", a.Config.BaseModel))
	}
	return append(pairs, gguf.TextPair("adapter.type", "lora"), gguf.FloatPair("adapter.lora.alpha", float32(alpha)))
}

// ggufForm writes one GGUF file.
type ggufForm struct{ pairs []gguf.Pair }

var _ form = (*ggufForm)(nil)

// factors are the matrices in the order of the file: A before B, by the weights' names.
func (*ggufForm) factors(p *Plan) []*factor {
	weights := slices.Clone(p.Weights)
	slices.SortFunc(weights, func(x, y Weight) int { return cmp.Compare(x.Target, y.Target) })
	var all []*factor
	for _, w := range weights {
		all = append(all, w.a, w.b)
	}
	return all
}

func (g *ggufForm) tensors(p *Plan) []gguf.Tensor {
	var all []gguf.Tensor
	for _, f := range g.factors(p) {
		all = append(all, gguf.Tensor{Name: f.name, Type: ggufType(f.dtype), Shape: f.shape()})
	}
	return all
}

func (g *ggufForm) layout(p *Plan) (int64, error) {
	_, _, size, err := gguf.Layout(g.pairs, g.tensors(p), 0)
	return size, err
}

func (g *ggufForm) write(p *Plan, path string) error {
	return durable.Create(path, func(f io.Writer) error {
		w, err := gguf.NewWriter(f, g.pairs, g.tensors(p), 0)
		if err != nil {
			return err
		}
		if err := writeFactors(w, g.factors(p)); err != nil {
			return err
		}
		return w.Close()
	})
}

func (g *ggufForm) verify(p *Plan, path string) error {
	file, err := gguf.Open(path)
	if err != nil {
		return p.mismatch("%v", err)
	}
	defer file.Close()
	written, err := adapter.Open(path)
	if err != nil {
		return p.mismatch("%v", err)
	}
	defer written.Close()
	if len(written.Pairs) != len(p.Weights) {
		return p.mismatch("%d weights were written and %d read back", len(p.Weights), len(written.Pairs))
	}
	for _, w := range p.Weights {
		i := slices.IndexFunc(written.Pairs, func(pair adapter.Pair) bool { return pair.Module+".weight" == w.Target })
		if i < 0 || written.Pairs[i].Rank != w.Rank || written.Pairs[i].Scale != p.Alpha/float64(w.Rank) {
			return p.mismatch("%s has another rank or scale", w.Target)
		}
		for _, f := range []*factor{w.a, w.b} {
			stored, _ := file.Tensor(f.name)
			want, err := f.bytes()
			if err != nil {
				return err
			}
			if got, err := file.Read(stored); err != nil || !bytes.Equal(got, want) {
				return p.mismatch("%s has other bytes", f.name)
			}
		}
	}
	return nil
}
