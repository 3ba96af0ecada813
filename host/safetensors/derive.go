//go:build unix

package safetensors

import (
	"crypto/sha256"
	"io"
	"os"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// memoryBytes is the size from which derived tensors lie in a file on disk without a name instead of in memory.
const memoryBytes = 256 << 20

// Derive makes a File of tensors that were computed and not read, as private as a Snapshot: fill writes the data of the entries, in their order, to
// w. The name is what errors call it. Large ones lie on the disk of the directory for temporary files, where nobody else can open them by name.
func Derive(name string, entries []Entry, metadata map[string]string, fill func(w io.Writer) error) (_ *File, err error) {
	_, _, size, err := Layout(entries, metadata)
	if err != nil {
		return nil, err
	}
	create, seal := createPrivate, sealPrivate
	if size > memoryBytes {
		create, seal = createUnnamed, func(*os.File) error { return nil }
	}
	private, err := create()
	if err != nil {
		return nil, fault.New(fault.IOWrite, "there is no place for %d bytes that are derived from it", size).In(name).Wrap(reference.Bare(err)).
			Fix("free memory, or room in the directory for temporary files (TMPDIR)")
	}
	hash := sha256.New()
	w, err := NewWriter(io.MultiWriter(private, hash), entries, metadata)
	if err == nil {
		if err = fill(w); err == nil {
			err = w.Close()
		}
	}
	if err == nil {
		err = seal(private)
	}
	if err != nil {
		private.Close()
		return nil, err
	}
	file, err := OpenFile(name, private, Limits{HeaderBytes: BaseLimits.HeaderBytes, FileBytes: size, Tensors: BaseLimits.Tensors,
		Dims: BaseLimits.Dims, MetadataBytes: BaseLimits.MetadataBytes})
	if err != nil {
		return nil, err
	}
	hash.Sum(file.sum[:0])
	return file, nil
}

// createUnnamed returns an empty file on disk whose name is gone.
func createUnnamed() (*os.File, error) {
	f, err := os.CreateTemp("", "tenon-derived-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
