// Package traces finds what a test left behind in and around its process: memory, goroutines, descriptors, processes and files.
package traces

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Traces are those of one moment.
type Traces struct {
	Resident    int64 // bytes of memory that the process holds
	goroutines  int
	descriptors int
	shared      map[string]bool // files in /dev/shm
}

// Take takes those of now.
func Take(t testing.TB) Traces {
	t.Helper()
	now := Traces{Resident: Resident(t), goroutines: runtime.NumGoroutine(), descriptors: len(list("/proc/self/fd"))}
	now.shared = map[string]bool{}
	for _, name := range list("/dev/shm") {
		now.shared[name] = true
	}
	return now
}

// Resident is how much memory this process holds when the collector has given back what it can; 0 where nobody tells.
func Resident(t testing.TB) int64 {
	t.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	return 0
}

// MustBeAll fails if there is more than there was: children, goroutines, descriptors, files in the temporary directory or of ours in shared
// memory. A killed process may take a moment to be reaped.
func (before Traces) MustBeAll(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left := before.beyond(t)
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("left behind: %s", strings.Join(left, "; "))
			return
		}
	}
}

func (before Traces) beyond(t testing.TB) (left []string) {
	now := Take(t)
	if now.goroutines > before.goroutines {
		left = append(left, fmt.Sprintf("%d goroutines, %d before", now.goroutines, before.goroutines))
	}
	if now.descriptors > before.descriptors {
		left = append(left, fmt.Sprintf("%d descriptors, %d before", now.descriptors, before.descriptors))
	}
	for _, child := range Children() {
		left = append(left, "process "+child)
	}
	for name := range now.shared {
		if !before.shared[name] && strings.Contains(name, "tenon") {
			left = append(left, "/dev/shm/"+name)
		}
	}
	for _, name := range list(os.TempDir()) {
		left = append(left, filepath.Join(os.TempDir(), name))
	}
	return left
}

// Children are the processes whose parent this one is.
func Children() (ids []string) {
	parent := strconv.Itoa(os.Getpid())
	for _, id := range list("/proc") {
		stat, err := os.ReadFile(filepath.Join("/proc", id, "stat"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // after the name, which may be anything
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == parent {
			ids = append(ids, id)
		}
	}
	return ids
}

// list are the names in a directory; none where there is no such directory.
func list(dir string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
