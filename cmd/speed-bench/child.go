package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// measured is what one run of a program took.
type measured struct {
	seconds float64 // until it ended and all it wrote was on disk
	ended   float64 // until it ended
	maxRSS  int64   // bytes: of its largest process, as time -v has it
	treeRSS int64   // bytes: the largest sum over all its processes seen at once; 0 where the system does not say
	output  []byte
}

// measure runs a program and then brings what it wrote into out to the disk, with fsync of every file and directory. The parent must be
// small itself: what a process had before it became the program counts as the program's largest size.
func measure(ctx context.Context, command *exec.Cmd, out string) (measured, error) {
	said := &tail{}
	command.Stderr = said
	var stdout tail
	command.Stdout = &stdout
	start := time.Now()
	if err := command.Start(); err != nil {
		return measured{}, err
	}
	watched := watchTree(command.Process.Pid)
	err := command.Wait()
	m := measured{ended: time.Since(start).Seconds(), output: stdout.text}
	m.treeRSS = watched()
	if usage, ok := command.ProcessState.SysUsage().(*syscall.Rusage); ok {
		m.maxRSS = int64(usage.Maxrss)
		if runtime.GOOS != "darwin" { // which counts bytes
			m.maxRSS <<= 10
		}
	}
	if err != nil {
		return m, fmt.Errorf("%s: %w%s", filepath.Base(command.Path), err, said)
	}
	if err := syncAll(out); err != nil {
		return m, err
	}
	m.seconds = time.Since(start).Seconds()
	return m, ctx.Err()
}

// syncAll brings a directory and all in it to the disk.
func syncAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// freeBytes is what can still be written to the file system of dir.
func freeBytes(dir string) (free int64, known bool) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
