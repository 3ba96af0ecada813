package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// served is tenon serve in a process of its own.
type served struct {
	t     *testing.T
	cmd   *exec.Cmd
	url   string
	mu    sync.Mutex
	lines []string // of stderr
	ended chan error
}

// serveProcess starts tenon serve and waits until it says where it listens, or ends.
func serveProcess(t *testing.T, args ...string) *served {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, ended: make(chan error, 1), cmd: exec.Command(executable)}
	s.cmd.Args = append([]string{"tenon", "serve", "--base", "../../examples/restaurant/base", "--listen", "127.0.0.1:0"}, args...)
	s.cmd.Env = append(os.Environ(), "TENON_CACHE_DIR="+testCache(t))
	stderr, err := s.cmd.StderrPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	up := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			line := lines.Text()
			s.mu.Lock()
			s.lines = append(s.lines, line)
			s.mu.Unlock()
			if _, url, ok := strings.Cut(line, " on http"); ok && strings.HasPrefix(line, "serving ") {
				s.url = "http" + strings.TrimSuffix(url, ", Ctrl-C ends it")
				close(up)
			}
		}
		s.ended <- s.cmd.Wait()
	}()
	select {
	case <-up:
	case err := <-s.ended:
		s.ended <- err
	case <-time.After(2 * time.Minute):
		t.Fatalf("it does not start: %s", s.said())
	}
	return s
}

// testCache is a cache that the servers of this process's tests share.
var testCache = func() func(*testing.T) string {
	var once sync.Once
	var dir string
	return func(t *testing.T) string {
		once.Do(func() {
			var err error
			if dir, err = os.MkdirTemp("", "tenon-serve-test-"); err != nil {
				t.Fatal(err)
			}
		})
		return dir
	}
}()

func (s *served) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// models is what /v1/models lists, with generations.
func (s *served) models() map[string]string {
	s.t.Helper()
	response, err := http.Get(s.url + "/v1/models")
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.said())
	}
	defer response.Body.Close()
	var list struct {
		Data []struct{ ID, Generation string }
	}
	text, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
	out := map[string]string{}
	for _, m := range list.Data {
		out[m.ID] = m.Generation
	}
	return out
}

func (s *served) await(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("in vain: %s\n%s", what, s.said())
		}
	}
}

// end sends a signal and returns the exit code.
func (s *served) end(signal os.Signal) int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		s.t.Fatalf("it does not end: %s", s.said())
	}
	return s.cmd.ProcessState.ExitCode()
}

// TestServeRemembers kills a server and starts it again: what was live is live. A second server on the same directory refuses; a policy that does
// not load is not taken; a folder is taken in.
func TestServeRemembers(t *testing.T) {
	data, folder, policy := filepath.Join(t.TempDir(), "data"), t.TempDir(), filepath.Join(t.TempDir(), "policy.yaml")
	adapter := "../../examples/restaurant/adapter"
	const fast = "schema: tenon.policy/v1\nname: fast\nmodules: []\nrules:\n  - {code: NOTHING_APPLIED, severity: deny, when: coverage.applied == 0, message: nothing}\n"
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(fast)
	flags := []string{"--data", data, "--policy", policy}
	s := serveProcess(t, append(slices.Clone(flags), "--adapter", "x="+adapter)...)
	want := s.models()["x"]
	if want == "" {
		t.Fatalf("live is %v\n%s", s.models(), s.said())
	}
	second := serveProcess(t, flags...)
	if err := <-second.ended; err == nil || second.cmd.ProcessState.ExitCode() != 3 || !strings.Contains(second.said(), "REG_LOCKED") {
		t.Errorf("a second server: %v\n%s", err, second.said())
	}
	s.end(syscall.SIGKILL)

	s = serveProcess(t, append(slices.Clone(flags), "--watch", folder)...)
	if got := s.models(); got["x"] != want {
		t.Errorf("after the death live is %v, x was %s", got, want)
	}
	write("schema: nonsense\n")
	reload := func(what string) {
		t.Helper()
		if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		s.await(what, func() bool { return strings.Contains(s.said(), what) })
	}
	reload("the policy: nothing has changed")
	if err := os.CopyFS(filepath.Join(folder, "y"), os.DirFS(adapter)); err != nil {
		t.Fatal(err)
	}
	s.await("the folder", func() bool { return s.models()["y"] == want })
	write(strings.Replace(fast, "== 0", ">= 0", 1)) // nothing passes any more
	reload("the policy: read again")
	if err := os.CopyFS(filepath.Join(folder, "z"), os.DirFS(adapter)); err != nil {
		t.Fatal(err)
	}
	s.await("the quarantine", func() bool {
		places, _ := filepath.Glob(filepath.Join(folder, ".quarantine", "z-*", "report.html"))
		return len(places) == 1
	})
	if _, ok := s.models()["z"]; ok {
		t.Error("what is in quarantine is live")
	}
	if code := s.end(syscall.SIGTERM); code != 0 {
		t.Errorf("asked to end it exits with %d\n%s", code, s.said())
	}
}

// TestServeState reads what the flags of memory and mode say.
func TestServeState(t *testing.T) {
	for flags, want := range map[string]string{
		"auto auto": "-1", "merged none": "0", "unmerged 1000": "1000", "auto 2KiB": "2048", "auto lots": "USAGE", "auto -5": "USAGE", "folded auto": "USAGE",
	} {
		mode, memory, _ := strings.Cut(flags, " ")
		s := serveState{mode: mode, memory: memory, ephemeral: true}
		got := fmt.Sprint(s.check())
		if got == "<nil>" {
			got = fmt.Sprint(s.bytes)
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", flags, got, want)
		}
	}
	t.Setenv("XDG_STATE_HOME", "/s")
	if data, state, err := (&serveState{}).place(); data != "" || state != "/s/tenon" || err != nil {
		t.Errorf("it remembers in %q, %q, %v", data, state, err)
	}
	if data, state, err := (&serveState{ephemeral: true}).place(); data+state != "" || err != nil {
		t.Errorf("it remembers in %q, %q, %v", data, state, err)
	}
	if err := (&serveState{mode: "auto", memory: "auto", ephemeral: true, data: "x"}).check(); err == nil {
		t.Error("it is to remember, and not to")
	}
}
