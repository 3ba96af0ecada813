//go:build !linux

package durable

import (
	"errors"
	"os"
)

// Clone reports that nothing was shared.
func Clone(dst, src *os.File) bool { return false }

// StartWriteback leaves it to the kernel when to write.
func StartWriteback(f *os.File, offset, length int64) {}

func kernelCopy(dst *os.File, at int64, src *os.File, from, length int64) (int64, error) {
	return 0, errors.ErrUnsupported
}
