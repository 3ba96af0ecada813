package base

import (
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A remembered digest is only good for the very file it was taken of, unchanged.
func TestMemory(t *testing.T) {
	m := newMemory(t.TempDir())
	path := filepath.Join(t.TempDir(), "weights")
	write := func(size int64) {
		t.Helper()
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256([]byte("weights"))

	write(rememberBytes - 1)
	if _, _, ok := m.entry(path, old(t, path)); ok {
		t.Error("a small file would be remembered")
	}
	write(rememberBytes)
	if _, _, ok := m.entry(path, stat(t, path)); ok {
		t.Error("a file that was just written would be remembered")
	}
	before := old(t, path)
	m.remember(path, before, sum)
	if got, ok := m.recall(path, before); !ok || got != sum {
		t.Error("an unchanged file is not recalled")
	}
	if _, ok := m.recall(filepath.Join(t.TempDir(), "weights"), before); ok {
		t.Error("another path is recalled")
	}
	tests := []struct {
		name   string
		change func(*oldInfo)
	}{
		{"modified", func(i *oldInfo) { i.modified = i.modified.Add(-time.Second) }},
		{"changed, with the time of modification set back", func(i *oldInfo) { i.changed = i.changed.Add(time.Nanosecond) }},
		{"grown", func(i *oldInfo) { i.size++ }},
		{"replaced by another file", func(i *oldInfo) { i.inode++ }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			after := before
			test.change(&after)
			if _, ok := m.recall(path, after); ok {
				t.Error("it is recalled")
			}
		})
	}
	entry, _, _ := m.entry(path, before)
	if err := os.WriteFile(entry, []byte("tenon.base-digest/v1\nnonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.recall(path, before); ok {
		t.Error("a damaged entry is believed")
	}
}

// oldInfo is the information of a file as if it had not been touched for an hour.
type oldInfo struct {
	fs.FileInfo
	size              int64
	inode             uint64
	modified, changed time.Time
}

func (i oldInfo) Size() int64        { return i.size }
func (i oldInfo) ModTime() time.Time { return i.modified }
func (i oldInfo) Sys() any {
	return &syscall.Stat_t{Ino: i.inode, Ctim: syscall.NsecToTimespec(i.changed.UnixNano())}
}

func stat(t *testing.T, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func old(t *testing.T, path string) oldInfo {
	t.Helper()
	info := stat(t, path)
	hourAgo := time.Now().Add(-time.Hour)
	return oldInfo{info, info.Size(), info.Sys().(*syscall.Stat_t).Ino, hourAgo, hourAgo}
}
