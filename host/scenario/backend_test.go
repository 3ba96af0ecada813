package scenario

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// replaced waits until the server says that its backend was started anew, and answers.
func (s *server) replaced(restarts int64) {
	s.Helper()
	for range 1200 {
		if _, backend := s.adapters(); backend.Restarts >= restarts && backend.Ready {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.Fatalf("the backend does not come back:\n%s", s.log)
}

// The backend is stopped with a signal: it exists and answers nothing. The host notices, kills it, and its successor means the same.
func TestBackendFrozen(t *testing.T) {
	t.Parallel()
	s := quick(t, t.TempDir())
	s.load("menu", first)
	generation, text := s.text("menu", prompts[0])
	pid := s.backend()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if live := s.generations()["menu"]; live != generation {
		t.Errorf("lists go on without the backend: %q, want %q", live, generation)
	}
	s.replaced(1)
	if by, again := s.text("menu", prompts[0]); by != generation || again != text {
		t.Errorf("its successor answers as %s: %q", by, again)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the frozen process is still there: %v", err)
	}
	s.stop()
}

// The host is killed: its backend ends with it, a frozen one too, and the next host removes what it left among the temporary files.
func TestBackendEndsWithItsHost(t *testing.T) {
	t.Parallel()
	temporary, err := os.MkdirTemp("/tmp", "t") // short: sockets are in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(temporary) })
	data, environment := t.TempDir(), []string{"TMPDIR=" + temporary}
	left := func() (names []string) {
		entries, err := os.ReadDir(temporary)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	for _, frozen := range []bool{false, true} {
		s := start(t, data, environment, "--policy", policyFile(t, nothingApplied))
		if s == nil {
			t.Fatal("the server did not start")
		}
		s.ready()
		s.load("menu", first)
		pid := s.backend()
		if frozen {
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		killed := time.Now()
		s.kill()
		for alive(pid) {
			time.Sleep(time.Millisecond) // the test's own deadline ends it
		}
		t.Logf("frozen %t: the backend was gone %v after its host was killed", frozen, time.Since(killed))
		if len(left()) == 0 {
			t.Error("nothing was left: the test looks in the wrong place")
		}
	}
	s := start(t, data, environment, "--policy", policyFile(t, nothingApplied))
	if s == nil {
		t.Fatal("the server did not start again")
	}
	s.ready()
	s.text("menu", prompts[0])
	sockets, _ := filepath.Glob(filepath.Join(temporary, "tenon-backend-*"))
	if len(sockets) != 1 {
		t.Errorf("beside the sockets of the living: %v", sockets)
	}
	s.stop()
	if names := left(); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

// alive reports whether a process exists and is no zombie: nobody may be there to wait for an orphan.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// The backend dies of a merge, each time: the merge is tried again a few times and then given up by name, and what was live is live.
func TestBackendDiesOfAMerge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mortal := filepath.Join(dir, mortalName)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mortal, program, 0o700); err != nil {
		t.Fatal(err)
	}
	s := quick(t, t.TempDir(), "--backend", mortal)
	s.load("menu", first)
	generation, text := s.text("menu", prompts[0])
	deaths := filepath.Join(dir, deathsName)
	if err := os.WriteFile(deaths, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, body, err := s.tryLoad("menu", second)
	if err != nil || code != http.StatusServiceUnavailable || !strings.Contains(string(body), "IO_BACKEND") {
		t.Errorf("%d %s %v", code, body, err)
	}
	died, err := os.ReadFile(deaths)
	if err != nil || len(died) < 2 || len(died) > 4 {
		t.Errorf("it died %d times: %v", len(died), err)
	}
	s.replaced(int64(len(died)))
	if by, again := s.text("menu", prompts[0]); by != generation || again != text {
		t.Errorf("what was live answers as %s: %q", by, again)
	}
	if err := os.Remove(deaths); err != nil {
		t.Fatal(err)
	}
	s.load("menu", second)
	s.stop()
}
