//go:build unix

package safetensors

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/fault"
)

// TestSnapshotIsFinal changes, cuts and replaces the path after the snapshot, and tries to change the snapshot itself.
func TestSnapshotIsFinal(t *testing.T) {
	changes := map[string]func(path string) error{
		"overwritten": func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte{0xff}, 200), 0o600) },
		"truncated":   func(path string) error { return os.Truncate(path, 0) },
		"removed":     os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+"2", []byte("other"), 0o600), os.Rename(path+"2", path))
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			path, raw := writeFile(t)
			f, err := Snapshot(path, DefaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			x, _ := f.Tensor("b")
			if got, err := f.Read(x); err != nil || !bytes.Equal(got, []byte{9, 10, 11}) || !bytes.Equal(f.Bytes(x), got) {
				t.Errorf("the snapshot changed: %v, %v", got, err)
			}
			if runtime.GOOS != "linux" {
				return
			}
			if _, err := f.Os().WriteAt([]byte{0}, x.Offset); !errors.Is(err, unix.EPERM) {
				t.Errorf("WriteAt on the snapshot: %v, want EPERM", err)
			}
			if err := f.Os().Truncate(1); !errors.Is(err, unix.EPERM) {
				t.Errorf("Truncate of the snapshot: %v, want EPERM", err)
			}
			if err := f.Os().Truncate(int64(len(raw)) * 2); !errors.Is(err, unix.EPERM) {
				t.Errorf("growing the snapshot: %v, want EPERM", err)
			}
		})
	}
}

// changingFile runs change once, just before the nth read.
type changingFile struct {
	*os.File
	reads  int
	change func()
}

func (c *changingFile) ReadAt(p []byte, offset int64) (int, error) {
	if c.reads--; c.reads == 0 {
		c.change()
	}
	return c.File.ReadAt(p, offset)
}

func TestSnapshotOfAChangingFile(t *testing.T) {
	changes := map[string]func(path string) error{
		"shrinks":  func(path string) error { return os.Truncate(path, 20) },
		"vanishes": func(path string) error { return os.Truncate(path, 0) },
		"grows":    func(path string) error { return os.Truncate(path, 1000) },
		"touched":  func(path string) error { return unix.Utimes(path, []unix.Timeval{{Sec: 1}, {Sec: 1}}) },
	}
	for name, change := range changes {
		for _, read := range []int{1, 2} { // of the frame, of the first chunk
			t.Run(name, func(t *testing.T) {
				path, _ := writeFile(t)
				f, err := os.Open(path)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				src := &changingFile{f, read, func() {
					if err := change(path); err != nil {
						t.Fatal(err)
					}
				}}
				_, err = snapshot(path, src, DefaultLimits)
				wantCode(t, err, fault.STChanged)
			})
		}
	}
}

func TestSnapshotLimits(t *testing.T) {
	path, raw := writeFile(t)
	limits := DefaultLimits
	limits.FileBytes = int64(len(raw)) - 1
	_, err := Snapshot(path, limits)
	wantCode(t, err, fault.STTooLarge)

	sparse := filepath.Join(t.TempDir(), "sparse.safetensors")
	if err := os.WriteFile(sparse, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(sparse, 1<<40); err != nil {
		t.Skipf("this file system has no files of 1 TiB: %v", err)
	}
	_, err = Snapshot(sparse, DefaultLimits)
	wantCode(t, err, fault.STTooLarge)
}
