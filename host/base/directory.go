package base

import (
	"path/filepath"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// The files whose names have a meaning.
const (
	configName     = "config.json"
	generationName = "generation_config.json"
	singleName     = "model.safetensors"
	indexName      = "model.safetensors.index.json"
)

// Limits on what is read whole, in bytes.
const (
	maxConfigBytes = 16 << 20
	maxIndexBytes  = 64 << 20
	maxCarryBytes  = 256 << 20 // of a tokenizer or a README
)

// subject is what a reference to a base must name: a checkpoint's directory, which has a few files.
var subject = reference.Subject{Name: "base model", Mark: configName, Entries: 100_000, File: fileFault}

// directory is a base's directory.
type directory struct{ *reference.Directory }

// document is a small file, read whole. Its digest is taken of text, which is what gets parsed.
type document struct {
	name  string // inside the directory
	shown string // what messages call it
	text  []byte
}

// read reads a file of at most limit bytes.
func (d directory) read(file string, limit int64) (*document, error) {
	text, err := d.Read(file, limit)
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fault.New(fault.BSConfig, "the file has more than %d bytes", limit).In(d.Name(file)).
			Fix("check that this is the right file")
	}
	if kind, ok := safetensors.Sniff(text[:min(len(text), 512)]); ok && strings.Contains(kind, "pointer") {
		return nil, pointerFault(d.Name(file), kind)
	}
	return &document{file, d.Name(file), text}, nil
}

// pointerFault refuses what stands for a file that was never fetched.
func pointerFault(shown, kind string) *fault.Error {
	return fault.New(fault.STLFSPointer, "this is a %s, not the file it points to", kind).In(shown).
		Fix("fetch the real file, for example with git lfs pull")
}

// fileFault says what a file that was given as a base is, and what to give instead.
func fileFault(path string, head []byte) error {
	kind, known := safetensors.Sniff(head)
	switch {
	case strings.Contains(kind, "GGUF"): // big-endian
		return fault.New(fault.GGVersion, "this is a %s", kind).In(path).Fix("convert it to little-endian, with gguf-convert-endian")
	case strings.Contains(kind, "pickle"), isPickleName(filepath.Base(path)):
		return pickleFault(path)
	case strings.HasSuffix(path, ".safetensors"), strings.HasSuffix(path, ".json"):
		return fault.New(fault.UsageFlag, "this is one file, and a base is a directory").In(path).
			Fix("give the directory that holds config.json and model.safetensors, or a GGUF file")
	case !known:
		kind = "file of an unknown kind"
	}
	return fault.New(fault.BSConfig, "this is a %s, not a base model", kind).In(path).
		Fix("give the directory that holds config.json and model.safetensors")
}

func ggufFault(path string) *fault.Error {
	return fault.New(fault.BSConfig, "the directory holds a GGUF file and no checkpoint").In(path).Fix("give the GGUF file itself as the base: %s", path)
}

func pickleFault(path string) *fault.Error {
	return fault.New(fault.BSConfig, "these weights are a pickle, which can run code when it is loaded, and is not read").In(path).
		Fix("where the file is trusted, load the model with transformers and save it with save_pretrained(dir, safe_serialization=True)")
}

// isPickleName reports whether a file of this name holds pickled weights.
func isPickleName(name string) bool {
	switch filepath.Ext(name) {
	case ".bin", ".pt", ".pth", ".ckpt", ".pkl":
		return true
	}
	return false
}
