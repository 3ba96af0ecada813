package cpu

import (
	"os"

	"golang.org/x/sys/unix"
)

// readAhead has the kernel begin to read a range that will be wanted soon. It waits for nothing.
func readAhead(file *os.File, offset, length int64) {
	if length > 0 {
		_ = unix.Fadvise(int(file.Fd()), offset, length, unix.FADV_WILLNEED)
	}
}
