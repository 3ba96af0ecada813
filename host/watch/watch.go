// Package watch takes in adapters that are put into a folder. Each directory in it is an adapter, and so is each bundle and each single file that
// may be one; the name without its ending is the alias. When it is complete it is checked and made live, or moved to quarantine with the report
// that says why. What is removed from the folder stays live: a server is told to forget an adapter, not left to guess it.
//
// A directory counts as complete when it has a configuration and weights, and nothing in it has changed for a while, and a file when it has not
// changed for a while; it does not matter whether it was copied there or renamed. New bytes under an old name are taken in as a new generation. Names that begin with a dot are nobody's
// business, which makes them the place to copy to before a rename.
package watch

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/server"
)

// Loader takes adapters in. Its methods are called from several goroutines.
type Loader interface {
	// Offer is server.Engine's Load, but does not make live again what was taken back.
	Offer(ctx context.Context, load server.Load) (*server.Loaded, error)
	// Check asks the gate, and changes nothing.
	Check(ctx context.Context, ref string) (*report.Report, error)
	// Refused tells whoever listens that something was refused before anybody looked into it. The alias is "" where the name is none.
	Refused(ctx context.Context, alias, ref string, why *fault.Error)
}

// Action is what becomes of an adapter that the gate lets through.
type Action string

// The actions.
const (
	Activate Action = "activate" // it is live under the name of its directory
	Stage    Action = "stage"    // it is ready to be made live by hand
	Check    Action = "check"    // nothing: only what is refused moves
)

// Actor is who the watched folder is in the audit.
var Actor = server.Actor{Name: "watch"}

// Options of Watch. Zero values stand for the defaults in brackets.
type Options struct {
	Action   Action        // [Activate]
	Base     string        // the base's name, which no alias may take
	Settle   time.Duration // without a change, until a directory counts as complete [2 s]
	Rescan   time.Duration // between two looks at a folder that nothing was heard of [10 s]
	Workers  int           // adapters at a time [4]
	Slow     time.Duration // after which an adapter does not hold up the next one any more [30 s]
	Patience time.Duration // after which one is given up [30 min]
	Log      *slog.Logger  // [discard]
}

// maxSlow bounds how many slow adapters go on beside the others. A folder with more of them waits.
const maxSlow = 32

func (o Options) withDefaults() Options {
	if o.Action == "" {
		o.Action = Activate
	}
	if o.Workers <= 0 {
		o.Workers = 4
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{{&o.Settle, 2 * time.Second}, {&o.Rescan, 10 * time.Second}, {&o.Slow, 30 * time.Second}, {&o.Patience, 30 * time.Minute}} {
		if *d.value <= 0 {
			*d.value = d.usual
		}
	}
	return o
}

// CheckAction refuses a word that is no action.
func CheckAction(a Action) error {
	switch a {
	case Activate, Stage, Check:
		return nil
	}
	return fault.New(fault.UsageFlag, "%q is not what can be done with an adapter of a watched folder", a).Fix("give activate, stage or check")
}

// watcher is one Watch. Its entries belong to the goroutine of its loop.
type watcher struct {
	dir     string
	loader  Loader
	options Options
	entries map[string]*entry
	outcome chan outcome
	slots   chan struct{} // of Workers
	slow    chan struct{} // of maxSlow
}

// Watch takes in what is put into dir until ctx ends, and then waits for what it is doing to end. The error says why the folder cannot be
// watched at all.
func Watch(ctx context.Context, dir string, loader Loader, o Options) error {
	o = o.withDefaults()
	if err := CheckAction(o.Action); err != nil {
		return err
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		var info fs.FileInfo
		if info, err = os.Stat(dir); err == nil && !info.IsDir() {
			err = errors.New("it is no directory")
		}
	}
	if err != nil {
		return fault.New(fault.IONotFound, "the folder cannot be watched").In(dir).Wrap(err).Fix("make the folder first")
	}
	w := &watcher{
		dir: dir, loader: loader, options: o, entries: map[string]*entry{}, outcome: make(chan outcome),
		slots: make(chan struct{}, o.Workers), slow: make(chan struct{}, maxSlow),
	}
	return w.loop(server.WithActor(ctx, Actor))
}

// loop looks at the folder when something has happened in it, when something may have settled, and now and then, since a notice can be lost.
func (w *watcher) loop(ctx context.Context) error {
	var notices <-chan fsnotify.Event
	if notifier, err := fsnotify.NewWatcher(); err == nil {
		defer notifier.Close()
		if err := notifier.Add(w.dir); err == nil {
			notices = notifier.Events
			go func() {
				for err := range notifier.Errors { // lost notices; the next look sees what they were about
					w.options.Log.Debug("notices of the watched folder were lost", "dir", w.dir, "cause", err)
				}
			}()
		}
	}
	if notices == nil {
		w.options.Log.Warn("the watched folder gives no notice: it is looked at now and then", "dir", w.dir, "every", w.options.Rescan)
	}
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			for range w.working() {
				w.ended(ctx, <-w.outcome)
			}
			return nil
		case _, ok := <-notices:
			if !ok {
				notices = nil
			}
		case o := <-w.outcome:
			w.ended(ctx, o)
		case <-next.C:
		}
		w.scan(ctx)
		pause := w.options.Rescan
		if w.unsettled() {
			pause = min(pause, w.options.Settle/2)
		}
		next.Reset(pause)
	}
}

// working lists what is being taken in.
func (w *watcher) working() []*entry {
	var out []*entry
	for _, e := range w.entries {
		if e.working {
			out = append(out, e)
		}
	}
	return out
}

// unsettled tells that a directory may soon be complete.
func (w *watcher) unsettled() bool {
	for _, e := range w.entries {
		if !e.working && e.print != e.handled {
			return true
		}
	}
	return false
}
