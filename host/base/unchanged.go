package base

import (
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/reference"
)

// Unchanged fails with ST_CHANGED when a shard's file has been written to since it was opened: when its size, or the time its content or,
// where the system tells, its inode last changed, are not what they were. The second of these no program can set back.
func (b *Base) Unchanged() error {
	var faults fault.List
	for _, s := range b.Shards {
		now, err := s.Os().Stat()
		if err != nil {
			return fault.New(fault.IORead, "its attributes cannot be read").In(s.File.Name()).Wrap(reference.Bare(err)).Fix("check the disk")
		}
		_, before, _ := identityOf(s.opened)
		_, after, _ := identityOf(now)
		if now.Size() != s.opened.Size() || !now.ModTime().Equal(s.opened.ModTime()) || !after.Equal(before) {
			faults.Add(fault.New(fault.STChanged, "the file was written to, moved or removed since it was opened").In(s.File.Name()).
				Fix("merge again, on a base that nobody is writing to"))
		}
	}
	return faults.Err()
}
