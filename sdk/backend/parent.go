package backend

import (
	"os"
	"time"
)

// parentPoll is how often a backend looks whether its host is still there. The host also asks the kernel to kill its children with it, where the
// kernel can; this covers the other systems, and hosts that do not ask.
const parentPoll = 500 * time.Millisecond

// watchParent ends the process when its parent changes: an orphan would keep its device's memory for ever. It looks once more often than it needs
// to rather than hold a pipe, because a pipe inherited by a grandchild stays open.
func watchParent() {
	parent := os.Getppid()
	for range time.Tick(parentPoll) {
		if os.Getppid() != parent {
			os.Exit(1)
		}
	}
}
