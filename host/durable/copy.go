package durable

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
)

// copyStep is how many bytes are copied between two looks at the context.
const copyStep = 16 << 20

// copyBuffer is the buffer for copies that the kernel does not do itself, in bytes.
const copyBuffer = 1 << 20

// CopyRange copies length bytes at from in src to at in dst: by the kernel where it can, which shares the blocks on file systems that know
// how to, and through a buffer elsewhere. A source that ends before that gives io.ErrUnexpectedEOF. The range in dst is unspecified after
// an error.
func CopyRange(ctx context.Context, dst *os.File, at int64, src *os.File, from, length int64) error {
	var buffer []byte
	for length > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		step := min(length, copyStep)
		var n int64
		var err error
		if buffer == nil {
			if n, err = kernelCopy(dst, at, src, from, step); cannotCopy(err) || err == nil && n == 0 {
				buffer = make([]byte, copyBuffer)
				continue
			}
		} else {
			n, err = plainCopy(dst, at, src, from, step, buffer)
		}
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		at, from, length = at+n, from+n, length-n
	}
	return nil
}

// cannotCopy reports whether the kernel has no way to copy between these two files.
func cannotCopy(err error) bool {
	for _, reason := range []error{errors.ErrUnsupported, syscall.EXDEV, syscall.EINVAL, syscall.EPERM, syscall.EIO, syscall.EBADF} {
		if errors.Is(err, reason) {
			return true // plain reading and writing says what is wrong, if that was not the reason
		}
	}
	return false
}

func plainCopy(dst *os.File, at int64, src *os.File, from, length int64, buffer []byte) (int64, error) {
	n, err := src.ReadAt(buffer[:min(length, int64(len(buffer)))], from)
	if err != nil && (n == 0 || !errors.Is(err, io.EOF)) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	_, err = dst.WriteAt(buffer[:n], at)
	return int64(n), err
}
