package merge

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

// ggufWork is the file that a merge writes to, beside its output and locked: nobody else merges to the same place, and what a merge that was killed
// left there is taken over.
type ggufWork struct {
	path string
	file *os.File
	done bool // published
}

// openGGUFWork makes the file, size bytes long, where the disk has room for it.
func openGGUFWork(out string, size int64) (*ggufWork, error) {
	dir, name := filepath.Split(out)
	path := filepath.Join(dir, "."+name+".tenon-partial")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return nil, ggufFault(path, err)
	}
	if err := lockOwn(path, file); err != nil {
		file.Close()
		return nil, err
	}
	w := &ggufWork{path: path, file: file}
	if err := w.prepare(dir, size); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// lockOwn locks a file and makes sure that it is the one of that name, and has no other.
func lockOwn(path string, file *os.File) error {
	locked, err := durable.Lock(file)
	if err != nil {
		return ggufFault(path, err)
	}
	if !locked {
		return fault.New(fault.MergeExists, "another merge is writing to the same place").In(path).Fix("wait for it, or give another name")
	}
	info, err := file.Stat()
	if err != nil {
		return ggufFault(path, err)
	}
	named, err := os.Lstat(path)
	stat, ok := info.Sys().(*syscall.Stat_t)
	if err != nil || !os.SameFile(info, named) || !info.Mode().IsRegular() || !ok || stat.Nlink != 1 {
		return fault.New(fault.IOWrite, "it is not a file of this merge alone").In(path).Fix("remove it")
	}
	return nil
}

// prepare makes the file empty and then long.
func (w *ggufWork) prepare(dir string, size int64) error {
	if err := w.file.Truncate(0); err != nil {
		return ggufFault(w.path, err)
	}
	free, err := freeBytes(dir)
	if err != nil {
		return fault.New(fault.IORead, "the free space of the disk cannot be asked for").In(dir).Wrap(err).Fix("check the disk")
	}
	if err := refuseRoom(dir, size, free); err != nil {
		return err
	}
	if err := w.file.Truncate(size); err != nil {
		return ggufFault(w.path, err)
	}
	return nil
}

// publish syncs the file and gives it its name, the receipt's first: a receipt without its file is no merge.
func (w *ggufWork) publish(out string, receipt []byte) error {
	if err := w.file.Sync(); err != nil {
		return ggufFault(w.path, err)
	}
	if err := errors.Join(refuseExistingFile(out), renameio.WriteFile(GGUFReceiptPath(out), receipt, 0o644)); err != nil {
		return ggufFault(GGUFReceiptPath(out), err)
	}
	if err := linkNew(w.path, out); err != nil {
		return err
	}
	w.done = true
	if err := os.Remove(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ggufFault(w.path, err)
	}
	return durable.SyncDir(filepath.Dir(out))
}

// linkNew gives a file a second name that nothing has yet. Where the file system has no second names the first one is changed.
func linkNew(path, out string) error {
	err := os.Link(path, out)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.MergeExists, "somebody made the output file meanwhile").In(out).Fix("give a new name; nothing is ever written over")
	}
	if err != nil {
		if err = refuseExisting(out); err == nil {
			err = os.Rename(path, out)
		}
	}
	if err != nil {
		return ggufFault(out, err)
	}
	return nil
}

// close closes the file, and removes one that was not published.
func (w *ggufWork) close() {
	if !w.done {
		os.Remove(w.path)
	}
	w.file.Close()
}

// refuseForeign refuses to replace what is not a receipt.
func refuseForeign(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		_, err = ParseReceipt(path, text)
	}
	if err != nil {
		return fault.New(fault.MergeExists, "there is something in the receipt's place").In(path).Wrap(err).Fix("move it away, or give another name")
	}
	return nil
}
