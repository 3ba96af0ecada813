package worker

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	cacheBytes = 1 << 30 // that a cache holds if nobody says otherwise; a built-in guest has 12 MiB
	abandoned  = time.Hour
)

// evict removes the entries that were not used for longest until the cache holds at most limit bytes, and what a parent that was killed
// left behind. Entries that a run anywhere loads at this moment stay, and so does what is not the cache's own.
func evict(root string, limit int64) {
	found, err := os.ReadDir(root)
	if err != nil {
		return
	}
	type kept struct {
		dir  string
		size int64
		used time.Time
	}
	var all []kept
	var total int64
	for _, d := range found {
		dir := filepath.Join(root, d.Name())
		info, err := d.Info()
		switch {
		case err != nil || !d.IsDir():
		case strings.HasPrefix(d.Name(), tempName):
			if time.Since(info.ModTime()) > abandoned {
				_ = os.RemoveAll(dir)
			}
		default:
			if sum, err := os.Lstat(filepath.Join(dir, sumFile)); err == nil {
				k := kept{dir, sizeOf(dir), sum.ModTime()}
				all, total = append(all, k), total+k.size
			}
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return a.used.Compare(b.used) })
	for _, k := range all {
		if total <= limit {
			return
		}
		if remove(root, k.dir) {
			total -= k.size
		}
	}
}

// sizeOf adds up the files beneath dir. What disappears meanwhile is nothing.
func sizeOf(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}

// remove takes an entry that nobody loads out of the cache: in one step first, so that nobody finds half of it.
func remove(root, dir string) bool {
	lock, err := os.OpenFile(filepath.Join(dir, sumFile), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer lock.Close()
	if !claim(lock) {
		return false
	}
	grave, err := os.MkdirTemp(root, tempName)
	if err != nil {
		return false
	}
	defer os.RemoveAll(grave)
	return os.Rename(dir, filepath.Join(grave, "entry")) == nil
}
