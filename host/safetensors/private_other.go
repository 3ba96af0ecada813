//go:build unix && !linux

package safetensors

import (
	"fmt"
	"os"
)

// createPrivate returns an empty temporary file whose name is gone already.
func createPrivate() (*os.File, error) {
	f, err := os.CreateTemp("", "tenon-snapshot-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sealPrivate does nothing: without a name, only holders of the descriptor could write, and Tenon hands it out for reading.
func sealPrivate(*os.File) error { return nil }

// descriptorPath names a descriptor to processes that inherit it under the same number.
func descriptorPath(fd int) string { return fmt.Sprintf("/dev/fd/%d", fd) }
