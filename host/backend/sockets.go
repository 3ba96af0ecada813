package backend

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// socketDirPattern names the directories of sockets.
const socketDirPattern = "tenon-backend-*"

// maxSocketParent is how long the path of socketParent can be: the kernel takes 107 bytes for a socket, and socketDirPattern and the two
// names that go-plugin adds need up to 67 of them.
const maxSocketParent = 40

// socketParent is the system's directory for temporary files, or /tmp where TMPDIR is too long for a socket.
func socketParent() string {
	if dir := os.TempDir(); len(dir) <= maxSocketParent {
		return dir
	}
	return "/tmp"
}

// socketDir is the private directory one process's socket is in. A lock tells the next host whether it is in use: a host that is killed leaves its
// directories behind, and the kernel lets go of their locks.
type socketDir struct {
	path string
	lock *os.File
}

// newSocketDir makes a directory, and removes those that killed hosts of this user left. Another host that does the same may take a directory that is
// not locked yet for one of them, so a lost one is made again.
func newSocketDir() (*socketDir, error) {
	removeStale()
	for {
		path, err := os.MkdirTemp(socketParent(), socketDirPattern)
		if err != nil {
			return nil, err
		}
		if lock, err := lockDir(path); err == nil {
			return &socketDir{path: path, lock: lock}, nil
		} else if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, fs.ErrNotExist) {
			_ = os.RemoveAll(path)
			return nil, err
		}
	}
}

func (d *socketDir) remove() {
	_ = os.RemoveAll(d.path)
	_ = d.lock.Close()
}

// lockDir locks a directory that nobody else holds. It fails with fs.ErrNotExist where the directory was removed before it was locked.
func lockDir(path string) (*os.File, error) {
	dir, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		var locked, now os.FileInfo
		if locked, err = dir.Stat(); err == nil {
			if now, err = os.Lstat(path); err == nil && !os.SameFile(locked, now) {
				err = fs.ErrNotExist
			}
		}
	}
	if err != nil {
		_ = dir.Close()
		return nil, err
	}
	return dir, nil
}

// removeStale removes directories that nobody holds.
func removeStale() {
	found, _ := filepath.Glob(filepath.Join(socketParent(), socketDirPattern))
	for _, path := range found {
		var info unix.Stat_t
		if unix.Lstat(path, &info) != nil || int(info.Uid) != os.Getuid() {
			continue
		}
		if lock, err := lockDir(path); err == nil {
			_ = os.RemoveAll(path)
			_ = lock.Close()
		}
	}
}
