//go:build unix

package worker

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInletIsNotInherited: a process that somebody else starts must not hold a worker's inlet open, nor speak on it.
func TestInletIsNotInherited(t *testing.T) {
	ours, theirs, err := inlet()
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll([]*os.File{ours, theirs})
	for _, end := range []*os.File{ours, theirs} {
		connection, err := end.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var flags int
		var flagsErr error
		if err := errors.Join(connection.Control(func(fd uintptr) { flags, flagsErr = unix.FcntlInt(fd, unix.F_GETFD, 0) }), flagsErr); err != nil {
			t.Fatal(err)
		}
		if flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s is inherited", end.Name())
		}
	}
}
