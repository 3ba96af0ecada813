// Package durable writes files and directories that survive a crash: what has been published is there in full, or not at all.
package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tenon-ml/tenon/host/fault"
)

// Create writes a file that must not exist yet, with what fill writes, and does not return before the disk has it.
func Create(path string, fill func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return Fault(path, err)
	}
	defer f.Close()
	if err := fill(f); err != nil {
		return Fault(path, err)
	}
	if err := f.Sync(); err != nil {
		return Fault(path, err)
	}
	return f.Close()
}

// Publish makes the finished directory work, and all in it, appear as out in one step. Its files have been synced.
func Publish(work, out string) error {
	if err := os.Chmod(work, 0o755); err != nil {
		return Fault(work, err)
	}
	err := filepath.WalkDir(work, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return SyncDir(path)
	})
	if err != nil {
		return Fault(work, err)
	}
	// rename(2) replaces an empty directory somebody made meanwhile; it never replaces one that holds something.
	err = os.Rename(work, out)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) { // the first is ENOTEMPTY too
		return fault.New(fault.MergeExists, "somebody made the output directory meanwhile").In(out).Wrap(err).Fix("give a new name; nothing is ever written over")
	}
	if err != nil {
		return Fault(out, err)
	}
	return SyncDir(filepath.Dir(out))
}

// SyncDir makes the disk know which files a directory holds.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return Fault(dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return Fault(dir, err)
	}
	return nil
}

// Fault says that something could not be written, and tells a full disk apart. What is a fault already stays as it is.
func Fault(path string, err error) error {
	if len(fault.All(err)) > 0 {
		return err
	}
	code := fault.IOWrite
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		code = fault.IOSpace
	}
	return fault.New(code, "it cannot be written").In(path).Wrap(err).Fix("check its permissions, and the space on the disk")
}
