package adapter

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/reference"
)

// The keys of a GGUF adapter, as llama.cpp defines them.
const (
	keyType         = "general.type"
	keyArchitecture = "general.architecture"
	keyBaseURL      = "general.base_model.0.repo_url"
	keyBaseName     = "general.base_model.0.name"
	keyAdapterType  = "adapter.type"
	keyAlpha        = "adapter.lora.alpha"
	keyTask         = "adapter.lora.task_name"
	keyPrompt       = "adapter.lora.prompt_prefix"
	keyInvocation   = "adapter.alora.invocation_tokens"
)

// ggufReader is the reader of GGUF adapters: two factors for each weight, under the names that the weight has in a GGUF base.
type ggufReader struct {
	file         string // what messages call it
	architecture string // general.architecture
	pairs        []ggufPair
}

var _ formatReader = (*ggufReader)(nil)

// readGGUF reads a LoRA adapter in llama.cpp's format from a file that nobody else can change, which stays the caller's. Its factors are widened
// or copied into Weights under their names in the file, row-major: A is rank x in and B is out x rank, that of the token embedding included,
// whose A llama.cpp stores transposed. It fails where nothing can be known of the tensors; everything else that is wrong is in the adapter's
// problems. What belongs to every format, its identity too, is the caller's to add.
//
// The rules are those of llama.cpp's src/llama-adapter.cpp, and stricter where that leaves out tensors without a word.
func readGGUF(ref, shown string, f *os.File) (*Adapter, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fault.New(fault.IORead, "its attributes cannot be read").In(shown).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	header, err := gguf.ReadHeader(shown, f, info.Size(), gguf.AdapterLimits)
	if err != nil {
		return nil, err
	}
	if isModel(header) {
		return nil, fault.New(fault.ADConfig, "the file is a model, not an adapter").In(shown).At("/" + keyType).
			Fix("give it with --base, and the adapter here")
	}
	reader := &ggufReader{file: shown}
	a := &Adapter{Ref: ref, Dir: shown, Format: FormatGGUF, reader: reader}
	reader.readKeys(a, header)
	for _, t := range header.Tensors {
		reader.readTensor(a, t)
	}
	slices.SortFunc(a.Tensors, func(x, y Tensor) int { return cmp.Compare(x.Name, y.Name) })
	if a.Weights, err = reader.copyFactors(f, header, a.Tensors); err != nil {
		return nil, err
	}
	for i, t := range a.Tensors {
		if copied, ok := a.Weights.Tensor(t.Name); ok {
			a.Tensors[i].Tensor = copied
		}
	}
	reader.pairFactors(a)
	return a, nil
}

// readKeys applies the rules for what the file says about itself.
func (r *ggufReader) readKeys(a *Adapter, h *gguf.Header) {
	refuse := func(code fault.Code, key, cause string, args ...any) *fault.Error {
		e := fault.New(code, cause, args...).In(r.file).At("/" + key)
		a.problems.Add(e)
		return e
	}
	if kind, ok := h.Text(keyType); !ok || kind != "adapter" {
		refuse(fault.ADConfig, keyType, "%s must be \"adapter\", and is %s", keyType, textOf(h, keyType)).Fix("convert the adapter again")
	}
	if kind, ok := h.Text(keyAdapterType); !ok || kind != "lora" {
		refuse(fault.ADPeftType, keyAdapterType, "%s must be \"lora\", and is %s", keyAdapterType, textOf(h, keyAdapterType)).
			Fix("give a LoRA adapter")
	}
	if name, ok := h.Text(keyArchitecture); ok && name != "" {
		r.architecture = name
	} else {
		refuse(fault.ADConfig, keyArchitecture, "%s must name the base's architecture, and is %s", keyArchitecture, textOf(h, keyArchitecture)).
			Fix("convert the adapter again")
	}
	if _, ok := h.Pair(keyInvocation); ok {
		refuse(fault.ADUnsupported, keyInvocation, "this is an aLoRA: it acts only after its invocation tokens, so no merged weight is equal to it").
			Fix("give an adapter that is always active")
	}
	a.Config.PEFTType = "LORA"
	a.Config.Alpha = r.readAlpha(a, h, refuse)
	a.Config.BaseModel = baseModelOf(h)
	for _, p := range h.Pairs {
		switch p.Key {
		case keyAdapterType, keyAlpha, keyTask, keyPrompt, keyInvocation:
			continue
		}
		if strings.HasPrefix(p.Key, "adapter.") {
			a.Notes.Add(fault.New(fault.ADUnknownField, "Tenon does not know this key, and the merge does not depend on it").In(r.file).At("/" + p.Key))
		}
	}
}

// readAlpha is the alpha, 0 where the file gives none: then every scale is 1.
func (r *ggufReader) readAlpha(a *Adapter, h *gguf.Header, refuse func(fault.Code, string, string, ...any) *fault.Error) float64 {
	p, present := h.Pair(keyAlpha)
	alpha, _ := h.Float(keyAlpha)
	note := func(cause string, args ...any) {
		a.Notes.Add(fault.New(fault.ADAlpha, cause, args...).In(r.file).At("/" + keyAlpha))
	}
	switch {
	case !present:
		note("%s is missing: the scale is 1, as in llama.cpp", keyAlpha)
	case p.Type != gguf.Float32 || math.IsNaN(alpha) || math.IsInf(alpha, 0):
		refuse(fault.ADAlpha, keyAlpha, "%s must be a finite f32", keyAlpha).Fix("write the alpha the adapter was trained with")
		return 0
	case alpha == 0:
		note("%s is 0: the scale is 1, as in llama.cpp", keyAlpha)
		return 0 // and not -0
	case alpha < 0:
		note("%s is %v: the adapter is subtracted from the base", keyAlpha, alpha)
	}
	return alpha
}

// scaleGGUF is alpha/rank, and 1 where alpha is 0.
func scaleGGUF(alpha float64, rank int) float64 {
	if alpha == 0 {
		return 1
	}
	return alpha / float64(rank)
}

// baseModelOf is what the file says it was trained on.
func baseModelOf(h *gguf.Header) string {
	if url, ok := h.Text(keyBaseURL); ok {
		return strings.TrimPrefix(url, "https://huggingface.co/")
	}
	name, _ := h.Text(keyBaseName)
	return name
}

// textOf is a key's value for a message.
func textOf(h *gguf.Header, key string) string {
	if text, ok := h.Text(key); ok {
		return fmt.Sprintf("%q", text)
	}
	if p, ok := h.Pair(key); ok {
		return "a value of type " + p.Type.String()
	}
	return "missing"
}

// isModel tells a model by what it says of itself, or by tensors of which none is a factor: old models do not say.
func isModel(h *gguf.Header) bool {
	kind, ok := h.Text(keyType)
	if ok || len(h.Tensors) == 0 {
		return kind == "model"
	}
	return !slices.ContainsFunc(h.Tensors, func(t gguf.Tensor) bool {
		_, part := factorOf(t.Name)
		return part != ""
	})
}

// Architecture is the architecture of the base that a GGUF adapter is for, by llama.cpp's name; adapters of other formats have none.
func (a *Adapter) Architecture() string {
	if r, ok := a.reader.(*ggufReader); ok {
		return r.architecture
	}
	return ""
}
