package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/loadtest"
)

// signal sends the server a signal.
func (s *server) signal(signal syscall.Signal) {
	s.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		s.Fatal(err)
	}
}

// said waits until the server has said something.
func (s *server) said(what string) {
	s.Helper()
	for range 1200 {
		if strings.Contains(s.log.String(), what) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.Fatalf("the server does not say %q:\n%s", what, s.log)
}

// The server is asked to end while adapters are loaded and texts are streamed: it ends by itself and in order, each load was done or refused,
// and the next start has exactly what was acknowledged, or what was asked for last.
func TestEndedDuringLoads(t *testing.T) {
	data := t.TempDir()
	s := quick(t, data)
	s.load("menu", first)
	generations := []string{s.generations()["menu"]}
	s.load("menu", second)
	generations = append(generations, s.generations()["menu"])
	for n := range 3 {
		stop := make(chan struct{})
		var mu sync.Mutex
		acknowledged := map[string]bool{}
		var clients sync.WaitGroup
		for i := range 6 {
			name, ref := fmt.Sprintf("new%d-%d", n, i), scaled(t, fmt.Sprint(100+10*n+i))
			clients.Go(func() {
				code, body, err := s.tryLoad(name, ref)
				if err == nil && code != http.StatusOK && code != http.StatusServiceUnavailable {
					t.Errorf("a load was answered %d %s", code, body)
				}
				mu.Lock()
				defer mu.Unlock()
				acknowledged[name] = err == nil && code == http.StatusOK
			})
		}
		clients.Go(func() {
			result, err := loadtest.Run(t.Context(), loadtest.Plan{URL: s.url, Models: []string{"menu"}, Prompts: prompts[:1], Tokens: 64, Clients: 4,
				Duration: time.Hour, Stop: stop})
			if err != nil {
				t.Error(err)
				return
			}
			for why := range result.Failed {
				if strings.HasPrefix(why, "broken off") {
					t.Errorf("a text that was begun ended with %q", why)
				}
			}
		})
		time.Sleep(time.Duration(n*100) * time.Millisecond)
		s.stop()
		close(stop)
		clients.Wait()
		s = quick(t, data)
		now := s.generations()
		if now["menu"] != generations[1] {
			t.Errorf("menu means %s", now["menu"])
		}
		for name, done := range acknowledged {
			if done && now[name] == "" {
				t.Errorf("%s was acknowledged and is not live", name)
			}
			if now[name] == "" {
				continue
			}
			if by, _ := s.text(name, prompts[0]); by != now[name] {
				t.Errorf("%s answers as %s", name, by)
			}
		}
	}
	s.stop()
	audit(t, data)
}

// The first signal waits for what is in flight, the second does not.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	s := quick(t, data)
	s.load("menu", first)
	generation, _ := s.text("menu", prompts[0])
	pid := s.backend()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil { // a text that takes its time
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun := make(chan error, 1)
	go func() {
		_, _, err := s.call(ctx, http.MethodPost, "/v1/completions", map[string]any{"model": "menu", "prompt": "x"})
		begun <- err
	}()
	for {
		var views struct {
			Adapters []struct{ Running, Waiting int }
		}
		if s.read("/api/v1/adapters", &views); views.Adapters[0].Running+views.Adapters[0].Waiting > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.signal(syscall.SIGTERM)
	s.said("draining")
	select {
	case <-s.ended:
		t.Fatalf("it did not wait for the text:\n%s", s.log)
	case <-time.After(200 * time.Millisecond):
	}
	s.signal(syscall.SIGTERM)
	<-s.ended
	var how *exec.ExitError
	if !errors.As(s.err, &how) || how.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", s.err)
	}
	if err := <-begun; err == nil {
		t.Error("the text was answered")
	}
	for alive(pid) {
		time.Sleep(time.Millisecond)
	}
	s = quick(t, data)
	if live := s.generations()["menu"]; live != generation {
		t.Errorf("live is %q", live)
	}
	s.stop()
}

// A policy is read anew on SIGHUP. One that is none changes nothing: the old one goes on deciding.
func TestPolicyReadAgain(t *testing.T) {
	path := policyFile(t, "coverage.applied > 0")
	s := start(t, t.TempDir(), nil, "--policy", path)
	if s == nil {
		t.Fatal("the server did not start")
	}
	s.ready()
	refused := func() {
		t.Helper()
		code, body, err := s.tryLoad("menu", first)
		if err != nil || code != http.StatusUnprocessableEntity || !strings.Contains(string(body), "TEST_RULE") {
			t.Errorf("%d %s %v", code, body, err)
		}
	}
	refused()
	for n, bad := range []string{"", "rules: [", "schema: tenon.policy/v1\nname: open\nunknown: 1\n"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		s.signal(syscall.SIGHUP)
		for strings.Count(s.log.String(), "nothing has changed") <= n {
			time.Sleep(10 * time.Millisecond)
		}
		refused()
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	for strings.Count(s.log.String(), "nothing has changed") <= 3 {
		time.Sleep(10 * time.Millisecond)
	}
	refused()
	writePolicy(t, path, nothingApplied)
	s.signal(syscall.SIGHUP)
	s.said("the policy: read again")
	s.load("menu", first)
	s.stop()
}

// The host is stopped for a while under load, as a virtual machine is that moves, and goes on: texts are whole, and nobody took its place.
func TestHostPaused(t *testing.T) {
	data := t.TempDir()
	s := quick(t, data)
	s.load("menu", first)
	generation, text := s.text("menu", prompts[0])
	pause := time.Duration(times(t, "TENON_PAUSE_SECONDS", 3)) * time.Second
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var result *loadtest.Result
	var err error
	clients.Go(func() {
		result, err = loadtest.Run(t.Context(), loadtest.Plan{
			URL: s.url, Models: []string{"menu"}, Prompts: prompts[:1], Tokens: 24, Clients: 4, Duration: time.Hour, Stop: stop,
			Check: func(a loadtest.Answer) error {
				if a.Generation != generation || a.Text != text {
					return fmt.Errorf("generation %s gave %q", a.Generation, a.Text)
				}
				return nil
			}})
	})
	for range 2 {
		time.Sleep(300 * time.Millisecond)
		s.signal(syscall.SIGSTOP)
		time.Sleep(pause)
		s.signal(syscall.SIGCONT)
	}
	time.Sleep(300 * time.Millisecond)
	close(stop)
	clients.Wait()
	if err != nil || result.Wrong > 0 || result.Requests == 0 {
		t.Errorf("%v, wrong %d of %d: %s", err, result.Wrong, result.Requests, result.FirstWrong)
	}
	for why := range result.Failed {
		// A pause that is longer than a health check may take can cost the backend, never the truth of an answer.
		if why != "status 503" && !strings.HasPrefix(why, "broken off: ") || pause < 10*time.Second {
			t.Errorf("a request failed with %q", why)
		}
	}
	s.ready()
	s.load("menu", second)
	if by, _ := s.text("menu", prompts[0]); by == generation {
		t.Error("a load after the pause changed nothing")
	}
	s.stop()
	audit(t, data)
}
