package worker

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
	"github.com/tenon-ml/tenon/wasm/sandbox/wasmtest"
)

// compiledFile is the one file of compiled code beneath an entry.
func compiledFile(t *testing.T, entry string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(entry, "wazero-*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("compiled files %v, %v", files, err)
	}
	return files[0]
}

func TestCacheIsHealed(t *testing.T) {
	r := &Runner{CacheDir: filepath.Join(t.TempDir(), "cache")}
	j := job(wasmtest.Returning(7), abi.Limits{})
	run := func(t *testing.T) {
		t.Helper()
		if result, _ := r.Run(context.Background(), j); result.Status != sandbox.GuestError || result.Code != 7 {
			t.Fatalf("%+v", result)
		}
		entries, err := os.ReadDir(r.CacheDir)
		if err != nil || len(entries) != 1 || entries[0].Name() != entryName(j.SHA256) {
			t.Fatalf("the cache holds %v, %v", entries, err)
		}
		e, ok := warm(r.CacheDir, j.SHA256)
		if !ok {
			t.Fatal("the entry is not whole")
		}
		e.release()
	}
	run(t)
	entry := filepath.Join(r.CacheDir, entryName(j.SHA256))
	for name, spoil := range map[string]func(file string) error{
		"nothing": func(string) error { return nil },
		"torn":    func(file string) error { return os.Truncate(file, 10) },
		"garbage": func(file string) error { return os.WriteFile(file, []byte("garbage"), 0o600) },
		"garbage with the right sum": func(file string) error {
			if err := os.WriteFile(file, []byte(strings.Repeat("garbage", 100)), 0o600); err != nil {
				return err
			}
			sum, err := hashEntry(entry)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(entry, sumFile), []byte(sum), 0o600)
		},
		"no sum":      func(string) error { return os.Remove(filepath.Join(entry, sumFile)) },
		"no code":     func(file string) error { return os.Remove(file) },
		"a link":      func(file string) error { return replaceByLink(file) },
		"a directory": func(string) error { return os.MkdirAll(filepath.Join(entry, "more", "and more"), 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			if err := spoil(compiledFile(t, entry)); err != nil {
				t.Fatal(err)
			}
			run(t)
		})
	}
}

func replaceByLink(file string) error {
	moved := file + ".moved"
	if err := os.Rename(file, moved); err != nil {
		return err
	}
	return os.Symlink(moved, file)
}

func TestCacheOfOthersIsNotUsed(t *testing.T) {
	open := t.TempDir()
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"relative": "cache", "open to others": open, "a link": link} {
		t.Run(name, func(t *testing.T) {
			if CheckCache(dir) == nil {
				t.Error("accepted")
			}
			if result, _ := (&Runner{CacheDir: dir}).Run(context.Background(), job(wasmtest.Quiet(), abi.Limits{})); result.Status != sandbox.OK {
				t.Errorf("%+v", result)
			}
			if entries, _ := os.ReadDir(dir); len(entries) > 0 {
				t.Errorf("used: %v", entries)
			}
		})
	}
}

// TestEntryThatNoCompilerWrites: what a captured compiler leaves behind cannot hold up or fill the parent, which hashes it before it
// publishes.
func TestEntryThatNoCompilerWrites(t *testing.T) {
	write := func(name string, size int64) error {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			return err
		}
		return os.Truncate(name, size)
	}
	for name, spoil := range map[string]func(dir string) error{
		"a file too large": func(dir string) error { return write(filepath.Join(dir, "code"), maxCacheFile+1) },
		"files too large together": func(dir string) error {
			return errors.Join(write(filepath.Join(dir, "a"), maxCacheFile/2+1), write(filepath.Join(dir, "b"), maxCacheFile/2+1))
		},
		"too many files": func(dir string) error {
			for i := range maxEntryFiles + 1 {
				if err := write(filepath.Join(dir, strconv.Itoa(i)), 0); err != nil {
					return err
				}
			}
			return nil
		},
		"a pipe": func(dir string) error { return exec.Command("mkfifo", filepath.Join(dir, "pipe")).Run() },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			temp := filepath.Join(root, "tmp-1")
			if err := errors.Join(os.Mkdir(temp, 0o700), spoil(temp)); err != nil {
				t.Fatal(err)
			}
			if err := publish(root, temp, [32]byte{}); err == nil {
				t.Error("published")
			}
			if _, err := os.Lstat(filepath.Join(root, entryName([32]byte{}))); err == nil {
				t.Error("the entry is there")
			}
		})
	}
}

// TestFailedCompilationLeavesNothing: neither a bomb nor an invalid module leaves files behind.
func TestFailedCompilationLeavesNothing(t *testing.T) {
	r := &Runner{CacheDir: filepath.Join(t.TempDir(), "cache")}
	for _, m := range []wasmtest.Module{wasmtest.Guest(nil, wasmtest.Float(1)...), wasmtest.Nesting(1_900, 40)} {
		if result, _ := r.Run(context.Background(), job(m, abi.Limits{CompileMillis: 200})); result.Status == sandbox.OK {
			t.Errorf("%+v", result)
		}
	}
	if entries, err := os.ReadDir(r.CacheDir); err != nil || len(entries) > 0 {
		t.Errorf("the cache holds %v, %v", entries, err)
	}
}
