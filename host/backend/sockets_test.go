package backend

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestSocketDirs(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	stale := filepath.Join(os.TempDir(), "tenon-backend-1")
	if err := os.MkdirAll(filepath.Join(stale, "plugin-dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := newSocketDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the stale directory: %v", err)
	}
	second, err := newSocketDir()
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(first.path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a directory in use: %v, %v", info, err)
	}
	first.remove()
	second.remove()
	if left, _ := os.ReadDir(os.TempDir()); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := lockDir(first.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lock of a directory that is gone: %v", err)
	}
}
