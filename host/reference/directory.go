//go:build unix

package reference

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/fault"
)

// Directory is an open directory of foreign making. Files are opened in it, never by a path from the outside, so renaming it or exchanging
// its parts while it is read cannot lead elsewhere.
type Directory struct {
	Path    string   // as the user wrote it
	Real    string   // absolute, without symbolic links
	Entries []string // names in it, ascending

	subject Subject
	root    *os.Root
	blobs   *os.Root // of the Hugging Face cache that the directory lies in; nil elsewhere
	up      string   // what a link in the directory writes before the name of a blob: "../../blobs/"
}

func openDirectory(path string, s Subject) (*Directory, error) {
	real, err := filepath.Abs(path)
	if err == nil {
		real, err = filepath.EvalSymlinks(real) // the user chose where the reference itself leads
	}
	if err != nil {
		return nil, fault.New(fault.IORead, "its real path is unknown").In(path).Wrap(Bare(err)).Fix("check the path")
	}
	d := &Directory{Path: path, Real: real, subject: s}
	if d.root, err = os.OpenRoot(real); err != nil {
		return nil, fault.New(fault.IORead, "the directory cannot be opened").In(path).Wrap(Bare(err)).Fix("check its permissions")
	}
	d.findBlobs()
	if err := d.list(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// findBlobs opens the blobs of the Hugging Face cache that the directory lies in, if it does. There a model is a folder
// models--ORG--NAME/snapshots/REVISION whose files, at any depth, are links to models--ORG--NAME/blobs/HASH.
func (d *Directory) findBlobs() {
	up := "../"
	for revision := d.Real; revision != filepath.Dir(revision); revision = filepath.Dir(revision) {
		up += "../"
		if snapshots := filepath.Dir(revision); filepath.Base(snapshots) == "snapshots" {
			if root, err := os.OpenRoot(filepath.Join(filepath.Dir(snapshots), "blobs")); err == nil {
				d.blobs, d.up = root, up+"blobs/"
				return
			}
		}
	}
}

func (d *Directory) list() error {
	f, err := d.root.Open(".")
	if err != nil {
		return fault.New(fault.IORead, "the directory cannot be opened").In(d.Path).Wrap(Bare(err)).Fix("check its permissions")
	}
	defer f.Close()
	d.Entries, err = f.Readdirnames(d.subject.Entries + 1)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return fault.New(fault.IORead, "the directory cannot be listed").In(d.Path).Wrap(Bare(err)).Fix("check its permissions")
	case len(d.Entries) > d.subject.Entries:
		return fault.New(fault.IONotFound, "the directory has more than %d entries; that of the %s has a few", d.subject.Entries, d.subject.Name).
			In(d.Path).Fix("give the directory that holds %s", d.subject.Mark)
	}
	slices.Sort(d.Entries)
	return nil
}

// Name is what messages call a file of the directory.
func (d *Directory) Name(file string) string { return filepath.Join(d.Path, file) }

// Has reports whether the directory had an entry of this name when it was opened.
func (d *Directory) Has(file string) bool {
	_, found := slices.BinarySearch(d.Entries, file)
	return found
}

// Holds reports whether there is something at a path below the directory. It may be a link that leads nowhere.
func (d *Directory) Holds(path string) bool {
	_, err := d.root.Lstat(path)
	return err == nil
}

// IsFolder reports whether an entry is a folder itself, and no link to one.
func (d *Directory) IsFolder(entry string) bool {
	info, err := d.root.Lstat(entry)
	return err == nil && info.IsDir()
}

// blob is the name of a file in a Hugging Face cache's blobs folder: a SHA-256, or a Git object's SHA-1.
var blob = regexp.MustCompile(`^[0-9a-f]{40}(?:[0-9a-f]{24})?$`)

// Open opens a regular file of the directory, and the caller owns it. A symbolic link is followed to a file inside the directory, or to
// exactly ../../blobs/HASH when the directory is a snapshot of a Hugging Face cache. Nothing looser will do: a cache's folder also holds
// other revisions, and a link to a link, or through a linked folder, would have them read as if they were this one. Both places are an
// os.Root, which resolves name by name inside itself, so a link that is exchanged while it is followed leads nowhere else. Nothing is
// waited for: a FIFO opens at once and is refused by what it is.
func (d *Directory) Open(file string) (*os.File, error) {
	f, err := openIn(d.root, file)
	if err == nil {
		return regular(d.Name(file), f)
	}
	info, statErr := d.root.Lstat(file)
	switch {
	case statErr != nil:
		return nil, d.openFault(file, err)
	case info.Mode()&fs.ModeSymlink != 0:
		return d.openBlob(file, err)
	case !info.Mode().IsRegular():
		return nil, notRegular(d.Name(file), info.Mode())
	}
	return nil, d.openFault(file, err)
}

// Read reads a file of the directory to its end, or to one byte more than limit, which tells the caller that it is longer.
func (d *Directory) Read(file string, limit int64) ([]byte, error) {
	f, err := d.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fault.New(fault.IORead, "it cannot be read").In(d.Name(file)).Wrap(Bare(err)).Fix("check the disk")
	}
	return text, nil
}

// openBlob opens a link that led to no file of the directory, for the reason err, if it leads to a blob.
func (d *Directory) openBlob(file string, err error) (*os.File, error) {
	target, linkErr := d.root.Readlink(file)
	if linkErr != nil {
		return nil, d.openFault(file, linkErr)
	}
	if hash, found := strings.CutPrefix(target, d.up); found && d.blobs != nil && blob.MatchString(hash) {
		f, blobErr := openIn(d.blobs, hash)
		if blobErr == nil {
			return regular(d.Name(file), f)
		}
		err = blobErr
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, d.openFault(file, err)
	}
	return nil, fault.New(fault.IOFileType, "it is a symbolic link to %q, which is no file of the %s's directory", target, d.subject.Name).
		In(d.Name(file)).Wrap(Bare(err)).Fix("put the file itself there")
}

func (d *Directory) openFault(file string, err error) error {
	e := openFault(d.Name(file), err)
	if e.Code == fault.IONotFound {
		e.Fix("check the directory of the %s", d.subject.Name)
	}
	return e
}

// Close closes the directory. Files opened in it stay open.
func (d *Directory) Close() {
	d.root.Close()
	if d.blobs != nil {
		d.blobs.Close()
	}
}
