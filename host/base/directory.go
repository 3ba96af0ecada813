package base

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// The files whose names have a meaning.
const (
	configName     = "config.json"
	generationName = "generation_config.json"
	singleName     = "model.safetensors"
	indexName      = "model.safetensors.index.json"
)

// Limits on what is read whole, in bytes, and on how much of a directory is listed.
const (
	maxConfigBytes = 16 << 20
	maxIndexBytes  = 64 << 20
	maxCarryBytes  = 256 << 20 // of a tokenizer or a README
	maxEntries     = 100_000
)

// directory is a base's directory, opened so that no name and no symbolic link in it can lead out of it. One other place is open to it: in
// a Hugging Face cache a checkpoint is a folder snapshots/REVISION of links to ../../blobs/HASH, and root is the folder above both.
type directory struct {
	path    string // as the user wrote it
	real    string // absolute, without symbolic links
	root    *os.Root
	inside  string   // the directory, from root
	entries []string // names, ascending
}

func openDirectory(path string) (*directory, error) {
	real, err := filepath.Abs(path)
	if err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return nil, fault.New(fault.IORead, "its real path is unknown").In(path).Wrap(bare(err)).Fix("check the path")
	}
	d := &directory{path: path, real: real, inside: "."}
	top := real
	if snapshots := filepath.Dir(real); filepath.Base(snapshots) == "snapshots" {
		repository := filepath.Dir(snapshots)
		if info, err := os.Stat(filepath.Join(repository, "blobs")); err == nil && info.IsDir() {
			top, d.inside = repository, filepath.Join("snapshots", filepath.Base(real))
		}
	}
	if d.root, err = os.OpenRoot(top); err != nil {
		return nil, fault.New(fault.IORead, "the directory cannot be opened").In(path).Wrap(bare(err)).Fix("check its permissions")
	}
	if err := d.list(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (d *directory) list() error {
	f, err := d.root.Open(d.inside)
	if err != nil {
		return fault.New(fault.IORead, "the directory cannot be opened").In(d.path).Wrap(bare(err)).Fix("check its permissions")
	}
	defer f.Close()
	d.entries, err = f.Readdirnames(maxEntries + 1)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return fault.New(fault.IORead, "the directory cannot be listed").In(d.path).Wrap(bare(err)).Fix("check its permissions")
	case len(d.entries) > maxEntries:
		return fault.New(fault.IONotFound, "the directory has more than %d entries; a checkpoint has a few", maxEntries).In(d.path).
			Fix("give the directory that holds config.json")
	}
	slices.Sort(d.entries)
	return nil
}

func (d *directory) Close() { d.root.Close() }

// name is what messages call a file of the directory.
func (d *directory) name(file string) string { return filepath.Join(d.path, file) }

func (d *directory) has(file string) bool {
	_, found := slices.BinarySearch(d.entries, file)
	return found
}

// open opens a regular file of the directory; the caller owns it.
func (d *directory) open(file string) (*os.File, error) {
	return safetensors.OpenIn(d.root, filepath.Join(d.inside, file), d.name(file))
}

// document is a small file, read whole. Its digest is taken of text, which is what gets parsed.
type document struct {
	name  string // inside the directory
	shown string // what messages call it
	text  []byte
}

// read reads a file of at most limit bytes.
func (d *directory) read(file string, limit int64) (*document, error) {
	f, err := d.open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fault.New(fault.IORead, "it cannot be read").In(d.name(file)).Wrap(bare(err)).Fix("check the disk")
	}
	if int64(len(text)) > limit {
		return nil, fault.New(fault.BSConfig, "the file has more than %d bytes", limit).In(d.name(file)).
			Fix("check that this is the right file")
	}
	if kind, ok := safetensors.Sniff(text[:min(len(text), 512)]); ok && strings.Contains(kind, "pointer") {
		return nil, pointerFault(d.name(file), kind)
	}
	return &document{file, d.name(file), text}, nil
}

// pointerFault refuses what stands for a file that was never fetched.
func pointerFault(shown, kind string) *fault.Error {
	return fault.New(fault.STLFSPointer, "this is a %s, not the file it points to", kind).In(shown).
		Fix("fetch the real file, for example with git lfs pull")
}
