// Package modules holds the diagnostics that ship with Tenon. Each is an ordinary guest: its source, its manifest and, once `make guests`
// has built it, its module lie in the folder of its name, and anyone can write one like it with package diag.
package modules

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// Module is a guest and its manifest.
type Module struct {
	Wasm     []byte // shared by all callers: not to be written to
	SHA256   [32]byte
	Manifest abi.Manifest
}

// The modules are not in the repository; a build without them stops here, so that no binary lacks one.
//
//go:embed */*.wasm */*.json
var files embed.FS

var builtin = sync.OnceValues(func() ([]Module, error) { return load(files) })

// Builtin gives the modules that ship with Tenon, sorted by id. An error is a fault of the build.
func Builtin() ([]Module, error) {
	all, err := builtin()
	return slices.Clone(all), err
}

// load reads every NAME/NAME.json and its NAME/NAME.wasm, in the order of the names.
func load(fsys fs.FS) ([]Module, error) {
	manifests, err := fs.Glob(fsys, "*/*.json")
	if err != nil {
		return nil, err
	}
	slices.Sort(manifests)
	var all []Module
	for _, file := range manifests {
		text, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, err
		}
		manifest, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("manifest %s: %w", file, err)
		}
		if folder := path.Dir(file); manifest.ID != folder || path.Base(file) != folder+".json" {
			return nil, fmt.Errorf("manifest %s: its id is %q; folder, file and id must agree", file, manifest.ID)
		}
		wasm, err := fs.ReadFile(fsys, strings.TrimSuffix(file, ".json")+".wasm")
		if err != nil {
			return nil, fmt.Errorf("module %s: %w; make guests builds it", manifest.ID, err)
		}
		all = append(all, Module{Wasm: wasm, SHA256: sha256.Sum256(wasm), Manifest: manifest})
	}
	return all, nil
}

// parse reads a manifest. A member nobody knows is an error: it would be a need or a limit that is not kept.
func parse(text []byte) (abi.Manifest, error) {
	var manifest abi.Manifest
	if err := json.Unmarshal(text, &manifest, json.RejectUnknownMembers(true)); err != nil {
		return abi.Manifest{}, err
	}
	if manifest.Version == "" || manifest.Title == "" {
		return abi.Manifest{}, fmt.Errorf("version and title must be given")
	}
	for _, need := range manifest.Needs {
		if !slices.Contains([]abi.Capability{abi.CapBase, abi.CapPeers, abi.CapKernels}, need) {
			return abi.Manifest{}, fmt.Errorf("it needs %q, which is no capability", need)
		}
	}
	return manifest, nil
}
