// Package backend starts backends, watches them, and starts them again. A backend is a process of its own (package sdk/backend is the contract), so
// a device fault, an out-of-memory kill or a hang takes down nothing but that process; this package is what makes it come back as it was.
package backend

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// CPUArgv0 is the argv[0] under which tenon's own executable is the CPU backend.
const CPUArgv0 = "tenon-backend-cpu"

// Spec says how to start a backend.
type Spec struct {
	Name    string   // for messages: "cpu"
	Command []string // path of the executable, and arguments
	Argv0   string   // "" is the path
	Env     []string // "KEY=value", on top of the few variables of the host's that every backend gets
	SHA256  []byte   // the only bytes of the executable that are run; nil runs those that are there at the first start

	// Patience is how long a staging or a merge may go on without a finished tensor before it is given up; 0 is 15 minutes. A health check does
	// not notice a device that hangs in one call while the process goes on answering others.
	Patience time.Duration
}

// usualPatience is time for the largest tensor of a large model, on a slow disk.
const usualPatience = 15 * time.Minute

func (s Spec) patience() time.Duration {
	if s.Patience > 0 {
		return s.Patience
	}
	return usualPatience
}

// ByHand is the backend's command as it is, without a host.
func (s Spec) ByHand(ctx context.Context) *exec.Cmd {
	prepared := newProcessRunner(s, s.Command[0]).cmd
	cmd := exec.CommandContext(ctx, prepared.Path)
	cmd.Args, cmd.Env = prepared.Args, prepared.Env
	return cmd
}

// Embedded is the running executable as the CPU backend. On Linux it is started through /proc/self/exe, so that an upgrade that replaces the file
// does not change what a restart runs.
func Embedded() Spec {
	path := "/proc/self/exe"
	if _, err := os.Stat(path); runtime.GOOS != "linux" || err != nil {
		if path, err = os.Executable(); err != nil {
			path = os.Args[0]
		}
	}
	return Spec{Name: "cpu", Command: []string{path}, Argv0: CPUArgv0}
}

// Options tunes a Supervisor. Zero values stand for the defaults in brackets.
type Options struct {
	Log *slog.Logger // [discard]
	// Restore tells a new process what the old one knew: base, generations, aliases. The backend counts as ready once it returns nil. It is not
	// called for the first process, which has nothing to remember. Its context ends with the process.
	Restore func(context.Context, backendpb.BackendClient) error
	// OnState hears every change of state, in order, from the goroutine that makes it: it must not call Stop.
	OnState func(State)

	StartTimeout   time.Duration // from exec to the first answer [30 s]
	HealthInterval time.Duration // between two health checks [2 s]
	HealthTimeout  time.Duration // for one to be answered; then the process is killed [10 s]
	MaxRestarts    int           // within RestartWindow; one more and the backend has failed for good [5]
	RestartWindow  time.Duration // [1 min]
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Restore == nil {
		o.Restore = func(context.Context, backendpb.BackendClient) error { return nil }
	}
	if o.OnState == nil {
		o.OnState = func(State) {}
	}
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{{&o.StartTimeout, 30 * time.Second}, {&o.HealthInterval, 2 * time.Second}, {&o.HealthTimeout, 10 * time.Second}, {&o.RestartWindow, time.Minute}} {
		if *d.value <= 0 {
			*d.value = d.usual
		}
	}
	if o.MaxRestarts <= 0 {
		o.MaxRestarts = 5
	}
	return o
}

// State is where a supervised backend stands.
type State int

// The states. Failed and Stopped are final.
const (
	Starting   State = iota
	Ready            // answers, and knows all it should
	Restarting       // died, and is being started and told again
	Failed           // died too often, or what it was is no longer there
	Stopped
)

// String is the state's name in lower case.
func (s State) String() string {
	return [...]string{"starting", "ready", "restarting", "failed", "stopped"}[s]
}

// Supervisor keeps one backend running until Stop.
type Supervisor struct {
	spec       Spec
	options    Options
	executable *executable

	ctx  context.Context // ends with Stop
	stop context.CancelFunc
	done chan struct{} // closed when nothing is left of the backend

	mu      sync.Mutex
	state   State
	changed chan struct{} // closed and replaced with every change of state
	process *process      // the current one, nil between two
	err     error         // why state is Failed, or what the last process died of
}

// Start starts a backend and returns once it answers. A backend that cannot be started is an error, not something to try again: its output is in
// the message. ctx bounds the start only.
func Start(ctx context.Context, spec Spec, options Options) (*Supervisor, error) {
	if len(spec.Command) == 0 {
		return nil, fault.New(fault.BackendDown, "backend %q has no command", spec.Name)
	}
	s := &Supervisor{
		spec: spec, options: options.withDefaults(), executable: &executable{path: spec.Command[0], digest: spec.SHA256, pinned: spec.SHA256 != nil},
		done: make(chan struct{}), changed: make(chan struct{}),
	}
	s.ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.options.OnState(Starting)
	p, err := s.launch(ctx)
	if err != nil {
		s.stop()
		return nil, err
	}
	s.become(Ready, p, nil)
	go s.run(p)
	return s, nil
}

// Client returns a client of the running backend. It waits for a backend that is restarting until ctx ends. Calls on the client fail with
// codes.Unavailable once that process has died; Unavailable recognizes that. The error is a *fault.Error.
func (s *Supervisor) Client(ctx context.Context) (backendpb.BackendClient, error) {
	for {
		s.mu.Lock()
		state, p, err, changed := s.state, s.process, s.err, s.changed
		s.mu.Unlock()
		switch state {
		case Ready:
			return p.client, nil
		case Failed, Stopped:
			return nil, fault.New(fault.BackendDown, "backend %q has %s", s.spec.Name, state).Wrap(err).Fix("start the server again")
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fault.New(fault.BackendDown, "backend %q is %s", s.spec.Name, state).Wrap(err).Fix("try again in a moment")
		}
	}
}

// Pid is the process's id, 0 while there is none.
func (s *Supervisor) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	return s.process.runner.pid()
}

// State is where the backend stands.
func (s *Supervisor) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Stop ends the backend and waits until nothing is left of it. It asks politely for a moment, or until ctx ends, and then kills. It can be called
// more than once.
func (s *Supervisor) Stop(ctx context.Context) {
	s.stop()
	select {
	case <-s.done:
		return
	case <-ctx.Done():
	}
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p != nil {
		p.runner.kill()
	}
	<-s.done
}

// become changes the state.
func (s *Supervisor) become(state State, p *process, err error) {
	s.mu.Lock()
	s.state, s.process, s.err = state, p, err
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	s.options.OnState(state)
}
