package safetensors

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/fault"
)

// createPrivate returns an empty file that has no name and lives in memory.
func createPrivate() (*os.File, error) {
	fd, err := unix.MemfdCreate("tenon-snapshot", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), "tenon-snapshot"), nil
}

// sealPrivate makes the file's bytes and size final, for this process and for whoever gets the descriptor.
func sealPrivate(f *os.File) error {
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fault.New(fault.IOWrite, "the private copy cannot be sealed").Wrap(err).Fix("use a kernel with sealed memory files")
	}
	return nil
}

// descriptorPath names a descriptor of this process to other processes.
func descriptorPath(fd int) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd) }
