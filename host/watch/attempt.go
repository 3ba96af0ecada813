package watch

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

// After a failure that has nothing to do with the adapter it is tried again, at first soon.
const (
	firstPause = 2 * time.Second
	longPause  = 5 * time.Minute
)

// outcome is how the taking in of one entry ended.
type outcome struct {
	entry   *entry
	print   fingerprint    // that was dealt with
	report  *report.Report // nil where there is none
	refusal *fault.Error   // why it is refused without a report
	err     error          // why there is no answer
}

// start deals with an entry in a goroutine of its own, when it is its turn.
func (w *watcher) start(ctx context.Context, e *entry, work func(context.Context) outcome) {
	e.working = true
	print := e.print
	go func() {
		o := w.attempt(ctx, work)
		o.entry, o.print = e, print
		w.outcome <- o
	}()
}

// attempt waits for a slot and works. Who works for long gives its slot to the next one and goes on beside it; who works without end is given
// up, whether it listens or not.
func (w *watcher) attempt(ctx context.Context, work func(context.Context) outcome) outcome {
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	}
	leave := sync.OnceFunc(func() { <-w.slots })
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, w.options.Patience)
	defer cancel()
	done := make(chan outcome, 1)
	go func() { done <- work(ctx) }()
	slow := time.NewTimer(w.options.Slow)
	defer slow.Stop()
	for {
		select {
		case o := <-done:
			return o
		case <-slow.C:
			select {
			case w.slow <- struct{}{}:
				defer func() { <-w.slow }()
				leave()
			default: // there are many of them: this one keeps its slot
			}
		case <-ctx.Done():
			select {
			case o := <-done:
				return o
			case <-time.After(w.options.Settle): // it does not listen
				return outcome{err: fault.New(fault.Canceled, "the adapter was not taken in within %v", w.options.Patience)}
			}
		}
	}
}

// take has the loader take a directory in.
func (w *watcher) take(ctx context.Context, name, path string) outcome {
	if w.options.Action == Check {
		r, err := w.loader.Check(ctx, path)
		return outcome{report: r, err: err}
	}
	loaded, err := w.loader.Offer(ctx, server.Load{Alias: name, Ref: path, Staged: w.options.Action == Stage})
	if err != nil {
		return outcome{err: err}
	}
	return outcome{report: loaded.Report}
}

// ended follows up on an outcome: what was refused moves to quarantine if it is still what was judged, what has failed is tried again.
func (w *watcher) ended(ctx context.Context, o outcome) {
	e := o.entry
	e.working = false
	path, log := filepath.Join(w.dir, e.name), w.options.Log
	now, err := look(path)
	if err != nil || now.print != o.print {
		log.InfoContext(ctx, "an adapter of the watched folder changed while it was checked, and is looked at again", "path", report.Escape(path))
		return
	}
	if o.err != nil {
		if list := fault.All(o.err); len(list) > 0 && (fault.ClassOf(o.err) == fault.Rejected || list[0].Code == fault.ADName) {
			o.refusal = list[0] // of the content, or of the name
		}
	}
	switch {
	case o.refusal != nil || o.report != nil && !o.report.Verdict.Open() && o.err == nil:
		e.handled = o.print // also where it cannot be moved: it would fail for ever
		w.isolate(ctx, e, o, path)
	case o.err != nil:
		e.pause = min(longPause, max(firstPause, 2*e.pause))
		e.retry = time.Now().Add(e.pause)
		log.WarnContext(ctx, "an adapter of the watched folder could not be taken in, and is tried again", "path", report.Escape(path), "after", e.pause,
			"cause", report.Escape(o.err.Error()))
	default:
		e.handled = o.print
		level, said := slog.LevelDebug, "an adapter of the watched folder was taken in" // who took it in says as what
		if w.options.Action == Check {
			level, said = slog.LevelInfo, "an adapter of the watched folder was checked, and stays where it is"
		}
		log.Log(ctx, level, said, "path", report.Escape(path), "digest", o.report.Adapter.Digest, "verdict", string(o.report.Verdict))
	}
}

// isolate moves what was refused to quarantine.
func (w *watcher) isolate(ctx context.Context, e *entry, o outcome, path string) {
	if o.report == nil {
		alias := e.alias
		if server.CheckAlias(alias, "") != nil {
			alias = ""
		}
		w.loader.Refused(ctx, alias, path, o.refusal)
	}
	place, err := quarantine(w.dir, e.name, o)
	why := o.report
	if why == nil {
		why = refusalReport(path, o.refusal)
	}
	first := report.First(why)
	about := []any{"path", report.Escape(path), "verdict", string(why.Verdict), "code", report.Escape(first.Code), "finding", report.Escape(first.Message)}
	if err != nil {
		w.options.Log.ErrorContext(ctx, "a refused adapter of the watched folder could not be moved, and stays", append(about, "cause", report.Escape(err.Error()))...)
		return
	}
	w.options.Log.WarnContext(ctx, "an adapter of the watched folder was refused", append(about, "moved", report.Escape(place))...)
}
