package worker

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLimitsOnlyGoDown: a machine's own limit below ours stays, and is as good as ours.
func TestLimitsOnlyGoDown(t *testing.T) {
	const own = 4096 // on core dumps, which no test needs
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: own, Max: own}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ ask, want uint64 }{{2 * own, own}, {own / 2, own / 2}, {own, own / 2}, {0, 0}} {
		var now unix.Rlimit
		if err := limit(unix.RLIMIT_CORE, c.ask); err != nil {
			t.Errorf("asked for %d: %v", c.ask, err)
		} else if err := unix.Getrlimit(unix.RLIMIT_CORE, &now); err != nil || now.Cur != c.want || now.Max != c.want {
			t.Errorf("asked for %d: %+v, %v, want %d", c.ask, now, err, c.want)
		}
	}
}

// TestSpareIsConfinedBeforeItsJob looks at a worker from outside while it waits.
func TestSpareIsConfinedBeforeItsJob(t *testing.T) {
	r := &Runner{Spares: 1}
	defer r.Close()
	r.Warm()
	pid := waiting(t, r, 1)[0].process.cmd.Process.Pid
	var status string
	for range 1000 {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		if status = string(text); strings.Contains(status, "\nSeccomp:\t2\n") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	lines := []string{"Seccomp:\t2", "NoNewPrivs:\t1"}
	if onAllThreads(unix.SYS_GETPID, 0, 0) == nil { // a build with cgo cannot do anything on all threads
		lines = append(lines, "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000")
	}
	for _, line := range lines {
		if !strings.Contains(status, "\n"+line+"\n") {
			t.Errorf("no %q in\n%s", line, status)
		}
	}
	if info, err := os.Stat(fmt.Sprintf("/proc/%d/mem", pid)); err == nil && os.Getuid() != 0 && ownedByUs(info) {
		t.Error("others of the same user can look into it") // the files beneath /proc of such a process are root's
	}
}
