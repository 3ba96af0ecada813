//go:build !linux

package cpu

import "os"

// readAhead leaves reading ahead to the kernel.
func readAhead(file *os.File, offset, length int64) {}
