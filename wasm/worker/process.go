package worker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// What is kept of a worker's stderr: a Go program that dies says why at the beginning.
const (
	stderrHead = 8 << 10
	stderrTail = 56 << 10
)

const (
	// patience is how long a worker that has closed its end may take to be gone, within its deadline.
	patience = 2 * time.Second
	// promptness is how long a result waits for a killed worker to be gone. Giving back gigabytes can take a process longer; its slot
	// and its memory are then free later than its result is given.
	promptness = 30 * time.Millisecond
)

// process is one worker.
type process struct {
	cmd    *exec.Cmd
	in     *os.File // to its stdin, a socket, since descriptors travel on it
	out    *os.File // from its stdout
	errors *os.File // from its stderr
	said   ring
	heard  sync.WaitGroup // what it says on stderr

	prepared chan struct{} // closed when a spare was sent what to compile

	mu     sync.Mutex
	exited bool          // it has ended and its id will be another's: nobody may signal it
	dead   chan struct{} // closed when it has ended
	gone   chan struct{} // closed when it is reaped, after which cmd.ProcessState is there
}

// ending is what is known of a worker that was ended.
type ending struct {
	cpu      int64 // nanoseconds
	resident int64 // bytes, at most at once; 0 where nobody knows
	state    string
	lingered bool // it had hung up and did not end: we killed it
	stderr   string
}

// start executes a worker with an empty environment, in the root directory, in a process group of its own.
func start(executable string) (*process, error) {
	if executable == "" {
		path, err := self()
		if err != nil {
			return nil, err
		}
		executable = path
	}
	var ends [6]*os.File // ours and the worker's of stdin, stdout, stderr
	var err error
	if ends[0], ends[1], err = inlet(); err == nil {
		if ends[2], ends[3], err = os.Pipe(); err == nil {
			ends[4], ends[5], err = os.Pipe()
		}
	}
	if err != nil {
		closeAll(ends[:])
		return nil, err
	}
	p := &process{in: ends[0], out: ends[2], errors: ends[4], dead: make(chan struct{}), gone: make(chan struct{}),
		prepared: make(chan struct{})}
	p.cmd = &exec.Cmd{
		Path: executable, Args: []string{Name}, Env: []string{}, Dir: string(os.PathSeparator),
		Stdin: ends[1], Stdout: ends[3], Stderr: ends[5], SysProcAttr: attributes(),
	}
	started := make(chan error)
	go p.keep(started)
	err = <-started
	closeAll([]*os.File{ends[1], ends[3], ends[5]})
	if err != nil {
		closeAll([]*os.File{ends[0], ends[2], ends[4]})
		return nil, err
	}
	p.heard.Go(func() { _, _ = io.Copy(&p.said, p.errors) })
	return p, nil
}

// keep starts the worker and reaps it. The kernel kills a worker when the thread that started it ends (Pdeathsig), so this one lives as
// long as the worker does: it is this goroutine's alone.
func (p *process) keep(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	awaitExit(p.cmd.Process.Pid)
	p.mu.Lock()
	p.exited = true
	killGroup(p.cmd) // what it may have started; until it is reaped its id is its own and can be killed safely
	p.mu.Unlock()
	close(p.dead)
	_ = p.cmd.Wait()
	close(p.gone)
}

// kill ends the worker and everything it may have started.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.exited {
		killGroup(p.cmd)
	}
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// end kills the worker. A worker that hung up is given until the deadline, or its patience is over, to end by itself, so that its own exit
// status is seen. The worker may still be going when end returns: its resources are free when gone is closed.
func (p *process) end(ctx context.Context, hungUp bool, deadline time.Time) ending {
	var e ending
	if hungUp {
		p.await(ctx, min(patience, max(promptness, time.Until(deadline))))
	}
	select {
	case <-p.dead:
	default:
		e.lingered = hungUp
		e.resident, e.cpu = residentPeak(p.cmd.Process.Pid), processorTime(p.cmd.Process.Pid)
	}
	_ = p.in.Close()
	p.kill()
	timer := time.NewTimer(promptness)
	defer timer.Stop()
	select {
	case <-p.gone:
		state := p.cmd.ProcessState
		e.cpu = (state.SystemTime() + state.UserTime()).Nanoseconds()
		e.state = state.String()
		if e.resident == 0 {
			e.resident = residentOf(state)
		}
	case <-timer.C: // it gives back its memory, or is in a system call that cannot be interrupted
		e.state = "it was killed and is not gone yet"
	}
	_ = p.out.Close()
	if hungUp { // nobody asks what the others said
		// It is in the pipe. A process outside the group could hold the other end open for ever.
		_ = p.errors.SetReadDeadline(time.Now().Add(promptness))
		p.heard.Wait()
		e.stderr = p.said.String()
	}
	_ = p.errors.Close()
	p.heard.Wait()
	return e
}

// await waits until the worker has ended.
func (p *process) await(ctx context.Context, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.dead:
	case <-ctx.Done():
	case <-timer.C:
	}
}

// diedResult says what a worker died of.
func diedResult(r sandbox.Result, e ending) sandbox.Result {
	lower := strings.ToLower(e.stderr)
	for _, sign := range []string{"out of memory", "cannot allocate memory", "failed to reserve", "cannot map pages", "errno=12"} {
		if strings.Contains(lower, sign) {
			r.Status = sandbox.Memory
		}
	}
	r.Error = fmt.Sprintf("%s (%s)", r.Error, e.state)
	switch {
	case e.lingered:
		r.Error += ": it closed its output and did not end, so it was killed"
	case strings.Contains(e.state, "killed"):
		r.Error += ": killed from outside, perhaps for want of memory"
	}
	if first, _, _ := strings.Cut(strings.TrimSpace(e.stderr), "\n"); first != "" {
		r.Error += ": " + sandbox.Plain(first, 500)
	}
	r.Log = sandbox.Plain(e.stderr, stderrHead+stderrTail)
	return r
}

// ring keeps the first and the last bytes written to it.
type ring struct {
	head, tail []byte
	dropped    bool
}

// Write never fails.
func (r *ring) Write(p []byte) (int, error) {
	n := len(p)
	keep := min(n, stderrHead-len(r.head))
	r.head = append(r.head, p[:keep]...)
	r.tail = append(r.tail, p[keep:]...)
	if over := len(r.tail) - stderrTail; over > 0 {
		r.tail = append(r.tail[:0], r.tail[over:]...)
		r.dropped = true
	}
	return n, nil
}

// String is what was kept, with a line of dots where something is missing.
func (r *ring) String() string {
	if r.dropped {
		return string(bytes.Join([][]byte{r.head, r.tail}, []byte("\n...\n")))
	}
	return string(r.head) + string(r.tail)
}
