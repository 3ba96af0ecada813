package adapter

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tenon-ml/tenon/host/bundle"
	"github.com/tenon-ml/tenon/host/fault"
)

// weightsLike are the names that a reader of PEFT directories could take for the weights: the file itself in any case, its shards, and
// files of an older save.
var weightsLike = regexp.MustCompile(`(?i)^adapter_model.*\.safetensors(?:\.index\.json)?$`)

// archiveNames are the endings of archives.
var archiveNames = map[string]bool{
	".zip": true, ".7z": true, ".rar": true, ".tar": true, ".tgz": true, ".gz": true, ".zst": true, ".xz": true, ".bz2": true,
}

// single is the name of the one file that is the whole adapter, as a store keeps it; "" where the directory is not one of those.
func (d directory) single() string {
	name := ""
	for _, entry := range d.Entries {
		switch {
		case entry == configName || weightsLike.MatchString(entry):
			return ""
		case entry == singleName || entry == ggufName:
			if name != "" {
				return ""
			}
			name = entry
		}
	}
	return name
}

// findWeights makes sure that adapter_model.safetensors is the one file that holds the weights. PEFT prefers it to an
// adapter_model.bin beside it, so a pickle, a full model or code beside it is noted and not read; a second safetensors file that could
// be meant is refused, because nobody can tell which one was checked elsewhere.
func (d directory) findWeights() (notes fault.List, refused *fault.Error) {
	var candidates, strangers []string
	var pickle, archive, gguf string
	for _, entry := range d.Entries {
		extension := strings.ToLower(filepath.Ext(entry))
		switch {
		case weightsLike.MatchString(entry):
			candidates = append(candidates, entry)
		case extension == ".safetensors":
			strangers = append(strangers, entry)
		case isPickleName(entry):
			if pickle == "" || strings.HasPrefix(entry, "adapter_model.") {
				pickle = entry
			}
			notes.Add(fault.New(fault.ADPickle, "a pickle lies beside the weights and is not read").In(d.Name(entry)))
		case extension == ".py":
			notes.Add(fault.New(fault.ADCode, "a Python file lies beside the weights and is not read").In(d.Name(entry)))
		case archiveNames[extension]:
			archive = entry
		case extension == ".gguf":
			gguf = entry
		}
	}
	switch {
	case len(candidates) == 1 && candidates[0] == weightsName:
		for _, entry := range strangers {
			notes.Add(fault.New(fault.ADNoWeights, "this file lies beside the adapter's weights and is not read").In(d.Name(entry)))
		}
		return notes, nil
	case len(candidates) > 1:
		return nil, fault.New(fault.ADNoWeights, "%d files could be the weights: %s", len(candidates), some(candidates)).In(d.Path).
			Fix("keep only %s", weightsName)
	case len(candidates) == 0 && pickle == "" && !d.Has(configName) && (d.Has("config.json") || len(d.inner()) > 0):
		return nil, d.nothing()
	case len(candidates) == 0 && len(strangers) == 1 && !d.Has(configName):
		return nil, fault.New(fault.ADNoWeights, "there is no %s and no %s, but %s", configName, weightsName, strangers[0]).In(d.Path).
			Fix("give the file itself if it is an adapter that needs no configuration, as Kohya's and LyCORIS's do not")
	case len(candidates)+len(strangers) > 0:
		return nil, fault.New(fault.ADNoWeights, "there is no %s, but %s", weightsName, some(append(candidates, strangers...))).In(d.Path).
			Fix("give the adapter's own directory, or rename the file if it holds the adapter's weights")
	case pickle != "":
		return nil, pickleFault(d.Name(pickle), pickle)
	case gguf != "":
		return nil, fault.New(fault.ADNoWeights, "the directory holds a GGUF file, which is an adapter by itself").In(d.Name(gguf)).
			Fix("give the file, not its directory")
	case archive != "":
		return nil, archiveFault(d.Name(archive))
	case d.Has(configName):
		return nil, fault.New(fault.ADNoWeights, "there is a configuration and no weights").In(d.Path).
			Fix("add the %s that was saved with it", weightsName)
	}
	return nil, d.nothing()
}

// archiveFault is the fault of a directory that holds an archive in the place of weights.
func archiveFault(path string) *fault.Error {
	e := kindFault(path, strings.ToLower(filepath.Ext(path))[1:]+" archive")
	if _, ok := bundle.Stem(path); ok {
		e.Cause = "the directory holds a bundle, which is an adapter by itself"
		e.Fix("give the file, not its directory")
	}
	return e
}

// nothing is the fault of a directory that holds no part of an adapter.
func (d directory) nothing() *fault.Error {
	missing := fault.New(fault.IONotFound, "the directory holds no adapter: neither %s nor %s", configName, weightsName).In(d.Path)
	inner := d.inner()
	switch {
	case len(d.Entries) == 0:
		missing.Cause = "the directory is empty"
	case len(inner) > 0:
		return missing.Fix("give one of the adapters inside it: %s", some(inner))
	case d.Has("config.json"):
		return missing.Fix("this looks like a base model: give it with --base, and the adapter's directory here")
	}
	return missing.Fix("check the path of the adapter")
}

// inner returns the adapters in folders of the directory: PEFT saves an adapter whose name is not "default" in a folder of its name.
func (d directory) inner() []string {
	var inner []string
	for _, entry := range d.Entries {
		if d.Holds(filepath.Join(entry, configName)) {
			inner = append(inner, d.Name(entry))
		}
	}
	return inner
}

// readConfig returns the bytes of adapter_config.json.
func (d directory) readConfig() ([]byte, error) {
	for _, entry := range d.Entries {
		if entry != configName && strings.EqualFold(entry, configName) {
			return nil, fault.New(fault.ADConfig, "the name differs from %s only in case", configName).In(d.Name(entry)).
				Fix("keep one file, named %s", configName)
		}
	}
	if !d.Has(configName) {
		return nil, fault.New(fault.ADConfig, "%s is missing: without it rank, alpha and scale are unknown", configName).In(d.Path).
			Fix("add the %s that PEFT saved with the weights", configName)
	}
	text, err := d.Read(configName, maxConfigBytes)
	if err != nil {
		return nil, err
	}
	if len(text) > maxConfigBytes {
		return nil, fault.New(fault.ADConfig, "the file has more than %d bytes", maxConfigBytes).In(d.Name(configName)).
			Fix("give the file that PEFT saved, which has a few thousand")
	}
	if kind, ok := sniff(text); ok && kind != "JSON document" {
		return nil, kindFault(d.Name(configName), kind)
	}
	return text, nil
}

// some lists names for a message, at most twenty of them.
func some(names []string) string {
	const most = 20
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", and " + plural(len(names)-most, "other")
}
