//go:build linux

package worker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// kept makes an entry of the given size that was used at a time.
func kept(t *testing.T, root string, sum byte, size int, used time.Time) string {
	t.Helper()
	temp := filepath.Join(root, tempName+string('a'+rune(sum)))
	if err := errors.Join(os.Mkdir(temp, 0o700), os.WriteFile(filepath.Join(temp, "code"), make([]byte, size), 0o600),
		publish(root, temp, [32]byte{sum})); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, entryName([32]byte{sum}))
	if err := os.Chtimes(filepath.Join(dir, sumFile), used, used); err != nil {
		t.Fatal(err)
	}
	return dir
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestEviction: the entries unused for longest go, but not those in use, nor what is not the cache's.
func TestEviction(t *testing.T) {
	root, now := t.TempDir(), time.Now()
	if err := os.Chmod(root, 0o700); err != nil {
		t.Fatal(err)
	}
	oldest := kept(t, root, 1, 1000, now.Add(-3*time.Hour))
	older := kept(t, root, 2, 1000, now.Add(-2*time.Hour))
	old := kept(t, root, 3, 1000, now.Add(-time.Hour))
	newest := kept(t, root, 4, 1000, now)
	abandonedTemp, freshTemp, foreign := filepath.Join(root, tempName+"x"), filepath.Join(root, tempName+"y"), filepath.Join(root, "notes")
	if err := errors.Join(os.Mkdir(abandonedTemp, 0o700), os.Mkdir(freshTemp, 0o700), os.Mkdir(foreign, 0o700),
		os.Chtimes(abandonedTemp, now.Add(-2*abandoned), now.Add(-2*abandoned))); err != nil {
		t.Fatal(err)
	}
	held, ok := warm(root, [32]byte{1}) // and is used last from now on
	if !ok {
		t.Fatal("not found")
	}
	if err := os.Chtimes(filepath.Join(oldest, sumFile), now.Add(-3*time.Hour), now.Add(-3*time.Hour)); err != nil {
		t.Fatal(err)
	}
	evict(root, 3500)
	for path, want := range map[string]bool{oldest: true, older: false, old: true, newest: true, abandonedTemp: false, freshTemp: true,
		foreign: true} {
		if exists(path) != want {
			t.Errorf("%s is there: %t, want %t", filepath.Base(path), !want, want)
		}
	}
	held.release()
	evict(root, 1500)
	for path, want := range map[string]bool{oldest: false, old: false, newest: true} {
		if exists(path) != want {
			t.Errorf("%s is there: %t, want %t", filepath.Base(path), !want, want)
		}
	}
}

func TestRunnerBoundsItsCache(t *testing.T) {
	r := &Runner{CacheDir: filepath.Join(t.TempDir(), "cache"), CacheBytes: 1}
	for code := range int32(3) {
		if result, _ := r.Run(context.Background(), job(wasmtest.Returning(code+1), abi.Limits{})); result.Code != code+1 {
			t.Fatalf("%+v", result)
		}
	}
	if entries, err := os.ReadDir(r.CacheDir); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestCacheIsShared: several processes, here several Runners, use and clear one cache at once, and every run has its result.
func TestCacheIsShared(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	var group sync.WaitGroup
	for i := range 4 {
		r := &Runner{CacheDir: cache, CacheBytes: int64(1 + i%2<<20)} // every other one removes whatever it may
		group.Go(func() {
			for n := range 6 {
				code := int32(n%2 + 1)
				result, _ := r.Run(context.Background(), job(wasmtest.Returning(code), abi.Limits{}))
				if result.Status != sandbox.GuestError || result.Code != code {
					t.Errorf("%+v", result)
				}
			}
		})
	}
	group.Wait()
}

// TestEntriesOfOthersAreNotUsed: what somebody else could have written is compiled again.
func TestEntriesOfOthersAreNotUsed(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"file others can write":      func(dir string) error { return os.Chmod(filepath.Join(dir, "code"), 0o606) },
		"sum others can write":       func(dir string) error { return os.Chmod(filepath.Join(dir, sumFile), 0o666) },
		"directory others can write": func(dir string) error { return os.Chmod(dir, 0o777) },
		"entry is a link": func(dir string) error {
			return errors.Join(os.Rename(dir, dir+".moved"), os.Symlink(dir+".moved", dir))
		},
		"sum is a link": func(dir string) error { return replaceByLink(filepath.Join(dir, sumFile)) },
		"sum is a pipe": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, sumFile)), unix.Mkfifo(filepath.Join(dir, sumFile), 0o600))
		},
		"sum is long": func(dir string) error { return os.WriteFile(filepath.Join(dir, sumFile), make([]byte, 1000), 0o600) },
		"another's": func(dir string) error {
			if os.Getuid() != 0 {
				t.Skip("only root can give files away")
			}
			return os.Chown(filepath.Join(dir, "code"), 1, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir := kept(t, root, 1, 10, time.Now())
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			if _, ok := warm(root, [32]byte{1}); ok {
				t.Error("used")
			}
			if exists(dir) {
				t.Error("still there")
			}
		})
	}
}

// TestFullDisk runs with a cache on a file system that has room for next to nothing. It is also another file system than that of the binary.
func TestFullDisk(t *testing.T) {
	for size, room := range map[string]bool{"4k": false, "64m": true} {
		t.Run(size, func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
				t.Skipf("this user cannot mount: %v", err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			})
			j := job(everyKernel(), abi.Limits{})
			j.Manifest.Needs, j.Granted = everything, everything
			r := &Runner{CacheDir: dir}
			for range 2 {
				if result, _ := r.Run(context.Background(), j); result.Status != sandbox.OK {
					t.Fatalf("%s %q", result.Status, result.Error)
				}
			}
			if entries, err := os.ReadDir(dir); err != nil || (len(entries) > 0) != room {
				t.Errorf("%v, %v", entries, err)
			}
		})
	}
}
