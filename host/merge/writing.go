package merge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
)

// writing is one run of a merge to disk. Three things go on at once: the backend merges, the kernel copies what no delta touches, and
// whatever either has finished is read back, hashed, checked and noted in the journal.
type writing struct {
	plan   *Plan
	layout *layout
	work   *work
	pieces map[string]piece
	files  []*os.File // of the layout's shards
	cloned []bool     // by this run: what no delta touches is in the file already
	seed   uint64     // of the probe, which no backend hears of
	meter  meter

	unsynced atomic.Bool // the disk did not take what was written

	mu   sync.Mutex
	done map[string]finished
}

func newWriting(p *Plan, l *layout, work *work, report func(Progress)) *writing {
	w := &writing{
		plan: p, layout: l, work: work, pieces: map[string]piece{}, cloned: make([]bool, len(l.shards)),
		seed: newProbeSeed(), meter: meter{report: report, total: l.bytes()}, done: map[string]finished{},
	}
	for _, s := range l.shards {
		for _, c := range s.pieces {
			w.pieces[c.to.Name] = c
		}
	}
	return w
}

func (w *writing) close() {
	for _, f := range w.files {
		f.Close()
	}
	w.files = nil
}

// create opens the output's shards: each has its header, is as long as it will be, and on file systems that share blocks holds the
// base's bytes from the start. What an earlier run wrote stays.
func (w *writing) create() error {
	for i, s := range w.layout.shards {
		path := filepath.Join(w.work.model, s.name)
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o644)
		if err != nil {
			return durable.Fault(path, err)
		}
		w.files = append(w.files, f)
		info, err := f.Stat()
		if err == nil && !w.isOutput(info) {
			err = fault.New(fault.IOWrite, "it is not a file of this merge alone").In(path).Fix("remove it")
		}
		if err == nil && info.Size() == 0 && s.twin >= 0 {
			w.cloned[i] = durable.Clone(f, w.plan.Base.Shards[s.twin].Os())
		}
		if err == nil && !w.cloned[i] {
			_, err = f.WriteAt(s.header, 0)
		}
		if err == nil {
			err = f.Truncate(s.size)
		}
		if err != nil {
			return durable.Fault(path, err)
		}
	}
	return nil
}

// isOutput reports whether a file can be written: a regular one, with no other name, which might be one of the base.
func (w *writing) isOutput(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return info.Mode().IsRegular() && ok && stat.Nlink == 1
}

// recheck looks at what the journal says is finished, as if a backend had just written it, and takes over what is right: the journal only tells
// where to look. What is not there, or is something else, is done again.
func (w *writing) recheck(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for name, entry := range w.work.journal.found {
		c, ok := w.pieces[name]
		if !ok {
			continue
		}
		r := w.reading(c, func(found finished) error {
			if found == entry {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.done[name] = entry
			}
			return nil
		})
		group.Go(func() error {
			if err := readBack(ctx, r); fault.ClassOf(err) == fault.Operational && err != nil {
				return err
			}
			if !w.isDone(name) {
				w.meter.add(-r.at)
			}
			return nil
		})
	}
	return group.Wait()
}

// finish notes a tensor that was read back and is right.
func (w *writing) finish(c piece, entry finished) error {
	w.mu.Lock()
	w.done[c.to.Name] = entry
	w.mu.Unlock()
	if err := w.work.journal.add(c.to.Name, entry); err != nil {
		return durable.Fault(filepath.Join(w.work.dir, journalName), err)
	}
	return nil
}

// isDone reports whether a tensor is finished.
func (w *writing) isDone(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.done[name]
	return ok
}

// settle makes the shards final: each still begins with its header and has its size, and the disk has all of it.
func (w *writing) settle() error {
	var group errgroup.Group
	for i, s := range w.layout.shards {
		group.Go(func() error {
			f := w.files[i]
			header := make([]byte, len(s.header))
			_, err := f.ReadAt(header, 0)
			if err != nil && !errors.Is(err, io.EOF) {
				return fault.New(fault.IORead, "it cannot be read back").In(f.Name()).AtByte(0).Wrap(err)
			}
			info, statErr := f.Stat()
			if statErr != nil {
				return fault.New(fault.IORead, "it cannot be looked at").In(f.Name()).Wrap(statErr)
			}
			if named, err := os.Lstat(f.Name()); err != nil || !os.SameFile(named, info) {
				return fault.New(fault.MergeMismatch, "somebody put another file in its place").In(f.Name()).
					Fix("do not use this backend; write into a directory nobody else writes to")
			}
			if err != nil || !bytes.Equal(header, s.header) || info.Size() != s.size {
				return fault.New(fault.MergeMismatch, "somebody wrote to the file's header, or changed its length").In(f.Name()).AtByte(0).
					Fix("the backend writes where it was not told to: do not use it; run its conformance test")
			}
			if err := f.Sync(); err != nil {
				// The system tells this once, and then shows bytes that it could not write. No later run must believe them.
				w.unsynced.Store(true)
				return durable.Fault(f.Name(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// meter counts finished bytes for who wants to know.
type meter struct {
	report func(Progress) // may be nil
	done   atomic.Int64
	total  int64
}

func (m *meter) add(n int64) {
	done := m.done.Add(n)
	if m.report != nil {
		m.report(Progress{Done: done, Total: m.total})
	}
}
