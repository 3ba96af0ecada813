package backend

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// recorder keeps the states a supervisor went through.
type recorder struct {
	mu     sync.Mutex
	states []State
	wake   chan struct{}
}

func newRecorder() *recorder { return &recorder{wake: make(chan struct{}, 1000)} }

func (r *recorder) on(s State) {
	r.mu.Lock()
	r.states = append(r.states, s)
	r.mu.Unlock()
	r.wake <- struct{}{}
}

// wait returns once the states are these.
func (r *recorder) wait(t *testing.T, want ...State) {
	t.Helper()
	for {
		r.mu.Lock()
		states := slices.Clone(r.states)
		r.mu.Unlock()
		if slices.Equal(states, want) {
			return
		}
		if len(states) > len(want) || !slices.Equal(states, want[:len(states)]) {
			t.Fatalf("states %v, want %v", states, want)
		}
		<-r.wake // the test's own deadline ends it
	}
}

func start(t *testing.T, spec Spec, options Options) *Supervisor {
	t.Helper()
	s, err := Start(t.Context(), spec, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(context.Background()) })
	return s
}

func describe(t *testing.T, s *Supervisor) *backendpb.DescribeResponse {
	t.Helper()
	client, err := s.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, err := client.Describe(t.Context(), &backendpb.DescribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestStartAndStop(t *testing.T) {
	t.Setenv("SECRET", "a token of the host's")
	states := newRecorder()
	spec := self("good")
	spec.Env = append(spec.Env, "EXTRA=for the backend")
	s := start(t, spec, Options{OnState: states.on})
	if d := describe(t, s); d.Name != "test-backend" || d.Device != "for the backend" {
		t.Errorf("the backend runs as %q with %q in its environment", d.Name, d.Device)
	}
	pid := s.Pid()
	if pid == 0 || s.State() != Ready {
		t.Errorf("pid %d, %v", pid, s.State())
	}
	s.Stop(t.Context())
	s.Stop(t.Context())
	states.wait(t, Starting, Ready, Stopped)
	if _, err := s.Client(t.Context()); !isDown(err) || s.Pid() != 0 {
		t.Errorf("after Stop: %v, pid %d", err, s.Pid())
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after Stop: %v", pid, err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "tenon-backend-*", "*", "plugin*")); len(left) != 0 {
		t.Logf("sockets of other processes: %v", left)
	}
}

func isDown(err error) bool {
	list := fault.All(err)
	return len(list) == 1 && list[0].Code == fault.BackendDown
}

func TestKilledBackendComesBack(t *testing.T) {
	states := newRecorder()
	restored := make(chan error)
	s := start(t, self("good"), Options{OnState: states.on, Restore: func(ctx context.Context, client backendpb.BackendClient) error {
		if _, err := client.Describe(ctx, &backendpb.DescribeRequest{}); err != nil {
			return err
		}
		return <-restored
	}})
	client, err := s.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := client.Generate(t.Context(), &backendpb.GenerateRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	first := s.Pid()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !Unavailable(err) {
		t.Errorf("a call in flight ended with %v", err)
	}
	states.wait(t, Starting, Ready, Restarting)
	if _, err := client.Describe(t.Context(), &backendpb.DescribeRequest{}); !Unavailable(err) {
		t.Errorf("a call to the dead process ended with %v", err)
	}
	soon, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Client(soon); !isDown(err) {
		t.Errorf("Client while restarting: %v", err)
	}
	restored <- errors.New("not yet") // that process is given up, and another one started
	restored <- nil
	states.wait(t, Starting, Ready, Restarting, Restarting, Ready)
	describe(t, s)
	if second := s.Pid(); second == first || second == 0 {
		t.Errorf("pid %d after %d", second, first)
	}
}

func TestHungBackendIsReplaced(t *testing.T) {
	states := newRecorder()
	s := start(t, self("good"), Options{OnState: states.on, HealthInterval: 20 * time.Millisecond, HealthTimeout: 2 * time.Second})
	if err := syscall.Kill(s.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	states.wait(t, Starting, Ready, Restarting, Ready)
	describe(t, s)
}

func TestStopOfAFrozenBackend(t *testing.T) {
	s := start(t, self("good"), Options{})
	pid := s.Pid()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	now, cancel := context.WithCancel(t.Context())
	cancel()
	s.Stop(now)
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after Stop: %v", pid, err)
	}
}

func TestTooManyDeathsAreFinal(t *testing.T) {
	states := newRecorder()
	s := start(t, self("good"), Options{OnState: states.on, MaxRestarts: 2,
		Restore: func(context.Context, backendpb.BackendClient) error { return errors.New("the base is gone") }})
	if err := syscall.Kill(s.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	states.wait(t, Starting, Ready, Restarting, Restarting, Restarting, Failed)
	if _, err := s.Client(t.Context()); !isDown(err) || !strings.Contains(err.Error(), "the base is gone") {
		t.Errorf("Client: %v", err)
	}
	s.Stop(t.Context())
	if s.State() != Failed {
		t.Errorf("state %v", s.State())
	}
}

func TestSwappedExecutableIsNotStarted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "backend")
	binary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skipf("cannot read the test binary: %v", err)
	}
	if err := os.WriteFile(path, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := self("good")
	spec.Command = []string{path}
	states := newRecorder()
	s := start(t, spec, Options{OnState: states.on, MaxRestarts: 1})
	other := path + ".new"
	if err := os.WriteFile(other, append(binary, 0), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	states.wait(t, Starting, Ready, Restarting, Failed)
	if _, err := s.Client(t.Context()); !errors.Is(err, ErrSwapped) {
		t.Errorf("Client: %v", err)
	}
}
