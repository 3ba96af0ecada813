package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/backend"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// roleVariable makes the test binary play a backend.
const roleVariable = "TENON_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		goleak.VerifyTestMain(m)
		return
	}
	play(role)
	os.Exit(0)
}

// play is what the test binary does as a backend.
func play(role string) {
	switch role {
	case "good":
		backend.Serve(&fake{})
	case "flood":
		fmt.Fprintln(os.Stderr, strings.Repeat("flood ", 1<<18)) // one line of 1.5 MB
		for range 20000 {
			fmt.Fprintln(os.Stderr, strings.Repeat("y", 100))
		}
		backend.Serve(&fake{})
	case "garbage":
		fmt.Println("\x1b[31mhello, I am no backend")
		fmt.Fprintln(os.Stderr, "and this is why")
	case "protocol":
		fmt.Println("1|99|unix|/nowhere|grpc|")
	case "net/rpc":
		fmt.Println("1|1|unix|/nowhere|netrpc|")
	case "address":
		fmt.Println("1|1|unix|/nowhere/at/all|grpc|")
	case "cookie":
		os.Unsetenv(backend.Handshake.MagicCookieKey)
		backend.Serve(&fake{})
	case "silent":
		select {}
	case "exit 7":
		fmt.Fprintln(os.Stderr, "no device")
		os.Exit(7)
	case "host":
		// A host that starts a backend, says which, and waits to be killed.
		s, err := Start(context.Background(), self("good"), Options{})
		if err != nil {
			panic(err)
		}
		fmt.Println(s.Pid())
		select {}
	}
}

// fake is a backend that answers Describe, and generates without end.
type fake struct {
	backendpb.UnimplementedBackendServer
}

func (*fake) Describe(context.Context, *backendpb.DescribeRequest) (*backendpb.DescribeResponse, error) {
	return &backendpb.DescribeResponse{Name: os.Args[0], Device: os.Getenv("SECRET") + os.Getenv("EXTRA")}, nil
}

func (*fake) Generate(_ *backendpb.GenerateRequest, stream backendpb.Backend_GenerateServer) error {
	admitted := &backendpb.GenerateEvent{Event: &backendpb.GenerateEvent_Admitted{Admitted: &backendpb.Admitted{}}}
	if err := stream.Send(admitted); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func self(role string) Spec {
	spec := Embedded()
	spec.Name, spec.Argv0 = "test", "test-backend"
	spec.Env = []string{roleVariable + "=" + role, "GORACE=atexit_sleep_ms=0"} // the race detector's own wait would hide how a process ends
	return spec
}

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

func TestBackendsThatDoNotStart(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	command := func(path string) Spec { return Spec{Name: "test", Command: []string{path}} }
	for _, c := range []struct {
		name string
		spec Spec
		want []string // parts of the message
	}{
		{"garbage before the handshake", self("garbage"), []string{".[31mhello, I am no backend", "and this is why", "status 0"}},
		{"wrong protocol version", self("protocol"), []string{"Plugin version: 99, Client versions: [1]"}},
		{"wrong transport", self("net/rpc"), []string{"netrpc"}},
		{"address where nobody listens", self("address"), []string{"health check"}},
		{"wrong magic cookie", self("cookie"), []string{"This binary is a plugin", "exit status 1"}},
		{"exits 0 at once", self("nothing at all"), []string{"status 0"}},
		{"exits with words", self("exit 7"), []string{"exit status 7", "no device"}},
		{"says nothing", self("silent"), []string{"no handshake within"}},
		{"no executable", command(filepath.Join(dir, "gone")), []string{"no such file"}},
		{"directory", command(dir), []string{"no regular file"}},
		{"no permission to run it", command(write("plain", "#!/bin/sh\n", 0o644)), []string{"permission denied"}},
		{"everyone may write to it", command(write("open", "#!/bin/sh\n", 0o757)), []string{"written to by everyone"}},
		{"no format of an executable", command(write("text", "hello", 0o755)), []string{"exec format error"}},
		{"script that says nothing", command(write("script", "#!/bin/sh\necho sorry >&2\nexit 3\n", 0o755)), []string{"sorry", "exit status 3"}},
		{"no command", Spec{Name: "test"}, []string{"no command"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			options := Options{StartTimeout: 30 * time.Second}
			if c.name == "says nothing" {
				options.StartTimeout = 300 * time.Millisecond
			}
			s, err := Start(t.Context(), c.spec, options)
			if err == nil {
				s.Stop(t.Context())
				t.Fatal("it started")
			}
			if !isDown(err) {
				t.Errorf("%#v is no fault of code %s", err, fault.BackendDown)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
			if strings.ContainsRune(err.Error(), '\x1b') {
				t.Errorf("control characters in: %q", err)
			}
		})
	}
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := Start(ctx, self("silent"), Options{}); !isDown(err) {
		t.Errorf("Start: %v", err)
	}
}

// TestBackendsDieWithTheirHost kills a host that has no chance to clean up.
func TestBackendsDieWithTheirHost(t *testing.T) {
	host := exec.Command("/proc/self/exe")
	host.Env = append(os.Environ(), roleVariable+"=host")
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Skipf("cannot run the test binary: %v", err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = host.Wait()
	for running(pid) {
		time.Sleep(5 * time.Millisecond) // the test's own deadline ends it
	}
	// What the host could not remove is removed by the next start.
	start(t, self("good"), Options{})
}

// running reports whether a process exists and is no zombie: nobody may be there to wait for an orphan.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}
