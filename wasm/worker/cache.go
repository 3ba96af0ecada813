package worker

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// The cache holds compiled code, which is executed: whoever writes there runs native code in the next worker. So it is for one user
// only, every module has its own directory, a worker may write into a fresh one only, before any guest code has run, and what was
// written is hashed by the parent and held against that hash each time. The hash is against torn and rotten files, not against the user.
const (
	sumFile  = "SHA256" // of every file of the entry, in the order of their names
	tempName = "tmp-"

	maxCacheFile  = 512 << 20 // bytes of an entry, and of one file
	maxEntryFiles = 16        // files and directories of an entry; the engine makes two
)

// CheckCache makes dir if it is missing and reports why it cannot hold compiled modules. A Runner whose cache fails this check compiles
// every time.
func CheckCache(dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("cache of compiled modules %q: the path must be absolute", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cache of compiled modules: %w", err)
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("cache of compiled modules: %w", err)
	case !info.IsDir():
		return fmt.Errorf("cache of compiled modules %s: not a directory", dir)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("cache of compiled modules %s: others can enter it (mode %04o): chmod 700 it", dir, info.Mode().Perm())
	case !ownedByUs(info):
		return fmt.Errorf("cache of compiled modules %s: it belongs to another user", dir)
	}
	return nil
}

// entryName is the directory of one module's compiled code.
func entryName(sum [32]byte) string {
	return hex.EncodeToString(sum[:]) + "-" + sandbox.Engine + "-" + runtime.GOOS + "-" + runtime.GOARCH
}

// entry is a module's compiled code in the cache, which stays there until it is released.
type entry struct {
	dir  string
	lock *os.File
}

func (e entry) release() { _ = e.lock.Close() }

// known reports whether the cache has an entry of a module, which may not be whole.
func known(root string, sum [32]byte) bool {
	_, err := os.Lstat(filepath.Join(root, entryName(sum)))
	return !errors.Is(err, fs.ErrNotExist)
}

// warm finds a module's compiled code, if it is there and whole, and keeps others from making room with it. An entry that is not whole is
// removed.
func warm(root string, sum [32]byte) (e entry, ok bool) {
	e.dir = filepath.Join(root, entryName(sum))
	if !known(root, sum) {
		return entry{}, false
	}
	lock, err := os.OpenFile(filepath.Join(e.dir, sumFile), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		e.lock = lock
		held := hold(lock)
		if held && whole(e) {
			now := time.Now()
			_ = os.Chtimes(lock.Name(), now, now) // used last
			return e, true
		}
		_ = lock.Close()
		if !held { // somebody makes room with it
			return entry{}, false
		}
	}
	_ = os.RemoveAll(e.dir)
	return entry{}, false
}

// whole reports whether an entry has the sum that its files have.
func whole(e entry) bool {
	want := make([]byte, 2*sha256.Size+1)
	n, err := e.lock.ReadAt(want, 0)
	if !errors.Is(err, io.EOF) {
		return false
	}
	have, err := hashEntry(e.dir)
	return err == nil && string(want[:n]) == have
}

// publish makes what a worker compiled into temp the module's entry. When another process was faster, its entry stays.
func publish(root, temp string, sum [32]byte) error {
	have, err := hashEntry(temp)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(temp, sumFile), []byte(have), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(root, entryName(sum)))
}

// hashEntry hashes names and contents of the files of an entry. Anything that is neither a regular file nor a directory is an error, and so
// is more than the engine writes: the worker that wrote it has read a foreign module.
func hashEntry(dir string) (string, error) {
	h := sha256.New()
	files, left := 0, int64(maxCacheFile)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if files++; err == nil && files > maxEntryFiles {
			return fmt.Errorf("%s has more than %d files", dir, maxEntryFiles)
		}
		switch {
		case err != nil:
			return err
		case !d.IsDir() && !d.Type().IsRegular():
			return fmt.Errorf("%s is not a regular file", path)
		}
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case info.Mode().Perm()&0o022 != 0 || !ownedByUs(info):
			return fmt.Errorf("%s could be another's: mode %04o", path, info.Mode().Perm())
		case d.IsDir():
			return nil
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == sumFile {
			return err
		}
		size, err := hashFile(h, path, filepath.ToSlash(name), left)
		left -= size
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// hashFile hashes the name and the content of a regular file of at most limit bytes, and returns how many it has.
func hashFile(h hash.Hash, path, name string, limit int64) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // should it be a pipe by now, nobody waits for its other end
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return 0, err
	case !info.Mode().IsRegular():
		return 0, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > limit:
		return 0, fmt.Errorf("%s has %d bytes, the entry may have %d more", path, info.Size(), limit)
	}
	fmt.Fprintf(h, "%d %s %d\n", len(name), name, info.Size())
	size, err = io.CopyN(h, f, info.Size()) // a file that shrinks is an error
	return size, err
}
