package base

import (
	"fmt"
	"io/fs"
	"syscall"
	"time"
)

// identityOf tells which file this is, and when its inode last changed, which no program can set.
func identityOf(info fs.FileInfo) (identity string, changed time.Time, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", time.Time{}, false
	}
	return fmt.Sprintf("device=%d inode=%d", stat.Dev, stat.Ino), time.Unix(stat.Ctim.Unix()), true
}
