//go:build unix

package reference

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/fault"
)

// OpenRegular opens path for reading and makes sure, on the descriptor itself, that it is a regular file: nothing can be swapped in
// between. It never waits for the other end of a FIFO. With follow false, a symbolic link in the last place of the path is refused; with
// follow true it is followed, which is for paths that the user wrote. Files of a directory of foreign making are for Directory. Errors are
// *fault.Error; the caller owns the file.
func OpenRegular(path string, follow bool) (*os.File, error) {
	flags := unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY
	if !follow {
		flags |= unix.O_NOFOLLOW
	}
	f, err := os.OpenFile(path, flags, 0)
	if err != nil {
		info, statErr := os.Lstat(path)
		if statErr == nil && !info.Mode().IsRegular() && (!follow || info.Mode()&fs.ModeSymlink == 0) {
			return nil, notRegular(path, info.Mode())
		}
		return nil, openFault(path, err)
	}
	return regular(path, f)
}

// openIn opens a file below root. A link in root is followed as long as it stays inside.
func openIn(root *os.Root, file string) (*os.File, error) {
	return root.OpenFile(file, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
}

// regular returns f if it is a regular file, and closes it otherwise.
func regular(name string, f *os.File) (*os.File, error) {
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() {
		return f, nil
	}
	f.Close()
	if err != nil {
		return nil, fault.New(fault.IORead, "its attributes cannot be read").In(name).Wrap(Bare(err)).Fix("check the disk")
	}
	return nil, notRegular(name, info.Mode())
}

// openFault says why a path did not open.
func openFault(name string, err error) *fault.Error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.IONotFound, "there is no such file").In(name).Fix("check the path")
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.IORead, "it may not be read").In(name).Wrap(Bare(err)).
			Fix("check the permissions of the file and its directory")
	}
	return fault.New(fault.IORead, "it cannot be opened").In(name).Wrap(Bare(err)).Fix("check the path and the disk")
}

// notRegular names what stands in a file's place.
func notRegular(path string, mode fs.FileMode) *fault.Error {
	kind := "a special file"
	switch {
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeSymlink != 0:
		kind = "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a FIFO"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	}
	return fault.New(fault.IOFileType, "it is %s, not a regular file", kind).In(path).Fix("put the file itself there")
}

// Bare strips the path and the name of the system call, which a fault already says, from an error.
func Bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
