package adapter

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/tenon-ml/tenon/host/fault"
)

// The two files of a PEFT directory.
const (
	configName  = "adapter_config.json"
	weightsName = "adapter_model.safetensors"
)

// maxEntries bounds how much of a directory is listed; an adapter's has a handful of files.
const maxEntries = 10_000

// directory is an adapter's directory, opened so that no name and no symbolic link in it can lead out of it.
type directory struct {
	path    string   // as the user wrote it
	root    *os.Root // the directory, or the repository's folder of a Hugging Face cache
	inside  string   // the directory, from root; slash-separated
	entries []string // names, sorted
}

func openDirectory(where string) (*directory, error) {
	absolute, err := filepath.Abs(where)
	if err != nil {
		return nil, fault.New(fault.IORead, "its absolute path is unknown").In(where).Wrap(err)
	}
	if real, err := filepath.EvalSymlinks(absolute); err == nil {
		absolute = real // the user chose where the reference itself leads
	}
	top, inside := cacheRoot(absolute)
	root, err := os.OpenRoot(top)
	if err != nil {
		return nil, fault.New(fault.IORead, "the directory cannot be opened").In(where).Wrap(bare(err)).Fix("check its permissions")
	}
	d := &directory{path: where, root: root, inside: inside}
	if err := d.list(); err != nil {
		root.Close()
		return nil, err
	}
	return d, nil
}

// cacheRoot finds the folder that symbolic links may not leave. That is the directory itself, except in a Hugging Face cache: there
// models--ORG--NAME/snapshots/REVISION holds links to ../../blobs/HASH, and the folder is models--ORG--NAME.
func cacheRoot(absolute string) (root, inside string) {
	for revision := absolute; revision != filepath.Dir(revision); revision = filepath.Dir(revision) {
		snapshots := filepath.Dir(revision)
		if filepath.Base(snapshots) != "snapshots" {
			continue
		}
		repository := filepath.Dir(snapshots)
		if info, err := os.Stat(filepath.Join(repository, "blobs")); err == nil && info.IsDir() {
			if rel, err := filepath.Rel(repository, absolute); err == nil {
				return repository, filepath.ToSlash(rel)
			}
		}
	}
	return absolute, "."
}

func (d *directory) list() error {
	f, err := d.root.Open(filepath.FromSlash(d.inside))
	if err != nil {
		return fault.New(fault.IORead, "the directory cannot be opened").In(d.path).Wrap(bare(err)).Fix("check its permissions")
	}
	defer f.Close()
	d.entries, err = f.Readdirnames(maxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return fault.New(fault.IORead, "the directory cannot be listed").In(d.path).Wrap(bare(err)).Fix("check its permissions")
	}
	if len(d.entries) > maxEntries {
		return fault.New(fault.IONotFound, "the directory has more than %d entries; an adapter has a few", maxEntries).In(d.path).
			Fix("give the directory that holds adapter_config.json")
	}
	slices.Sort(d.entries)
	return nil
}

// name is what a file of the directory is called in messages.
func (d *directory) name(file string) string { return filepath.Join(d.path, file) }

func (d *directory) has(file string) bool {
	_, found := slices.BinarySearch(d.entries, file)
	return found
}

// open opens a regular file of the directory. A symbolic link is followed inside the directory, and from a Hugging Face cache's snapshot
// into its blobs; any other is refused. Nothing is waited for: a FIFO opens at once and is refused by what it is.
func (d *directory) open(file string) (*os.File, *fault.Error) {
	within := filepath.Join(filepath.FromSlash(d.inside), file)
	info, err := d.root.Lstat(within)
	if err != nil {
		return nil, d.openFault(file, err)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		if refused := d.checkLink(file, within); refused != nil {
			return nil, refused
		}
		if info, err = d.root.Stat(within); err != nil {
			return nil, d.openFault(file, err)
		}
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(d.name(file), info.Mode())
	}
	f, err := d.root.OpenFile(within, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, d.openFault(file, err)
	}
	// Asked again of the descriptor: the name may have changed hands since.
	info, err = f.Stat()
	if err == nil && info.Mode().IsRegular() {
		return f, nil
	}
	f.Close()
	if err != nil {
		return nil, d.openFault(file, err)
	}
	return nil, notRegular(d.name(file), info.Mode())
}

// blob is the name of a file in a Hugging Face cache's blobs folder: a SHA-256 or a Git object's SHA-1.
var blob = regexp.MustCompile(`^blobs/[0-9a-f]{40}(?:[0-9a-f]{24})?$`)

func (d *directory) checkLink(file, within string) *fault.Error {
	target, err := d.root.Readlink(within)
	if err != nil {
		return d.openFault(file, err)
	}
	to := path.Join(path.Dir(filepath.ToSlash(within)), filepath.ToSlash(target))
	stays := d.inside == "." && to != ".." && !strings.HasPrefix(to, "../") || strings.HasPrefix(to, d.inside+"/") || blob.MatchString(to)
	if filepath.IsAbs(target) || !stays {
		return fault.New(fault.IOFileType, "it is a symbolic link to %q, which is outside the adapter's directory", target).
			In(d.name(file)).Fix("put the file itself there")
	}
	return nil
}

func (d *directory) openFault(file string, err error) *fault.Error {
	name := d.name(file)
	info, statErr := d.root.Lstat(filepath.Join(filepath.FromSlash(d.inside), file))
	switch {
	case statErr == nil && info.Mode()&fs.ModeSymlink != 0:
		return fault.New(fault.IOFileType, "it is a symbolic link that leads to no file of the directory").In(name).Wrap(bare(err)).
			Fix("put the file itself there")
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.IONotFound, "there is no such file").In(name).Fix("check the adapter's directory")
	}
	return fault.New(fault.IORead, "it cannot be read").In(name).Wrap(bare(err)).Fix("check its permissions, and the disk")
}

func (d *directory) close() { d.root.Close() }
