package adapter

import (
	"path/filepath"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// The names by which a store keeps an adapter that is one file, and by which its identity knows that file whatever it was called.
const (
	singleName = "adapter.safetensors"
	ggufName   = "adapter.gguf"
)

// readSingle reads an adapter that is one file, as what its first bytes say it is.
func readSingle(ref string, o original) (*Adapter, error) {
	head, err := o.head()
	if err != nil {
		return nil, err
	}
	kind, known := sniff(head)
	switch {
	case kind == "GGUF file":
		return readPrivate(ref, o)
	case known:
		return nil, kindFault(o.name(), kind)
	case isSafetensors(head) || strings.EqualFold(filepath.Ext(o.name()), ".safetensors"):
		return readStandalone(ref, o)
	}
	return nil, kindFault(o.name(), "file of an unknown kind")
}

// isSafetensors tells a safetensors file by its header's first byte.
func isSafetensors(head []byte) bool { return len(head) > 8 && head[8] == '{' }

// readStandalone reads a safetensors file that needs no configuration beside it.
func readStandalone(ref string, o original) (*Adapter, error) {
	weights, err := o.snapshot()
	if err != nil {
		return nil, err
	}
	if speaksPEFT(weights) {
		weights.Close()
		return nil, fault.New(fault.ADConfig, "these are the weights of a PEFT adapter without their %s: rank, alpha and scale are unknown", ConfigName).
			In(o.name()).Fix("give the directory that holds both %s and %s", ConfigName, WeightsName)
	}
	a, err := readKohya(ref, o.name(), weights)
	if err != nil {
		weights.Close()
		return nil, err
	}
	a.Files = []File{{Name: singleName, Data: a.Weights, Size: a.Weights.Size(), SHA256: a.Weights.SHA256()}}
	a.Digest = identity(a.Files)
	return a, nil
}

// readPrivate reads a GGUF file from a copy of its own, which is kept for the store.
func readPrivate(ref string, o original) (*Adapter, error) {
	f, sum, err := safetensors.Private(o.name(), o.file(), safetensors.DefaultLimits.FileBytes)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fault.New(fault.IORead, "its size is unknown").In(o.name()).Wrap(reference.Bare(err)).Fix("try again")
	}
	a, err := readGGUF(ref, o.name(), f)
	if err != nil {
		f.Close()
		return nil, err
	}
	a.original = f
	a.Files = []File{{Name: ggufName, Data: f, Size: info.Size(), SHA256: sum}}
	a.Digest = identity(a.Files)
	return a, nil
}

// roots are the first parts of names in the dotted dialects of single files, whose factors are called as PEFT's are.
var roots = map[string]bool{
	"diffusion_model": true, "transformer": true, "unet": true, "text_encoder": true, "text_encoder_2": true, "text_encoder_3": true,
	"text_encoders": true, "lycoris": true, "prior": true,
}

// speaksPEFT reports whether the names of a file are those of PEFT's own saves, whose scales are in another file.
func speaksPEFT(weights *safetensors.File) bool {
	for _, t := range weights.Tensors {
		root, _, _ := strings.Cut(t.Name, ".")
		switch {
		case root == "base_model":
			return true
		case roots[root] || strings.HasPrefix(root, "lora_"):
		case strings.Contains(t.Name, ".lora_A.") || strings.Contains(t.Name, ".lora_embedding_A"):
			return true
		}
	}
	return false
}
