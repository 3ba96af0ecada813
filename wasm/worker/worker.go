// Package worker runs one guest in one process that can be killed. In-process WebAssembly cannot be stopped out of a loop-free recursion,
// a chain of bulk-memory instructions or a compile bomb, and its decoder can be made to allocate without bound: only SIGKILL and
// RLIMIT_AS end these. The process is this binary, executed again under another name; see Main.
package worker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// Name is the name a worker is executed under, its argv[0].
const Name = "tenon-sandbox-worker"

// How far the kernel confined a worker while the guest ran.
const (
	Full    = "full"    // memory, descriptors, files and system calls
	Partial = "partial" // a kernel, architecture or build without one of them
)

// Runner starts workers. The zero value works: it runs this binary, without a cache. It is safe for concurrent use.
type Runner struct {
	Executable string // what to execute, which must call Main when Invoked; empty means this binary
	CacheDir   string // absolute; compiled modules, see CheckCache; empty means that every run compiles
	Parallel   int    // workers at once, more wait; 0 means the number of CPUs
	Threads    int    // that a worker computes with; 0 means 2

	once      sync.Once
	slots     chan struct{}
	compiling compiling
}

// Job is one run of one module on one input. Every Source's Reader must be an *os.File, or have a method Os() *os.File; the file is read
// by the worker at absolute offsets and stays the caller's.
type Job struct {
	Wasm     []byte
	SHA256   [32]byte // of Wasm
	Manifest abi.Manifest
	Granted  []abi.Capability
	Limits   abi.Limits
	Input    sandbox.Input
}

// Run runs a job in a fresh process and always gives a result: within the limits' compile and run time and a few seconds to start and
// reap a process, counted from when one of the Parallel slots is free. It also says how the worker was confined, Full or Partial. When ctx
// ends, the worker is killed and the status is WorkerDied.
func (r *Runner) Run(ctx context.Context, job Job) (sandbox.Result, string) {
	if sum := sha256.Sum256(job.Wasm); sum != job.SHA256 {
		return sandbox.Result{Status: sandbox.Invalid, Error: fmt.Sprintf("the module's SHA-256 is %x, not %x", sum, job.SHA256)}, Full
	}
	if len(job.Wasm) > maxModule {
		text := fmt.Sprintf("the module has %d bytes, at most %d are accepted", len(job.Wasm), maxModule)
		return sandbox.Result{Status: sandbox.Invalid, Error: text}, Full
	}
	req, files, err := describe(job)
	if err != nil {
		return sandbox.Result{Status: sandbox.WorkerDied, Error: "the worker was not started: " + err.Error()}, Full
	}
	if req.Threads = r.Threads; req.Threads == 0 {
		req.Threads = 2
	}
	release, err := r.slot(ctx)
	if err != nil {
		return sandbox.Result{Status: sandbox.WorkerDied, Error: "canceled before the worker was started"}, Full
	}
	defer release()

	published := func() {}
	cached := r.CacheDir != "" && CheckCache(r.CacheDir) == nil
	if cached {
		dir, ok := warm(r.CacheDir, job.SHA256)
		if !ok {
			if published, err = r.compiling.acquire(ctx, job.SHA256); err != nil {
				return sandbox.Result{Status: sandbox.WorkerDied, Error: "canceled before the worker was started"}, Full
			}
			defer published()
			dir, ok = warm(r.CacheDir, job.SHA256) // whoever compiled it meanwhile
		}
		if ok {
			published()
			req.CacheDir = dir
			result, confinement, broken := r.attempt(ctx, job, req, files, published)
			if !broken {
				return result, confinement
			}
			_ = os.RemoveAll(dir)
		}
		if temp, err := os.MkdirTemp(r.CacheDir, tempName); err == nil {
			defer os.RemoveAll(temp)
			req.CacheDir, req.Cold = temp, true
		} else {
			req.CacheDir = ""
		}
	}
	result, confinement, _ := r.attempt(ctx, job, req, files, published)
	return result, confinement
}

// slot waits for one of the Parallel slots.
func (r *Runner) slot(ctx context.Context) (release func(), err error) {
	r.once.Do(func() {
		n := r.Parallel
		if n <= 0 {
			n = runtime.NumCPU()
		}
		r.slots = make(chan struct{}, n)
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case r.slots <- struct{}{}:
		return func() { <-r.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// attempt runs one worker from start to end. published is called once what a cold worker compiled is in the cache. broken is true when the
// module could not be loaded from a warm cache, where it had compiled before.
func (r *Runner) attempt(ctx context.Context, job Job, req request, files []*os.File, published func()) (result sandbox.Result,
	confinement string, broken bool) {
	// The kernel kills the worker when the thread that started it ends (Pdeathsig), and a thread ends with a goroutine that stayed locked to
	// it. Nobody else can be locked to this one while we are.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	body, err := json.Marshal(req, json.Deterministic(true))
	if err != nil || len(body) > maxRequest {
		text := fmt.Sprintf("the worker was not started: its request of %d bytes cannot be sent: %v", len(body), err)
		return sandbox.Result{Status: sandbox.WorkerDied, Error: text}, Partial, false
	}
	p, err := start(r.Executable, files)
	if err != nil {
		return sandbox.Result{Status: sandbox.WorkerDied, Error: "the worker did not start: " + err.Error()}, Partial, false
	}
	c := conversation{runner: r, job: job, request: req, published: published, body: body, process: p, limits: job.Limits.WithDefaults()}
	result = c.hold(ctx)
	last := p.end(c.hungUp)
	result.Usage.CPU = last.cpu
	if c.hungUp {
		result = diedResult(result, last)
	}
	// A module that is refused before it is compiled says nothing about the cache.
	broken = req.CacheDir != "" && !req.Cold && !c.compiled && !c.stopped && result.Usage.Compile > 0
	confinement = Partial
	if c.confined && !c.partial {
		confinement = Full
	}
	return result, confinement, broken
}

// describe writes a job down for the worker and lists the files it needs, each once.
func describe(job Job) (request, []*os.File, error) {
	req := request{
		Manifest: job.Manifest, Granted: job.Granted, Limits: job.Limits, Attrs: job.Input.Attrs, Params: map[string]bits{},
	}
	for name, value := range job.Input.Params {
		req.Params[name] = bitsOf(value)
	}
	if b := job.Input.Bank; b != nil {
		var err error
		if req.Bank, err = describeBank(b); err != nil {
			return req, nil, err
		}
	}
	var f fileTable
	for i := range job.Input.Targets {
		req.Targets = append(req.Targets, f.target(&job.Input.Targets[i]))
	}
	for _, p := range job.Input.Peers {
		described := peer{Name: p.Name}
		for _, t := range p.Targets {
			described.Targets = append(described.Targets, f.target(t))
		}
		req.Peers = append(req.Peers, described)
	}
	req.Files = len(f.files)
	return req, f.files, f.err
}

// errNotAFile is returned for a Source that cannot be handed to another process.
var errNotAFile = errors.New("its reader is not an open file, which a worker process needs")

// deadline is how long a phase may take.
func deadline(millis int64) time.Duration { return time.Duration(millis) * time.Millisecond }
