package registry

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

// temporaryPrefix begins the names of the directories of Temporary.
const temporaryPrefix = "tenon-registry-"

// takeLock makes this process the only one on a data directory, for as long as the file stays open. The kernel gives the lock back when the
// process ends, however it ends, so a file that was left behind locks nobody out.
func takeLock(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, dirFault(dir, err)
	}
	taken, err := durable.Lock(f)
	if err == nil && !taken {
		err = fault.New(fault.RegLocked, "%s uses the data directory", holder(f)).In(dir).
			Fix("stop that process first, or name another --data directory: two hosts never share one")
	} else if err != nil {
		err = dirFault(dir, err)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	// The number is for people. A disk with no space for it does not keep a host from starting.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

// holder names the process that wrote itself into the lock.
func holder(f *os.File) string {
	text := make([]byte, 32)
	n, _ := f.ReadAt(text, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil || pid <= 0 {
		return "another process"
	}
	return "process " + strconv.Itoa(pid)
}

// clean removes what an interrupted host left in incoming, and manifests without their adapter, and counts them.
func clean(dir string) (int, error) {
	removed := 0
	remove := func(path string) error {
		removed++
		if err := os.RemoveAll(path); err != nil {
			return dirFault(dir, err)
		}
		return nil
	}
	unfinished, err := os.ReadDir(filepath.Join(dir, incomingName))
	if err != nil {
		return 0, dirFault(dir, err)
	}
	for _, entry := range unfinished {
		if err := remove(filepath.Join(dir, incomingName, entry.Name())); err != nil {
			return 0, err
		}
	}
	kept, err := os.ReadDir(filepath.Join(dir, adaptersName))
	if err != nil {
		return 0, dirFault(dir, err)
	}
	for _, entry := range kept {
		path := filepath.Join(dir, adaptersName, entry.Name())
		if adapter, manifest := strings.CutSuffix(path, manifestSuffix); manifest {
			if _, err := os.Lstat(adapter); errors.Is(err, os.ErrNotExist) {
				if err := remove(path); err != nil {
					return 0, err
				}
			}
		}
	}
	return removed, nil
}

// removeAbandoned removes the directories of temporary registries whose process was killed. One that is younger than an hour may be about to
// be locked, and stays.
func removeAbandoned(parent string, now time.Time) {
	dirs, err := filepath.Glob(filepath.Join(parent, temporaryPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || now.Sub(info.ModTime()) < time.Hour {
			continue
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Getuid() {
			continue
		}
		if lock, err := takeLock(dir); err == nil {
			_ = os.RemoveAll(dir)
			lock.Close()
		}
	}
}
