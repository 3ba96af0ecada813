//go:build unix

package safetensors

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/fault"
)

// Share opens the same bytes once more, to be closed by somebody else: for a Snapshot, which has no name, the only way to.
func (f *File) Share() (*File, error) {
	again, err := ShareDescriptor(f.os)
	if err != nil {
		return nil, fault.New(fault.IORead, "it cannot be opened once more").In(f.name).Wrap(err).Fix("raise the limit of open files (ulimit -n)")
	}
	return &File{Header: f.Header, name: f.name, os: again, sum: f.sum}, nil
}

// ShareDescriptor opens the file of a descriptor once more. The two share their position, so they are for reading at offsets.
func ShareDescriptor(f *os.File) (*os.File, error) {
	descriptor, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(descriptor), f.Name()), nil
}
