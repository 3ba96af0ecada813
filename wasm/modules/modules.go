// Package modules holds the diagnostics that ship with Tenon. The source and the manifest of each lie in the folder of its name, and
// anyone can write one like it with package diag. Diagnostics that need the same capabilities share a guest, which `make guests` builds
// from wasm/guests and leaves here, compressed.
package modules

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// Module is a guest and its manifest.
type Module struct {
	Wasm           []byte // shared by all callers: not to be written to
	SHA256         [32]byte
	Manifest       abi.Manifest
	ManifestSHA256 [32]byte // of the manifest's bytes
	File           string   // the guest's file as Open was asked for it, "" for a module that ships with Tenon
}

// The modules are not in the repository; a build without them stops here, so that no binary lacks one.
//
//go:embed *.wasm.zst */*.json
var files embed.FS

// maxGuest bounds a decompressed guest: what a worker accepts.
const maxGuest = 16 << 20

var builtin = sync.OnceValues(func() ([]Module, error) { return load(files) })

// Builtin gives the modules that ship with Tenon, sorted by id. An error is a fault of the build.
func Builtin() ([]Module, error) {
	all, err := builtin()
	return slices.Clone(all), err
}

// load reads every NAME/NAME.json and the guest it names, in the order of the names.
func load(fsys fs.FS) ([]Module, error) {
	manifests, err := fs.Glob(fsys, "*/*.json")
	if err != nil {
		return nil, err
	}
	slices.Sort(manifests)
	guests := map[string]guest{}
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
		name := cmp.Or(manifest.Guest, manifest.ID)
		g, known := guests[name]
		if !known {
			if g, err = readGuest(fsys, name+".wasm.zst"); err != nil {
				return nil, fmt.Errorf("module %s: %w; make guests builds it", manifest.ID, err)
			}
			guests[name] = g
		}
		if err := agree(manifest, g.sha256); err != nil {
			return nil, fmt.Errorf("manifest %s: %w", file, err)
		}
		all = append(all, Module{Wasm: g.wasm, SHA256: g.sha256, Manifest: manifest, ManifestSHA256: sha256.Sum256(text)})
	}
	return all, nil
}

// guest is a WebAssembly file.
type guest struct {
	wasm   []byte
	sha256 [32]byte
}

func readGuest(fsys fs.FS, file string) (guest, error) {
	packed, err := fs.ReadFile(fsys, file)
	if err != nil {
		return guest{}, err
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxGuest))
	if err != nil {
		return guest{}, err
	}
	defer decoder.Close()
	wasm, err := decoder.DecodeAll(packed, nil)
	if err != nil {
		return guest{}, fmt.Errorf("guest %s: %w", file, err)
	}
	return guest{wasm, sha256.Sum256(wasm)}, nil
}
