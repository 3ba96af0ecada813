package conformance

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// graceTime is how long a case that was told to end may take to do so.
const graceTime = 15 * time.Second

// Outcome is how a case ended.
type Outcome string

// The outcomes.
const (
	OK      Outcome = "ok"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result is what became of one case.
type Result struct {
	Name    string        `json:"name"`
	Outcome Outcome       `json:"outcome"`
	Words   []string      `json:"words,omitempty"` // what failed, each with the part of the case it is of; or why it was skipped
	Took    time.Duration `json:"-"`
}

// Options tell Run what to do.
type Options struct {
	Limit time.Duration     // for one case. What takes longer has failed, and is left alone where it does not end even when told to
	Only  func(string) bool // the names of the cases that are run, beside those that the others depend on; nil is all
	Heard func(Result)      // is told of each case when it ends
}

// Run runs test outside of any test binary. What test runs with T.Run are the cases. None is begun after the end of ctx. The result is that every
// case was ok or skipped.
func Run(ctx context.Context, options Options, test func(T)) bool {
	if options.Only == nil {
		options.Only = func(string) bool { return true }
	}
	root := &run{ctx: ctx, options: options}
	return root.do(test)
}

// run is one test, case or part of a case.
type run struct {
	name    string // of a part: below its case
	parent  *run   // nil for the test
	ctx     context.Context
	options Options

	mu       sync.Mutex
	failed   bool
	skipped  bool
	words    []string
	cleanups []func()
}

var _ T = (*run)(nil)

// do runs a test to its end, with its cleanups.
func (r *run) do(test func(T)) bool {
	ctx, cancel := context.WithCancel(r.ctx)
	r.ctx = ctx
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.clean(cancel)
		defer r.recovered()
		test(r)
	}()
	r.await(done, cancel)
	return !r.Failed()
}

// await waits for the end of a test. Only a case is limited: its parts end with it.
func (r *run) await(done <-chan struct{}, cancel context.CancelFunc) {
	if r.parent == nil || r.parent.parent != nil {
		<-done
		return
	}
	timer := time.NewTimer(r.options.Limit)
	defer timer.Stop()
	select {
	case <-done:
		return
	case <-timer.C:
		r.Errorf("it took longer than %v", r.options.Limit)
	case <-r.ctx.Done():
		select { // it may be the case's own end
		case <-done:
			return
		default:
		}
	}
	cancel()
	select {
	case <-done:
	case <-time.After(graceTime):
		r.Errorf("it did not end when it was told to")
	}
}

// recovered turns a panic into a failure. A Fatalf or a Skipf ends the goroutine without one.
func (r *run) recovered() {
	if caught := recover(); caught != nil {
		r.Errorf("panic: %v\n%s", caught, debug.Stack())
	}
}

// clean ends the test's context and undoes what it did, the last first.
func (r *run) clean(cancel context.CancelFunc) {
	cancel()
	for {
		r.mu.Lock()
		n := len(r.cleanups)
		if n == 0 {
			r.mu.Unlock()
			return
		}
		last := r.cleanups[n-1]
		r.cleanups = r.cleanups[:n-1]
		r.mu.Unlock()
		last()
	}
}

// Run runs a part, or a case where r is the test.
func (r *run) Run(name string, test func(T)) bool {
	child := &run{name: name, parent: r, ctx: r.ctx, options: r.options}
	if r.parent == nil {
		if r.ctx.Err() != nil {
			return false
		}
		if !strings.HasPrefix(name, describing) && !r.options.Only(name) {
			return true
		}
	}
	if r.parent != nil && r.parent.parent != nil {
		child.name = r.name + ", " + name
	}
	begun := time.Now()
	ok := child.do(test)
	if r.parent == nil && r.ctx.Err() == nil {
		r.options.Heard(child.result(time.Since(begun)))
	}
	return ok
}

func (r *run) result(took time.Duration) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	result := Result{Name: r.name, Outcome: OK, Took: took}
	switch {
	case r.failed:
		result.Outcome, result.Words = Failed, r.words
	case r.skipped:
		result.Outcome, result.Words = Skipped, r.words
	}
	return result
}

// say keeps words with the case.
func (r *run) say(words string) {
	at := r
	if r.parent != nil && r.parent.parent != nil { // a part
		words = r.name + ": " + words
		for at.parent.parent != nil {
			at = at.parent
		}
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	at.words = append(at.words, words)
}

func (r *run) fail() {
	for at := r; at != nil; at = at.parent {
		at.mu.Lock()
		at.failed = true
		at.mu.Unlock()
	}
}

// Helper is for test binaries, which print where they were.
func (r *run) Helper() {}

// Name is the name of the test, its case and its parts.
func (r *run) Name() string {
	var names []string
	for at := r; at != nil && at.parent != nil; at = at.parent {
		names = append([]string{at.name}, names...)
	}
	return strings.Join(names, "/")
}

// Context ends with the test.
func (r *run) Context() context.Context { return r.ctx }

// TempDir makes a directory that is removed after the test.
func (r *run) TempDir() string {
	dir, err := os.MkdirTemp("", "tenon-conformance-*")
	if err != nil {
		r.Fatalf("%v", err)
	}
	r.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Cleanup calls f after the test.
func (r *run) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

// Failed reports whether the test or a part of it has failed.
func (r *run) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// Logf says something that matters only where the case fails.
func (r *run) Logf(format string, args ...any) { r.say(fmt.Sprintf(format, args...)) }

// Errorf fails the test and goes on.
func (r *run) Errorf(format string, args ...any) {
	r.say(fmt.Sprintf(format, args...))
	r.fail()
}

// Fatalf fails the test and ends it.
func (r *run) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// Skipf ends the test without a verdict.
func (r *run) Skipf(format string, args ...any) {
	r.say(fmt.Sprintf(format, args...))
	r.mu.Lock()
	r.skipped = true
	r.mu.Unlock()
	runtime.Goexit()
}
