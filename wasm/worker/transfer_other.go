//go:build !unix

package worker

import (
	"errors"
	"os"
)

// inlet makes the pipe that is a worker's stdin.
func inlet() (ours, theirs *os.File, err error) {
	theirs, ours, err = os.Pipe()
	return ours, theirs, err
}

// sendFiles has no way to hand descriptors over here.
func sendFiles(_ *os.File, files []*os.File) error {
	if len(files) > 0 {
		return errors.ErrUnsupported
	}
	return nil
}

// receiveFiles has nothing to take.
func receiveFiles(_ *os.File, n int) ([]*os.File, error) {
	if n > 0 {
		return nil, errors.ErrUnsupported
	}
	return nil, nil
}
