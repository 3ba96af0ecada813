package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// Clone makes dst, which is empty, share all of src's blocks, and reports whether the file system can: nothing is copied until one of them
// is written to.
func Clone(dst, src *os.File) bool {
	return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) == nil
}

// StartWriteback has the kernel begin to write a range to the disk, so that a later Sync finds less to do. It waits for nothing and promises
// nothing.
func StartWriteback(f *os.File, offset, length int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, length, unix.SYNC_FILE_RANGE_WRITE)
}

// kernelCopy copies up to length bytes between two files without passing them through this process.
func kernelCopy(dst *os.File, at int64, src *os.File, from, length int64) (int64, error) {
	for {
		n, err := unix.CopyFileRange(int(src.Fd()), &from, int(dst.Fd()), &at, int(length), 0)
		if err == unix.EINTR {
			continue
		}
		return int64(n), err
	}
}
