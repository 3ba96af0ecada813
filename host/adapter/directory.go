package adapter

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// The two files of a PEFT directory.
const (
	ConfigName  = "adapter_config.json"
	WeightsName = "adapter_model.safetensors"

	configName  = ConfigName
	weightsName = WeightsName
)

// directory is the place of an adapter's files.
type directory struct {
	place
	Path    string   // what messages call it
	Entries []string // names in it, ascending
}

// snapshot copies the weights.
func (d directory) snapshot() (*safetensors.File, error) {
	o, err := d.original(weightsName)
	if err != nil {
		return nil, err
	}
	defer o.close()
	return o.snapshot()
}

// remedyPlain says what an adapter may be given as.
const remedyPlain = "give the directory that holds adapter_config.json and adapter_model.safetensors, a Kohya or GGUF file, or a bundle of one of them"

// kindFault turns what a file is into a refusal.
func kindFault(path, kind string) *fault.Error {
	switch name := filepath.Base(path); {
	case strings.Contains(kind, "pointer"):
		return fault.New(fault.STLFSPointer, "this is a %s, not the file it points to", kind).In(path).
			Fix("run git lfs pull in the repository, then give the adapter's directory")
	case strings.Contains(kind, "pickle"), strings.HasPrefix(kind, "zip archive") && isPickleName(name):
		return pickleFault(path, name)
	case strings.Contains(kind, "archive"), isCompression(kind):
		return fault.New(fault.ADArchive, "this is a %s, which is not read", kind).In(path).
			Fix("unpack it and give the directory that holds adapter_config.json and adapter_model.safetensors; " +
				"bundles are .tar.zst, as tenon pack writes them, and .tar.gz")
	case strings.Contains(kind, "GGUF"), strings.Contains(kind, "GGML"):
		return fault.New(fault.ADUnsupported, "this is a %s, which is not read", kind).In(path).
			Fix("give a little-endian GGUF file of llama.cpp, or the PEFT directory it was converted from")
	case kind == "JSON document" && name == configName:
		return fault.New(fault.UsageFlag, "this is the configuration alone, and an adapter is its directory").In(path).
			Fix("give the directory that holds adapter_config.json and adapter_model.safetensors")
	default:
		return fault.New(fault.STWrongType, "this is a %s, not an adapter", kind).In(path).Fix(remedyPlain)
	}
}

// isCompression tells the kinds of file that are something else, compressed.
func isCompression(kind string) bool {
	return slices.ContainsFunc([]string{"gzip", "zstd", "xz", "lz4", "bzip2"}, func(name string) bool { return strings.HasPrefix(kind, name) })
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

// pickleFault refuses a pickle, and gives the command that converts it. Reading one as Python does runs the code it holds; the conversion
// reads tensors and nothing else, and what it writes is checked like any other adapter.
func pickleFault(path, name string) *fault.Error {
	if !shellSafe.MatchString(name) {
		name = "FILE"
	}
	return fault.New(fault.ADPickle, "the weights are a pickle, which can run code when it is read").In(path).
		Fix("convert it without running anything: tenon convert --from-pickle %s --out DIR", name)
}
