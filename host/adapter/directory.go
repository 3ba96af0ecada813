package adapter

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// The two files of a PEFT directory.
const (
	ConfigName  = "adapter_config.json"
	WeightsName = "adapter_model.safetensors"

	configName  = ConfigName
	weightsName = WeightsName
)

// subject is what a reference to an adapter must name: a PEFT directory, which has a handful of files.
var subject = reference.Subject{Name: "adapter", Mark: configName, Entries: 10_000, File: fileFault}

// directory is an adapter's directory.
type directory struct{ *reference.Directory }

// snapshot copies the weights.
func (d directory) snapshot() (*safetensors.File, error) {
	f, err := d.Open(weightsName)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return safetensors.SnapshotFile(d.Name(weightsName), f, safetensors.DefaultLimits)
}

// fileFault says what a file that was given as an adapter is, and what to give instead.
func fileFault(path string, head []byte) error {
	kind, known := sniff(head)
	if !known {
		kind = "file of an unknown kind"
		if len(head) > 8 && head[8] == '{' {
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
