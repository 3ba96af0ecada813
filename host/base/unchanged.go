package base

import (
	"io/fs"
	"os"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// Unchanged fails with ST_CHANGED, or GG_CHANGED, when a file of weights has been written to since it was opened: when its size, or the time its
// content or, where the system tells, its inode last changed, are not what they were. The last of these no program can set back.
func (b *Base) Unchanged() error {
	if b.oneFile != nil {
		return unchanged(fault.GGChanged, b.oneFile.file.Name(), b.oneFile.file.Os(), b.oneFile.opened)
	}
	var errs []error
	for _, s := range b.Shards {
		errs = append(errs, unchanged(fault.STChanged, s.File.Name(), s.Os(), s.opened))
	}
	return join(errs...)
}

// unchanged holds an open file against what it was when it was opened.
func unchanged(code fault.Code, shown string, f *os.File, opened fs.FileInfo) error {
	now, err := f.Stat()
	if err != nil {
		return fault.New(fault.IORead, "its attributes cannot be read").In(shown).Wrap(reference.Bare(err)).Fix("check the disk")
	}
	_, before, _ := identityOf(opened)
	_, after, _ := identityOf(now)
	if now.Size() == opened.Size() && now.ModTime().Equal(opened.ModTime()) && after.Equal(before) {
		return nil
	}
	return fault.New(code, "the file was written to, moved or removed since it was opened").In(shown).
		Fix("merge again, on a base that nobody is writing to")
}
