//go:build unix

package safetensors

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// Snapshot copies a file into private memory that nobody can change any more, hashing what it copies, and reads the header of the copy.
// What happens to path from then on cannot matter: the bytes that are checked, hashed, mapped and merged are the same bytes. A symbolic
// link is refused; to follow one, see package reference and SnapshotFile.
func Snapshot(path string, limits Limits) (*File, error) {
	f, err := reference.OpenRegular(path, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return SnapshotFile(path, f, limits)
}

// SnapshotFile is Snapshot for a descriptor from package reference, which the caller keeps. The name is what errors call the file.
func SnapshotFile(name string, f *os.File, limits Limits) (*File, error) {
	return snapshot(name, f, limits)
}

// source is what a snapshot is taken from; an *os.File, or a test's file that changes at a chosen moment.
type source interface {
	io.ReaderAt
	Stat() (fs.FileInfo, error)
}

func snapshot(name string, src source, limits Limits) (*File, error) {
	before, err := src.Stat()
	if err != nil {
		return nil, fault.New(fault.IORead, "its attributes cannot be read").In(name).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	// What is plainly no safetensors file, or too large, is not worth a copy.
	if _, err := readFrame(name, src, before.Size(), limits); err != nil {
		return nil, err
	}
	private, sum, err := seal(name, func(private *os.File) ([32]byte, error) { return copyWhole(name, private, src, before) })
	if err != nil {
		return nil, err
	}
	return Adopt(name, private, sum, limits)
}

// copyChunk is read, hashed and written at a time, in bytes.
const copyChunk = 1 << 20

// copyWhole copies src to dst and returns the digest of the copied bytes. It fails when src is not, from before to after, one file of one
// size that nobody writes to.
func copyWhole(name string, dst io.Writer, src source, before fs.FileInfo) (sum [32]byte, err error) {
	hash := sha256.New()
	buffer := make([]byte, copyChunk)
	copied := int64(0)
	for copied < before.Size() {
		chunk := buffer[:min(copyChunk, before.Size()-copied)]
		if err := readFull(name, src, chunk, copied); err != nil {
			return sum, err
		}
		hash.Write(chunk)
		if _, err := dst.Write(chunk); err != nil {
			if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.ENOMEM) {
				return sum, fault.New(fault.IOSpace, "no room for a private copy of %d bytes", before.Size()).In(name).Wrap(reference.Bare(err)).
					Fix("free memory, or give the adapter to a larger machine")
			}
			return sum, fault.New(fault.IOWrite, "the private copy failed at %d bytes", copied).In(name).Wrap(reference.Bare(err)).Fix("free memory")
		}
		copied += int64(len(chunk))
	}
	after, err := src.Stat()
	if err != nil {
		return sum, fault.New(fault.IORead, "its attributes cannot be read").In(name).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	if after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return sum, fault.New(fault.STChanged, "the file was written to while it was read: %d bytes before, %d after",
			before.Size(), after.Size()).In(name).Fix("use a file that nobody is writing")
	}
	hash.Sum(sum[:0])
	return sum, nil
}
