//go:build unix

// Package reference finds what a user wrote: it turns a reference, a path or a file:// URL of a directory, into a Directory whose regular
// files can be opened and whose links cannot lead out of it.
package reference

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
)

// Subject is what a reference must name, for the limits and in the words of messages.
type Subject struct {
	Name    string // after "the": "adapter", "base model"
	Mark    string // the file by which a directory of it is known
	Entries int    // files that its directory may hold
	// File refuses a regular file that was given in the directory's place. head is its first bytes, up to 512.
	File func(path string, head []byte) error
}

// Open opens the directory that a reference names. Errors are *fault.Error; the caller closes the Directory.
func Open(ref string, s Subject) (*Directory, error) {
	path, err := s.locate(ref)
	if err != nil {
		return nil, err
	}
	isDir, err := s.isDirectory(path)
	switch {
	case err != nil:
		return nil, err
	case isDir:
		return openDirectory(path, s)
	}
	return nil, s.refuseFile(path)
}

// isDirectory tells a directory from whatever else is at a path.
func (s Subject) isDirectory(path string) (bool, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, fault.New(fault.IONotFound, "there is no such directory").In(path).Fix("check the path of the %s", s.Name)
	case err != nil:
		return false, fault.New(fault.IORead, "it cannot be looked at").In(path).Wrap(Bare(err)).
			Fix("check the path and the permissions of its directories")
	}
	return info.IsDir(), nil
}

var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

// locate returns the path of the directory that a reference stands for. A kind of reference that is fetched (hf://, oci://, http://,
// https://) belongs here, as a case that ends in the path of what it fetched; until it has one it is refused by its name.
func (s Subject) locate(ref string) (string, error) {
	path := ref
	switch kind := strings.ToLower(scheme.FindString(ref)); kind {
	case "":
	case "file://":
		parsed, err := url.Parse(ref)
		if err != nil || parsed.Host != "" && parsed.Host != "localhost" || parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" {
			return "", fault.New(fault.UsageFlag, "this is not the URL of a local directory").In(ref).
				Fix("write file:///path/to/directory, or the path alone")
		}
		path = filepath.FromSlash(parsed.Path)
	default:
		return "", fault.New(fault.UsageFlag, "%s references are not read", kind).In(ref).Fix("download the %s and give its directory", s.Name)
	}
	if path == "" || strings.IndexByte(path, 0) >= 0 {
		return "", fault.New(fault.UsageFlag, "the reference %q is no path", ref).Fix("give the directory of the %s", s.Name)
	}
	return path, nil
}

// refuseFile says what stands in the directory's place.
func (s Subject) refuseFile(path string) error {
	f, err := OpenRegular(path, true)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fault.New(fault.IORead, "it cannot be read").In(path).Wrap(Bare(err)).Fix("check its permissions, and the disk")
	}
	return s.File(path, head[:n])
}
