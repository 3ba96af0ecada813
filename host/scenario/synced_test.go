package scenario

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Everything that a change writes is on the disk when it is answered, and each file when it gets its name: whatever a disk forgets that nobody told
// it to keep, a restart after a crash finds what was acknowledged. The calls of the real program are the evidence.
func TestNothingUnsynced(t *testing.T) {
	tracer, err := exec.LookPath("strace")
	if err != nil {
		t.Skipf("strace is not here: %v", err)
	}
	data, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := quick(t, data)
	calls := filepath.Join(t.TempDir(), "calls")
	trace := exec.Command(tracer, "-f", "-y", "-s", "4096", "-o", calls, "-p", strconv.Itoa(s.command.Process.Pid), "-e",
		"trace=openat,mkdirat,mkdir,rename,renameat,renameat2,unlink,unlinkat,rmdir,fsync,fdatasync,write,pwrite64,copy_file_range")
	said := &tail{seen: make(chan string, 1)}
	trace.Stderr = said
	if err := trace.Start(); err != nil {
		t.Skipf("strace does not run here: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- trace.Wait() }()
	for !strings.Contains(said.String(), "attached") {
		select {
		case <-ended:
			t.Skipf("strace may not look at a process here: %s", said)
		case <-time.After(20 * time.Millisecond):
		}
	}
	s.load("menu", first)
	generation := s.generations()["menu"]
	s.load("menu", second)
	if code, err := s.rollback("menu", generation); err != nil || code != http.StatusOK {
		t.Fatalf("%d %v", code, err)
	}
	if err := trace.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-ended
	text, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	d := newDiskModel(data)
	d.replay(text)
	for _, problem := range d.problems {
		t.Error(problem)
	}
	for _, path := range d.lost() {
		t.Errorf("a crash when the last change was answered would lose %s", path)
	}
	if d.synced < 5 || d.renamed < 2 || d.committed == 0 {
		t.Errorf("%d syncs, %d renames, %d commits were seen: the test looks in the wrong place", d.synced, d.renamed, d.committed)
	}
	t.Logf("%d syncs, %d renames, %d commits", d.synced, d.renamed, d.committed)
	s.stop()
}

// The model tells a program that forgets a sync from one that does not.
func TestDiskModel(t *testing.T) {
	file := `openat(AT_FDCWD</>, "/d/incoming/x/f", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 9</d/incoming/x/f>`
	whole := []string{`mkdirat(AT_FDCWD</>, "/d/incoming/x", 0700) = 0`, file, `write(9</d/incoming/x/f>, "text", 4) = 4`, `fsync(9</d/incoming/x/f>) = 0`,
		`fsync(8</d/incoming/x>) = 0`, `renameat(AT_FDCWD</>, "/d/incoming/x", AT_FDCWD</>, "/d/adapters/x") = 0`, `fsync(7</d/adapters>) = 0`,
		`pwrite64(5</d/registry.db-wal>, "row", 3, 0) = 3`, `fdatasync(5</d/registry.db-wal>) = 0`}
	for left, want := range map[int]int{-1: 0, 3: 1, 4: 1, 6: 2, 8: 1} { // a name that is not synced is missed at the commit, and at the end
		d := newDiskModel("/d")
		for i, call := range whole {
			switch {
			case i == left:
			case i == 2: // as two threads have it
				d.replay([]byte("1 " + strings.TrimSuffix(call, ") = 4") + " <unfinished ...>\n2 futex(0x1, FUTEX_WAKE) = 0\n1 <... write resumed>) = 4\n"))
			default:
				d.replay([]byte("1 " + call + "\n"))
			}
		}
		if got := append(d.problems, d.lost()...); len(got) != want {
			t.Errorf("without call %d: %q, want %d", left, got, want)
		}
	}
	d := newDiskModel("/d")
	for _, call := range []string{`mkdir("/d/incoming/x", 0700) = 0`, file, `unlinkat(AT_FDCWD</>, "/d/incoming/x/f", 0) = 0`,
		`unlinkat(AT_FDCWD</>, "/d/incoming/x", AT_REMOVEDIR) = 0`} {
		d.replay([]byte("1 " + call + "\n"))
	}
	if got := d.lost(); len(got) != 0 {
		t.Errorf("what was removed is lost: %q", got)
	}
}
