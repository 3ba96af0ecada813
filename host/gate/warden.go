package gate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// watchEvery is how often the lists of revoked modules are looked at while modules run.
const watchEvery = 200 * time.Millisecond

// warden keeps revoked modules from running, during one check. The lists are read when the check begins, before each run and at the end, and
// looked at all along: a run whose module is revoked meanwhile is stopped. A list that cannot be read stops everything.
type warden struct {
	mu      sync.Mutex // for everything below
	files   []*revokedFile
	running map[*run]context.CancelCauseFunc
	broken  []report.Finding // lists that could not be read once: nothing runs any more, whatever they are now
}

// newWarden makes a warden of the lists in files, of which "" is none.
func newWarden(files ...string) *warden {
	w := &warden{running: map[*run]context.CancelCauseFunc{}}
	for _, path := range files {
		if path != "" && !slices.ContainsFunc(w.files, func(l *revokedFile) bool { return l.path == path }) {
			w.files = append(w.files, &revokedFile{path: path})
		}
	}
	return w
}

// judge reads the lists and refuses the runs that they forbid. None of them is running.
func (w *warden) judge(runs []*run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.load(w.files...)
	for _, r := range runs {
		if refused := w.verdict(r); refused != nil {
			r.refused = refused
		}
	}
}

// admit reads the lists before a run. The context that it returns ends, with a *refusal as its cause, as soon as they forbid the run, which may
// be at once. The caller calls release when the run is over.
func (w *warden) admit(ctx context.Context, r *run) (inner context.Context, release func()) {
	inner, cancel := context.WithCancelCause(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[r] = cancel
	w.load(w.files...)
	w.enforce()
	return inner, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.running, r)
		cancel(nil)
	}
}

// stopped is why the warden ended a run; nil where it did not.
func stopped(ctx context.Context) *refusal {
	var refused *refusal
	if errors.As(context.Cause(ctx), &refused) {
		return refused
	}
	return nil
}

// watch looks at the lists until stop is called. Without lists nothing is started.
func (w *warden) watch() (stop func()) {
	if len(w.files) == 0 {
		return func() {}
	}
	quit := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				w.look()
			}
		}
	})
	return func() {
		close(quit)
		watching.Wait()
	}
}

// look reads the lists that have changed.
func (w *warden) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.load(slices.DeleteFunc(slices.Clone(w.files), func(l *revokedFile) bool { return !l.changed() })...)
	w.enforce()
}

// load reads lists. The caller holds mu.
func (w *warden) load(files ...*revokedFile) {
	for _, l := range files {
		if l.load(); l.err == nil {
			continue
		}
		f := report.Finding{Code: string(fault.RevokedList), Severity: report.DenySeverity, Message: "the list of revoked modules cannot be used: " + l.err.Error(),
			Hint: "put the list of revoked modules back: without it nothing runs"}
		if !slices.ContainsFunc(w.broken, func(other report.Finding) bool { return other.Message == f.Message }) {
			w.broken = append(w.broken, f)
		}
	}
}

// enforce stops what must not run. The caller holds mu.
func (w *warden) enforce() {
	for r, cancel := range w.running {
		if refused := w.verdict(r); refused != nil {
			cancel(refused)
		}
	}
}

// verdict is why a run is forbidden; nil where it is not. The caller holds mu.
func (w *warden) verdict(r *run) *refusal {
	if len(w.broken) > 0 {
		return &refusal{status: sandbox.Denied, code: fault.RevokedList, text: "a list of revoked modules cannot be used, so nothing runs"}
	}
	for _, l := range w.files {
		for _, of := range []struct {
			what   string
			digest [32]byte
		}{{"module", r.module.SHA256}, {"manifest", r.module.ManifestSHA256}} {
			if reason, listed := l.digests[of.digest]; listed {
				return &refusal{status: sandbox.Denied, code: fault.ModuleRevoked,
					text:   strings.TrimSuffix("its "+of.what+" is revoked in "+l.path+": "+reason, ": "),
					remedy: "take the module out of the policy, or put a build in that is not revoked"}
			}
		}
	}
	return nil
}

// failures are the findings about lists that could not be read.
func (w *warden) failures() []report.Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.broken)
}
