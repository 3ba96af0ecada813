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
	CacheBytes int64  // that the cache may hold, the longest unused go first; 0 means 1 GiB
	Parallel   int    // workers at once, more wait; 0 means the number of CPUs
	Memory     int64  // bytes that runs at the same time may need by their limits, more wait; 0 means half of what the machine allows
	Threads    int    // that a worker computes with; 0 means 2

	// Spares are workers that are started ahead of their jobs, which then begin sooner; 0 keeps none. The first has read nothing, each other
	// one has loaded a module that ran often from the cache. A spare nobody has a job for within 30 s is ended; all of them are by Close, and
	// by the kernel when this process ends.
	Spares int

	once      sync.Once
	queue     admission
	compiling compiling
	spares    spares
}

// Close ends the spares, and waits until they are gone. Runs that are under way go on, and later ones start their own workers. A Runner
// without spares need not be closed.
func (r *Runner) Close() error {
	r.spares.close()
	return nil
}

// Warm starts a spare now, before the first job, and returns at once.
func (r *Runner) Warm() { r.spares.fill(r, nil, nil) }

// Job is one run of one module on one input. Every Source's Reader must be an *os.File, or have a method Os() *os.File or OpenOs() (*os.File, error);
// the file is read by the worker at absolute offsets and stays the caller's.
type Job struct {
	Wasm     []byte
	SHA256   [32]byte // of Wasm
	Manifest abi.Manifest
	Granted  []abi.Capability
	Limits   abi.Limits
	Input    sandbox.Input
	Trace    sandbox.Trace // filled with what the host calls cost; nil where nobody asks
}

// Run runs a job in a process of its own and always gives a result. It first waits, as long as ctx allows, until no other run compiles the
// same module and until there is a slot and memory; from then on it takes the limits' compile and run time at most. A worker that has to
// be replaced by another, as a spare died before it read the module or the cache is damaged or full, adds to it what it took, at most the
// compile time. Run also says how the worker was confined, Full or Partial. When ctx ends, the worker is killed and the status is
// WorkerDied.
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
	allowed, err := r.permit(ctx, job)
	if err != nil {
		return sandbox.Result{Status: sandbox.WorkerDied, Error: "canceled before the worker was started"}, Full
	}
	var last *process
	defer func() { afterwards(last, allowed.release) }()
	defer allowed.published()

	attempt := func() outcome {
		o := r.attempt(ctx, job, req, files, allowed.published)
		last = o.process
		return o
	}
	if allowed.loads {
		req.CacheDir = allowed.entry.dir
		o := attempt()
		allowed.entry.release()
		if !o.broken {
			return o.result, o.confinement
		}
		_ = os.RemoveAll(allowed.entry.dir)
	}
	req.CacheDir = ""
	if allowed.cached {
		if temp, err := os.MkdirTemp(r.CacheDir, tempName); err == nil {
			defer func() { afterwards(last, func() { _ = os.RemoveAll(temp) }) }()
			req.CacheDir, req.Cold = temp, true
		}
	}
	o := attempt()
	if o.broken { // the disk is full, say: what cannot be kept can still be run
		req.CacheDir, req.Cold = "", false
		o = attempt()
	}
	return o.result, o.confinement
}

// afterwards calls do when the process is gone: now, if it is, and without keeping the caller waiting if it is not.
func afterwards(p *process, do func()) {
	if p == nil {
		do()
		return
	}
	select {
	case <-p.gone:
		do()
	default:
		go func() {
			<-p.gone
			do()
		}()
	}
}

// outcome is what came of one worker.
type outcome struct {
	result      sandbox.Result
	confinement string
	deadline    time.Time // of what it did last
	broken      bool      // it failed to compile, and the cache may be to blame: the module could not be loaded, or not be written
	process     *process  // nil where none was started
}

// attempt runs one worker from start to end. published is called once what a cold worker compiled is in the cache.
func (r *Runner) attempt(ctx context.Context, job Job, req request, files []*os.File, published func()) outcome {
	body, err := json.Marshal(req, json.Deterministic(true))
	if err != nil || len(body) > maxRequest {
		text := fmt.Sprintf("the worker was not started: its request of %d bytes cannot be sent: %v", len(body), err)
		return outcome{result: sandbox.Result{Status: sandbox.WorkerDied, Error: text}, confinement: Partial}
	}
	wanted := load{job.SHA256, job.Limits.WithDefaults()}
	p, loaded := r.spares.take(wanted, len(files), req.Cold)
	spare := p != nil
	// When the run has ended: loading the next one would take the run's processors away.
	defer func() {
		if req.CacheDir != "" && !req.Cold {
			r.spares.fill(r, &wanted, job.Wasm)
		} else {
			r.Warm()
		}
	}()
	for {
		if p == nil {
			if p, err = start(r.Executable); err != nil {
				text := "the worker did not start: " + err.Error()
				return outcome{result: sandbox.Result{Status: sandbox.WorkerDied, Error: text}, confinement: Partial}
			}
		}
		c := conversation{runner: r, job: job, request: req, files: files, published: published, body: body, process: p, loaded: loaded,
			limits: wanted.limits}
		result := c.hold(ctx)
		if c.hungUp && spare && !c.confined { // it ended while it waited, and has not seen the module
			p.discard()
			c.speaking.Wait()
			p, spare, loaded = nil, false, false
			continue
		}
		return c.conclude(ctx, result)
	}
}

// describe writes a job down for the worker and lists the files it needs, each once.
func describe(job Job) (request, []*os.File, error) {
	req := request{
		Manifest: job.Manifest, Granted: job.Granted, Limits: job.Limits, Attrs: job.Input.Attrs, Params: map[string]bits{},
		Trace: job.Trace != nil,
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
