package adapter

import (
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// resolve returns the path of the directory that a reference names: a path, or a file:// URL without a host.
func resolve(ref string) (string, error) {
	path := ref
	if prefix := strings.ToLower(scheme.FindString(ref)); prefix != "" {
		if prefix != "file://" {
			return "", fault.New(fault.UsageFlag, "references of the kind %s are not read", prefix).In(ref).
				Fix("download the adapter and give its directory")
		}
		parsed, err := url.Parse(ref)
		if err != nil || parsed.Host != "" && parsed.Host != "localhost" || parsed.RawQuery != "" || parsed.Fragment != "" {
			return "", fault.New(fault.UsageFlag, "this is not the URL of a local directory").In(ref).
				Fix("write file:///path/to/adapter, or the path alone")
		}
		path = filepath.FromSlash(parsed.Path)
	}
	if path == "" || strings.IndexByte(path, 0) >= 0 {
		return "", fault.New(fault.UsageFlag, "the reference %q is no path", ref).Fix("give the adapter's directory")
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fault.New(fault.IONotFound, "there is no such file or directory").In(path).Fix("check the path of the adapter")
	case err != nil:
		return "", fault.New(fault.IORead, "it cannot be looked at").In(path).Wrap(bare(err)).
			Fix("check the path and the permissions of its directories")
	case info.IsDir():
		return path, nil
	case !info.Mode().IsRegular():
		return "", notRegular(path, info.Mode())
	}
	return "", fileFault(path)
}

// fileFault says what a file that was given as an adapter is, and what to give instead.
func fileFault(path string) error {
	f, err := safetensors.OpenRegular(path, true)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.IORead, "it cannot be read").In(path).Wrap(bare(err))
	}
	kind, known := sniff(head[:n])
	if !known {
		kind = "file of an unknown kind"
		if len(head[:n]) > 8 && head[8] == '{' {
			kind = "safetensors file"
		}
	}
	return kindFault(path, kind)
}

// kindFault turns what a file is into a refusal.
func kindFault(path, kind string) *fault.Error {
	switch name := filepath.Base(path); {
	case strings.Contains(kind, "pointer"):
		return fault.New(fault.STLFSPointer, "this is a %s, not the file it points to", kind).In(path).
			Fix("run git lfs pull in the repository, then give the adapter's directory")
	case strings.Contains(kind, "pickle"), strings.HasPrefix(kind, "zip archive") && isPickleName(name):
		return pickleFault(path, name)
	case strings.Contains(kind, "archive"), strings.HasPrefix(kind, "gzip"), strings.HasPrefix(kind, "zstd"),
		strings.HasPrefix(kind, "xz"), strings.HasPrefix(kind, "lz4"), strings.HasPrefix(kind, "bzip2"):
		return fault.New(fault.ADArchive, "this is a %s, and archives are not read", kind).In(path).
			Fix("unpack it and give the directory that holds adapter_config.json and adapter_model.safetensors")
	case strings.Contains(kind, "GGUF"):
		return fault.New(fault.ADUnsupported, "this is a %s, and GGUF adapters are not read", kind).In(path).
			Fix("give the PEFT directory it was converted from")
	case kind == "safetensors file", kind == "JSON document" && name == configName:
		return fault.New(fault.UsageFlag, "this is one %s, and an adapter is a directory", kind).In(path).
			Fix("give the directory that holds adapter_config.json and adapter_model.safetensors")
	default:
		return fault.New(fault.STWrongType, "this is a %s, not an adapter", kind).In(path).
			Fix("give the directory that holds adapter_config.json and adapter_model.safetensors")
	}
}

// sniff is safetensors.Sniff, which a safetensors file whose length field happens to look like another kind's mark does not reach.
func sniff(head []byte) (kind string, ok bool) {
	if len(head) > 9 && head[8] == '{' && (head[9] == '"' || head[9] == '}') && head[5]|head[6]|head[7] == 0 {
		return "", false
	}
	return safetensors.Sniff(head)
}

// pickleNames are the endings under which PyTorch's pickles are published.
var pickleNames = map[string]bool{".bin": true, ".pt": true, ".pth": true, ".ckpt": true, ".pkl": true, ".pickle": true}

func isPickleName(name string) bool { return pickleNames[strings.ToLower(filepath.Ext(name))] }

// shellSafe are the file names that may stand in a command a person is told to run.
var shellSafe = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// pickleFault refuses a pickle, and gives the command that converts it: reading one runs the code it holds, so Tenon never does.
func pickleFault(path, name string) *fault.Error {
	if !shellSafe.MatchString(name) {
		name = "FILE"
	}
	return fault.New(fault.ADPickle, "the weights are a pickle, which can run code when it is read").In(path).
		Fix("convert it where it is trusted: python -c \"import torch, safetensors.torch as s; "+
			"s.save_file({k: v.contiguous() for k, v in torch.load('%s', map_location='cpu', weights_only=True).items()}, "+
			"'%s', metadata={'format': 'pt'})\"", name, weightsName)
}

// notRegular names what stands in a file's place.
func notRegular(path string, mode fs.FileMode) *fault.Error {
	kind := "special file"
	switch {
	case mode.IsDir():
		kind = "directory"
	case mode&fs.ModeSymlink != 0:
		kind = "symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		kind = "FIFO"
	case mode&fs.ModeSocket != 0:
		kind = "socket"
	case mode&fs.ModeDevice != 0:
		kind = "device"
	}
	return fault.New(fault.IOFileType, "it is a %s, not a regular file", kind).In(path).Fix("put the file itself there")
}

// bare strips the path and the system call from an error: the fault says them already.
func bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
