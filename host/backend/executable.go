package backend

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
)

// ErrSwapped is returned when an executable's bytes are not those that were first started.
var ErrSwapped = errors.New("the executable has changed since it was first started")

// ErrPinned is returned when an executable's bytes are not those it is pinned to.
var ErrPinned = errors.New("the executable is not the one it is pinned to")

// executable is a file whose digest is fixed, by whoever pinned it or the first time it is opened. go-plugin's SecureConfig is not used: it works
// once, reads the file a second time, and leaves a moment between check and exec in which the path can be given to another file.
type executable struct {
	path   string
	digest []byte
	pinned bool
}

// image is an executable that was checked. Its path names the very file that was hashed, until close.
type image struct {
	path string
	file *os.File
}

func (i *image) close() { _ = i.file.Close() }

// open opens and hashes the file. It refuses what is not a regular file, what anyone may write to, and other bytes than the first time.
func (e *executable) open() (_ *image, err error) {
	file, err := os.OpenFile(e.path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe has no one at its other end
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is no regular file", e.path)
	}
	if mode := info.Mode().Perm(); mode&0o002 != 0 && e.path != "/proc/self/exe" {
		return nil, fmt.Errorf("%q can be written to by everyone (mode %v): take that permission away", e.path, mode)
	} else if mode&0o020 != 0 && e.pinned { // between hashing and executing it is the file that stays the same, not its bytes
		return nil, fmt.Errorf("%q can be written to by its group (mode %v): take that permission away, or do not pin it", e.path, mode)
	}
	hash := sha256.New()
	head := make([]byte, 4)
	if _, err := io.ReadFull(file, head); err != nil {
		return nil, fmt.Errorf("%q: %w", e.path, err)
	}
	hash.Write(head)
	if _, err := io.Copy(hash, file); err != nil {
		return nil, err
	}
	digest := hash.Sum(nil)
	if e.digest == nil {
		e.digest = digest
	}
	if !bytes.Equal(digest, e.digest) && e.pinned {
		return nil, fmt.Errorf("%q: %w: its SHA-256 is %x, wanted is %x", e.path, ErrPinned, digest, e.digest)
	}
	if !bytes.Equal(digest, e.digest) {
		return nil, fmt.Errorf("%q: %w: its SHA-256 was %x and is %x", e.path, ErrSwapped, e.digest, digest)
	}
	elf := string(head) == "\x7fELF"
	if e.pinned && !elf && runtime.GOOS == "linux" {
		return nil, fmt.Errorf("%q is a script, and a digest of it would say nothing of the interpreter and the libraries that run it: "+
			"pin an executable, or do not pin", e.path)
	}
	path := e.path
	if runtime.GOOS == "linux" && elf {
		// A script could not be run this way: its interpreter would look for a descriptor that was closed.
		path = fmt.Sprintf("/proc/self/fd/%d", file.Fd())
	}
	return &image{path: path, file: file}, nil
}

// Digest is the SHA-256 of the executable that Start started: of the very bytes that run.
func (s *Supervisor) Digest() []byte { return bytes.Clone(s.executable.digest) }
