//go:build unix

package reference

import (
	"os"
)

// Find is Open for a subject that may be a regular file as well: it gives the one or the other, and the path as the user wrote it. The file is
// open for reading, at its beginning; Subject.File is not asked. Errors are *fault.Error; the caller closes what it gets.
func Find(ref string, s Subject) (d *Directory, f *os.File, path string, err error) {
	path, err = s.locate(ref)
	if err != nil {
		return nil, nil, "", err
	}
	isDir, err := s.isDirectory(path)
	switch {
	case err != nil:
	case isDir:
		d, err = openDirectory(path, s)
	default:
		f, err = OpenRegular(path, true)
	}
	return d, f, path, err
}
