//go:build unix

package gguf

import (
	"io"
	"os"
	"sync"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// File is an open GGUF file. It is safe for concurrent use, except that Close must come last. The bytes stay on the disk and can change under
// the reader: ReadAt and Read give an error when the file has shrunk.
type File struct {
	*Header

	name string // as the user wrote it
	os   *os.File

	close sync.Once
}

var _ io.ReaderAt = (*File)(nil)

// Open opens a model's file and reads its head, under BaseLimits. A symbolic link is refused; to follow one, see package reference and
// OpenFile. Errors are *fault.Error, or a fault.List of them.
func Open(path string) (*File, error) {
	f, err := reference.OpenRegular(path, false)
	if err != nil {
		return nil, err
	}
	return OpenFile(path, f, BaseLimits)
}

// OpenFile is Open for a descriptor from package reference. It owns f from here on, and closes it when it fails. The name is what errors call
// it.
func OpenFile(name string, f *os.File, limits Limits) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fault.New(fault.IORead, "its attributes cannot be read").In(name).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	h, err := ReadHeader(name, f, info.Size(), limits)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &File{Header: h, name: name, os: f}, nil
}

// Name is what errors call the file.
func (f *File) Name() string { return f.name }

// Size is the size of the file in bytes when its head was read.
func (f *File) Size() int64 { return f.Header.Bytes }

// Os is the descriptor. File owns it.
func (f *File) Os() *os.File { return f.os }

// ReadAt reads as os.File does.
func (f *File) ReadAt(p []byte, offset int64) (int, error) { return f.os.ReadAt(p, offset) }

// Read returns a copy of a tensor's bytes as they are stored. A file that has shrunk gives GG_CHANGED.
func (f *File) Read(t Tensor) ([]byte, error) {
	p := make([]byte, t.Length)
	if failed := readFull(f.os, p, t.Offset); failed != nil {
		return nil, failed.In(f.name).Of(t.Name)
	}
	return p, nil
}

// Close closes the file. Closing again does nothing.
func (f *File) Close() error {
	var err error
	f.close.Do(func() { err = f.os.Close() })
	if err != nil {
		return fault.New(fault.IORead, "it cannot be closed").In(f.name).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	return nil
}
