package merge

import (
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/tenon-ml/tenon/host/fault"
)

// checkRoom refuses a merge that the disk is too small for, before any weight is written.
func (w *writing) checkRoom() error {
	need, err := w.need()
	if err != nil {
		return err
	}
	free, err := freeBytes(w.work.dir)
	if err != nil {
		return fault.New(fault.IORead, "the free space of the disk cannot be asked for").In(w.work.dir).Wrap(err)
	}
	return refuseRoom(filepath.Dir(w.work.dir), need, free)
}

func refuseRoom(dir string, need, free int64) error {
	if need <= free {
		return nil
	}
	return fault.New(fault.IOSpace, "the merged checkpoint needs %d more bytes and %d are free", need, free).In(dir).
		Fix("free some space, or choose another disk")
}

// need is how many bytes are still to be written. What the work directory holds already counts as there, and so does what shares its
// blocks with the base and stays as it is.
func (w *writing) need() (int64, error) {
	need := int64(0)
	for i, s := range w.layout.shards {
		if w.cloned[i] {
			for _, c := range s.pieces {
				if c.item != nil {
					need += c.to.Length
				}
			}
			continue
		}
		info, err := w.files[i].Stat()
		if err != nil {
			return 0, fault.New(fault.IORead, "it cannot be looked at").In(w.files[i].Name()).Wrap(err)
		}
		need += max(0, s.size-allocated(info))
	}
	for _, f := range w.plan.Base.Files {
		need += f.Size
	}
	return need, nil
}

// allocated is how many bytes the disk has given to a file. A file of holes has few, however long it is.
func allocated(info fs.FileInfo) int64 {
	const unit = 512 // of st_blocks, on every system
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return min(info.Size(), int64(stat.Blocks)*unit)
	}
	return 0
}

// freeBytes is what a user without privileges can still write.
func freeBytes(dir string) (int64, error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return 0, err
	}
	return int64(disk.Bavail) * int64(disk.Bsize), nil
}
