package backend

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// drainTime is how long the pipes of a process that has ended are read on. A descendant that escaped its process group may hold them open for ever.
const drainTime = time.Second

// dyingTime is how long a process that said something wrong may take to end by itself.
const dyingTime = time.Second

// processRunner runs a backend for go-plugin. Unlike go-plugin's own it knows the process's end from the kernel and not from its pipes, kills the
// whole process group, and can be killed while it starts.
type processRunner struct {
	cmd            *exec.Cmd
	stdout, stderr *os.File
	exited         chan struct{} // closed when the process has been waited for

	mu      sync.Mutex
	killed  bool
	started bool
	err     error // of the wait; for who has seen exited closed
}

func newProcessRunner(spec Spec, path string) *processRunner {
	argv0 := spec.Argv0
	if argv0 == "" {
		argv0 = spec.Command[0]
	}
	cmd := &exec.Cmd{
		Path:        path,
		Args:        append([]string{argv0}, spec.Command[1:]...),
		Env:         append(environment(), spec.Env...),
		SysProcAttr: processAttributes(),
	}
	return &processRunner{cmd: cmd, exited: make(chan struct{})}
}

// Start starts the process.
func (r *processRunner) Start(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed {
		return errKilled
	}
	stdoutRead, stdoutWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	stderrRead, stderrWrite, err := os.Pipe()
	if err != nil {
		_, _ = stdoutRead.Close(), stdoutWrite.Close()
		return err
	}
	r.stdout, r.stderr = stdoutRead, stderrRead
	r.cmd.Stdout, r.cmd.Stderr = stdoutWrite, stderrWrite
	err = r.cmd.Start()
	_, _ = stdoutWrite.Close(), stderrWrite.Close()
	if err != nil {
		_, _ = stdoutRead.Close(), stderrRead.Close()
		return err
	}
	r.started = true
	go func() {
		err := r.cmd.Wait()
		r.mu.Lock()
		r.err = err
		killGroup(r.cmd.Process.Pid) // descendants in its group end with it
		r.mu.Unlock()
		close(r.exited)
		time.AfterFunc(drainTime, func() { _, _ = stdoutRead.Close(), stderrRead.Close() })
	}()
	return nil
}

// kill ends the process group at once, or keeps a process that is about to start from starting.
func (r *processRunner) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.started {
		r.killed = true
		return
	}
	select {
	case <-r.exited: // its id may belong to another by now
	default:
		r.killed = true
		killGroup(r.cmd.Process.Pid)
		_ = r.cmd.Process.Kill()
	}
}

// pid is the process's id, 0 before there is one.
func (r *processRunner) pid() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.started {
		return 0
	}
	return r.cmd.Process.Pid
}

// fate says how the process ended, or that it has not.
func (r *processRunner) fate() string {
	select {
	case <-r.exited:
	default:
		return "is running"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err == nil:
		return "exited with status 0"
	case r.killed:
		return "was killed"
	}
	return "ended with " + r.err.Error()
}

// Wait waits for the process to end.
func (r *processRunner) Wait(context.Context) error {
	<-r.exited
	return r.err
}

// Kill is for go-plugin, which kills at the first wrong word. A process that is about to end by itself may do so, and say how.
func (r *processRunner) Kill(context.Context) error {
	select {
	case <-r.exited:
	case <-time.After(dyingTime):
		r.kill()
	}
	return nil
}

// Stdout is read by go-plugin for the handshake.
func (r *processRunner) Stdout() io.ReadCloser { return r.stdout }

// Stderr is read by go-plugin for log lines.
func (r *processRunner) Stderr() io.ReadCloser { return r.stderr }

// Name names the logger of the process's own lines.
func (r *processRunner) Name() string { return outputName }

// ID is the process's id.
func (r *processRunner) ID() string {
	if pid := r.pid(); pid != 0 {
		return strconv.Itoa(pid)
	}
	return ""
}

// Diagnose adds nothing: the output of the process is reported anyway.
func (r *processRunner) Diagnose(context.Context) string { return "" }

// PluginToHost does not translate: both are on one machine.
func (r *processRunner) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin does not translate.
func (r *processRunner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
