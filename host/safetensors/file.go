//go:build unix

package safetensors

import (
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// File is an open safetensors file. It is safe for concurrent use, except that Close must come last.
type File struct {
	*Header

	name string // as the user wrote it
	os   *os.File
	sum  [32]byte // of a Snapshot

	mu   sync.Mutex
	view []byte // the mapping, nil until asked for
}

var _ io.ReaderAt = (*File)(nil)

// Open opens a file of a base checkpoint and reads its header, under BaseLimits. A symbolic link is refused; to follow one, see
// package reference and OpenFile. The bytes stay where they are and can change under the reader: read them with Read or ReadAt, which give
// an error when the file has shrunk. Errors are *fault.Error, or a fault.List of them.
func Open(path string) (*File, error) {
	f, err := reference.OpenRegular(path, false)
	if err != nil {
		return nil, err
	}
	return OpenFile(path, f, BaseLimits)
}

// OpenFile is Open for a descriptor from package reference. It owns f from here on, and closes it when it fails. The name is what
// errors call it.
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

// Size is the size of the file in bytes when its header was read.
func (f *File) Size() int64 { return f.Header.Bytes }

// Os is the descriptor, to read from or to hand to another process. File owns it.
func (f *File) Os() *os.File { return f.os }

// Path is where another process of the same user can open this file's very bytes for as long as File is open: the path Open was given may
// name other bytes by then, and a Snapshot has no name at all. On systems without /proc it serves only processes that
// inherit the descriptor.
func (f *File) Path() string { return descriptorPath(int(f.os.Fd())) }

// SHA256 is the digest of all bytes of a Snapshot, and zero for any other File.
func (f *File) SHA256() [32]byte { return f.sum }

// ReadAt reads as os.File does.
func (f *File) ReadAt(p []byte, offset int64) (int, error) { return f.os.ReadAt(p, offset) }

// Read returns a copy of a tensor's bytes. A file that has shrunk gives ST_CHANGED.
func (f *File) Read(t Tensor) ([]byte, error) {
	p := make([]byte, t.Length)
	if err := readFull(f.name, f.os, p, t.Offset); err != nil {
		return nil, err
	}
	return p, nil
}

// Map maps the file into memory, so that Bytes cannot fail. Snapshot has done so already.
func (f *File) Map() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.view != nil {
		return nil
	}
	// Private, because before Linux 6.7 a sealed memfd refuses every shared mapping, even one that only reads.
	view, err := unix.Mmap(int(f.os.Fd()), 0, int(f.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return fault.New(fault.IORead, "it cannot be mapped into memory").In(f.name).Wrap(err).Fix("free memory")
	}
	f.view = view
	return nil
}

// Bytes is a view of a tensor's bytes in the mapping, valid until Close. They must not be written: a write faults. For a Snapshot reading
// them cannot fail. For any other File a read faults (SIGBUS) where the file has shrunk since, so use Read there; and where the mapping
// itself fails, which Map reports, Bytes is nil.
func (f *File) Bytes(t Tensor) []byte {
	if f.Map() != nil {
		return nil
	}
	return f.view[t.Offset : t.Offset+t.Length : t.Offset+t.Length]
}

// Close unmaps and closes the file. What Bytes returned is invalid from here on. Closing again does nothing.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.view != nil {
		if err := unix.Munmap(f.view); err != nil {
			return fault.New(fault.IORead, "it cannot be unmapped").In(f.name).Wrap(err).Fix("start again")
		}
		f.view = nil
	}
	if f.os == nil {
		return nil
	}
	err := f.os.Close()
	f.os = nil
	if err != nil {
		return fault.New(fault.IORead, "it cannot be closed").In(f.name).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	return nil
}
