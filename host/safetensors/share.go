//go:build unix

package safetensors

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/fault"
)

// Share opens the same bytes once more, to be closed by somebody else: for a Snapshot, which has no name, the only way to.
func (f *File) Share() (*File, error) {
	descriptor, err := unix.FcntlInt(f.os.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fault.New(fault.IORead, "it cannot be opened once more").In(f.name).Wrap(err).Fix("raise the limit of open files (ulimit -n)")
	}
	return &File{Header: f.Header, name: f.name, os: os.NewFile(uintptr(descriptor), f.os.Name()), sum: f.sum}, nil
}
