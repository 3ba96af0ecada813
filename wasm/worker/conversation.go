package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// conversation is what the parent says to one worker and hears from it.
type conversation struct {
	runner    *Runner
	job       Job
	request   request
	files     []*os.File
	body      []byte // of the request's frame
	published func() // what was compiled is in the cache
	process   *process
	loaded    bool // it has compiled the module already
	limits    abi.Limits

	confined bool // the worker said how it is confined
	partial  bool // and something is missing
	compiled bool // the module is compiled, and the guest runs
	stopped  bool // by us: a deadline, the caller, or a broken protocol
	hungUp   bool // the worker closed its end

	deadline time.Time      // of what it does now
	speaking sync.WaitGroup // to the worker
}

// message is a frame from the worker, or why there is none.
type message struct {
	kind byte
	body []byte
	err  error
}

// hold talks to the worker until there is a result, a deadline passes, the caller gives up or the worker ends. The worker is still to be
// ended by the caller.
func (c *conversation) hold(ctx context.Context) sandbox.Result {
	begun := time.Now()
	timer := time.NewTimer(deadline(c.limits.CompileMillis))
	defer timer.Stop()
	c.deadline = begun.Add(deadline(c.limits.CompileMillis))
	frames := make(chan message, 4)
	quit := make(chan struct{})
	defer close(quit)
	run := make(chan struct{}, 1)
	failed := make(chan error, 1)
	c.speaking.Go(func() { failed <- c.speak(run, quit) })
	go c.listen(frames, quit)
	phase, limit := "compiling the module", c.limits.CompileMillis
	spent := func(r sandbox.Result) sandbox.Result { // a worker that did not finish cannot say what it cost
		if c.compiled {
			r.Usage.Wall = time.Since(begun).Nanoseconds()
		} else {
			r.Usage.Compile = time.Since(begun).Nanoseconds()
		}
		return r
	}
	for {
		select {
		case <-ctx.Done():
			c.stopped = true
			return spent(sandbox.Result{Status: sandbox.WorkerDied, Error: "canceled while " + phase + ": the worker was killed"})
		case <-timer.C:
			c.stopped = true
			return spent(sandbox.Result{Status: sandbox.Timeout,
				Error: fmt.Sprintf("%s took more than %d ms: the worker was killed", phase, limit)})
		case err := <-failed:
			if err != nil {
				c.stopped = true
				return spent(sandbox.Result{Status: sandbox.WorkerDied, Error: "the worker was not given its files: " + err.Error()})
			}
		case m := <-frames:
			if m.err != nil {
				if errors.Is(m.err, errFrame) {
					c.stopped = true
					return sandbox.Result{Status: sandbox.WorkerDied, Error: "the worker broke its protocol: " + m.err.Error()}
				}
				c.hungUp = true
				return spent(sandbox.Result{Status: sandbox.WorkerDied, Error: "the worker ended without a result"})
			}
			result, done, err := c.hear(m)
			if err != nil {
				c.stopped = true
				return sandbox.Result{Status: sandbox.WorkerDied, Error: err.Error()}
			}
			if done {
				return result
			}
			if m.kind == frameCompiled {
				c.keep()
				phase, limit, begun = "running the module", c.limits.RunMillis, time.Now()
				timer.Reset(deadline(limit))
				c.deadline = begun.Add(deadline(limit))
				run <- struct{}{}
			}
		}
	}
}

// conclude ends the worker and makes what is known of it part of the result.
func (c *conversation) conclude(ctx context.Context, result sandbox.Result) outcome {
	last := c.process.end(ctx, c.hungUp, c.deadline)
	c.speaking.Wait() // the files are the caller's again
	result.Usage.CPU, result.Usage.ResidentBytes = last.cpu, last.resident
	if c.hungUp {
		result = diedResult(result, last)
	}
	o := outcome{result: result, confinement: Partial, deadline: c.deadline, process: c.process}
	// A module that is refused before it is compiled says nothing about the cache, and neither does one that took too long. Where it was to be
	// written, the error names it.
	failed := c.request.CacheDir != "" && !c.compiled && !c.stopped && result.Usage.Compile > 0
	o.broken = failed && (!c.request.Cold || strings.Contains(result.Error, c.request.CacheDir))
	if c.confined && !c.partial {
		o.confinement = Full
	}
	return o
}

// hear takes one frame. Frames out of order are an error, like a result that does not hold.
func (c *conversation) hear(m message) (result sandbox.Result, done bool, err error) {
	switch {
	case m.kind == frameResult:
		result, calls, err := decodeAnswer(m.body, c.job, c.compiled)
		maps.Copy(c.job.Trace, calls)
		return result, err == nil, err
	case m.kind == frameConfined && !c.confined, m.kind == frameCompiled && c.confined && !c.compiled:
		var l layers
		if err := json.Unmarshal(m.body, &l); err != nil {
			return result, false, fmt.Errorf("the worker's confinement: %w", err)
		}
		c.confined = true
		c.compiled = m.kind == frameCompiled
		c.partial = c.partial || len(l.Missing) > 0
		return result, false, nil
	}
	return result, false, fmt.Errorf("the worker broke its protocol: frame %q out of order", m.kind)
}

// keep puts what a cold worker compiled into the cache. No guest code has run: the worker waits. A module that cannot be kept is compiled
// again next time.
func (c *conversation) keep() {
	if c.request.Cold {
		if publish(c.runner.CacheDir, c.request.CacheDir, c.job.SHA256) == nil {
			evict(c.runner.CacheDir, cmp.Or(c.runner.CacheBytes, cacheBytes))
		}
		c.published()
	}
}

// speak sends the request, the files and the module and, when it is told to, the word to run. It ends when the worker or the conversation
// does. Its error says why the files cannot be handed over; that the worker is gone is none, since whoever listens hears it.
func (c *conversation) speak(run, quit <-chan struct{}) error {
	if c.loaded {
		<-c.process.prepared // the module is written, or cannot be
	}
	if writeFrame(c.process.in, frameRequest, c.body) != nil {
		return nil
	}
	if err := sendFiles(c.process.in, c.files); err != nil {
		for _, gone := range []error{io.EOF, syscall.EPIPE, syscall.ECONNRESET} {
			if errors.Is(err, gone) {
				return nil
			}
		}
		return err
	}
	if !c.loaded && writeFrame(c.process.in, frameModule, c.job.Wasm) != nil {
		return nil
	}
	select {
	case <-run:
		_ = writeFrame(c.process.in, frameRun, nil)
	case <-quit:
	}
	return nil
}

// listen passes the worker's frames on. It ends with the first error, which is io.EOF when the worker ended, or with the conversation.
func (c *conversation) listen(frames chan<- message, quit <-chan struct{}) {
	limits := map[byte]int64{frameConfined: maxLayers, frameCompiled: maxLayers, frameResult: resultLimit(c.limits)}
	for {
		kind, body, err := readFrame(c.process.out, limits)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
		select {
		case frames <- message{kind, body, err}:
		case <-quit:
			return
		}
		if err != nil || kind == frameResult {
			return
		}
	}
}
