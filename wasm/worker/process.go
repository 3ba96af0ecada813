package worker

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// firstFile is the descriptor of the first file of a request; 0, 1 and 2 are the pipes.
const firstFile = 3

// What is kept of a worker's stderr: a Go program that dies says why at the beginning.
const (
	stderrHead = 8 << 10
	stderrTail = 56 << 10
)

// patience is how long a worker that has closed its end may take to be gone, and a killed one to be reaped.
const patience = 2 * time.Second

// process is one worker.
type process struct {
	cmd    *exec.Cmd
	in     *os.File // to its stdin
	out    *os.File // from its stdout
	errors *os.File // from its stderr
	said   ring
	heard  sync.WaitGroup
}

// ending is what is known of a worker that is gone.
type ending struct {
	cpu    int64 // nanoseconds
	state  string
	stderr string
}

// start executes a worker with an empty environment, in the root directory, in a process group of its own. files become descriptors
// firstFile and up.
func start(executable string, files []*os.File) (*process, error) {
	if executable == "" {
		path, err := self()
		if err != nil {
			return nil, err
		}
		executable = path
	}
	var ends [6]*os.File // read and write ends of stdin, stdout, stderr
	for i := 0; i < len(ends); i += 2 {
		var err error
		if ends[i], ends[i+1], err = os.Pipe(); err != nil {
			closeAll(ends[:])
			return nil, err
		}
	}
	p := &process{in: ends[1], out: ends[2], errors: ends[4]}
	p.cmd = &exec.Cmd{
		Path: executable, Args: []string{Name}, Env: []string{}, Dir: string(os.PathSeparator),
		Stdin: ends[0], Stdout: ends[3], Stderr: ends[5], ExtraFiles: files, SysProcAttr: attributes(),
	}
	err := p.cmd.Start()
	closeAll([]*os.File{ends[0], ends[3], ends[5]})
	if err != nil {
		closeAll([]*os.File{ends[1], ends[2], ends[4]})
		return nil, err
	}
	p.heard.Go(func() { _, _ = io.Copy(&p.said, p.errors) })
	return p, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// end kills the worker and everything it may have started, and reaps it. A worker that hung up is given time to end by itself, so that
// its own exit status is seen.
func (p *process) end(hungUp bool) ending {
	_ = p.in.Close()
	if hungUp {
		awaitExit(p.cmd.Process.Pid, patience)
	}
	killGroup(p.cmd)
	reaped := make(chan struct{})
	go func() {
		_ = p.cmd.Wait()
		close(reaped)
	}()
	var e ending
	select {
	case <-reaped:
		e.cpu = (p.cmd.ProcessState.SystemTime() + p.cmd.ProcessState.UserTime()).Nanoseconds()
		e.state = p.cmd.ProcessState.String()
	case <-time.After(patience): // in a system call that cannot be interrupted; the goroutine reaps it when it ends
		e.state = "it was killed and is not gone yet"
	}
	_ = p.out.Close()
	// What it said is in the pipe; a process outside the group could hold the other end open for ever.
	_ = p.errors.SetReadDeadline(time.Now().Add(patience))
	p.heard.Wait()
	_ = p.errors.Close()
	e.stderr = p.said.String()
	return e
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
	if strings.Contains(e.state, "killed") {
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
