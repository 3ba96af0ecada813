//go:build unix

package worker

import (
	"os"

	"golang.org/x/sys/unix"
)

// hold takes a lock that others can have as well and that ends with the file, and reports whether nobody has it alone. Where a file system
// has no locks nobody has.
func hold(f *os.File) bool {
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != unix.EWOULDBLOCK
}

// claim takes a lock that nobody else has, and reports whether it could.
func claim(f *os.File) bool { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil }
