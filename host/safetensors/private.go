//go:build unix

package safetensors

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// Private copies a file of any kind into private memory that nobody can change any more, as Snapshot does, and gives the digest of what
// it copied. A file of more than most bytes is refused. The name is what errors call the file; the caller keeps f and closes the copy.
func Private(name string, f *os.File, most int64) (private *os.File, sum [32]byte, err error) {
	before, err := f.Stat()
	if err != nil {
		return nil, sum, fault.New(fault.IORead, "its attributes cannot be read").In(name).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	if before.Size() > most {
		return nil, sum, fault.New(fault.STTooLarge, "the file has %d bytes; the limit is %d", before.Size(), most).
			In(name).Fix("check that this is the right file")
	}
	return seal(name, func(private *os.File) ([32]byte, error) { return copyWhole(name, private, f, before) })
}

// PrivateFrom is Private for bytes that come from a reader, whose own errors it returns as they are; it bounds nothing.
func PrivateFrom(name string, r io.Reader) (private *os.File, sum [32]byte, err error) {
	return seal(name, func(private *os.File) (sum [32]byte, err error) {
		hash := sha256.New()
		to := &memoryWriter{name: name, to: private}
		if _, err := io.CopyBuffer(io.MultiWriter(to, hash), struct{ io.Reader }{r}, make([]byte, copyChunk)); err != nil {
			return sum, err
		}
		hash.Sum(sum[:0])
		return sum, nil
	})
}

// memoryWriter writes to private memory, and says so when there is no more of it.
type memoryWriter struct {
	name    string
	to      io.Writer
	written int64
}

func (w *memoryWriter) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.written += int64(n)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.ENOMEM):
		return n, fault.New(fault.IOSpace, "no room for a private copy of more than %d bytes", w.written).In(w.name).Wrap(reference.Bare(err)).
			Fix("free memory, or give the adapter to a larger machine")
	}
	return n, fault.New(fault.IOWrite, "the private copy failed at %d bytes", w.written).In(w.name).Wrap(reference.Bare(err)).Fix("free memory")
}

// seal makes a private file, has it filled, and makes its bytes final.
func seal(name string, fill func(*os.File) ([32]byte, error)) (*os.File, [32]byte, error) {
	private, err := createPrivate()
	if err != nil {
		return nil, [32]byte{}, fault.New(fault.IOWrite, "no private copy can be made").In(name).Wrap(reference.Bare(err)).
			Fix("free memory, and raise the limit on open files")
	}
	sum, err := fill(private)
	if err == nil {
		err = sealPrivate(private)
	}
	if err != nil {
		private.Close()
		return nil, [32]byte{}, err
	}
	return private, sum, nil
}

// Adopt is Snapshot of a file that is private already, with the digest that Private gave. It owns private from here on, and closes it when
// it fails.
func Adopt(name string, private *os.File, sum [32]byte, limits Limits) (*File, error) {
	file, err := OpenFile(name, private, limits)
	if err != nil {
		return nil, err
	}
	file.sum = sum
	if err := file.Map(); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
