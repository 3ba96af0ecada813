package base

import (
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

const fileScheme = "file://"

// resolve returns the path of the directory that a reference names.
func resolve(ref string) (string, error) {
	path := ref
	if scheme, _, ok := strings.Cut(ref, "://"); ok && isScheme(scheme) {
		if !strings.EqualFold(scheme, "file") {
			return "", fault.New(fault.UsageFlag, "%s:// references are not read", strings.ToLower(scheme)).In(ref).
				Fix("download the model and give its directory")
		}
		parsed, err := url.Parse(ref)
		if err != nil || parsed.Host != "" && parsed.Host != "localhost" || parsed.RawQuery != "" || parsed.Fragment != "" {
			return "", fault.New(fault.UsageFlag, "this is not the URL of a local directory").In(ref).
				Fix("write file:///path/to/model, or the path alone")
		}
		path = filepath.FromSlash(parsed.Path)
	}
	if path == "" || strings.IndexByte(path, 0) >= 0 {
		return "", fault.New(fault.UsageFlag, "the reference %q is no path", ref).Fix("give the directory of the base model")
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fault.New(fault.IONotFound, "there is no such directory").In(path).Fix("check the path of the base model")
	case err != nil:
		return "", fault.New(fault.IORead, "it cannot be looked at").In(path).Wrap(bare(err)).
			Fix("check the path and the permissions of its directories")
	case info.IsDir():
		return path, nil
	}
	return "", fileFault(path)
}

// isScheme tells a URL's scheme (RFC 3986) from a path that happens to hold "://".
func isScheme(s string) bool {
	for i, r := range s {
		letter := r|0x20 >= 'a' && r|0x20 <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", r)) {
			return false
		}
	}
	return s != ""
}

// fileFault says what a file that was given as a base is, and what to give instead.
func fileFault(path string) error {
	f, err := safetensors.OpenRegular(path, true)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fault.New(fault.IORead, "it cannot be read").In(path).Wrap(bare(err))
	}
	kind, known := safetensors.Sniff(head[:n])
	switch {
	case strings.Contains(kind, "GGUF"):
		return ggufFault(path)
	case strings.Contains(kind, "pickle"), isPickleName(filepath.Base(path)):
		return pickleFault(path)
	case strings.HasSuffix(path, ".safetensors"), strings.HasSuffix(path, ".json"):
		return fault.New(fault.UsageFlag, "this is one file, and a base is a directory").In(path).
			Fix("give the directory that holds config.json and model.safetensors")
	case !known:
		kind = "file of an unknown kind"
	}
	return fault.New(fault.BSConfig, "this is a %s, not a base model", kind).In(path).
		Fix("give the directory that holds config.json and model.safetensors")
}

func ggufFault(path string) *fault.Error {
	return fault.New(fault.BSConfig, "this is a GGUF file, and GGUF is not read as a base").In(path).
		Fix("give the Hugging Face directory it was converted from: config.json with safetensors weights")
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

// bare strips the path and the name of the system call, which the fault already says.
func bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
