package merge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

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
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return durable.Fault(path, err)
		}
		w.files = append(w.files, f)
		info, err := f.Stat()
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

// recheck hashes what the journal says is finished, and takes over what has the digest it says.
func (w *writing) recheck(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	checks := &couples{start: func(tensors ...*reading) { group.Go(func() error { return readBack(ctx, tensors...) }) }}
	for name, entry := range w.work.journal.found {
		c, ok := w.pieces[name]
		if !ok {
			continue
		}
		checks.add(w.reading(c, func(sum [32]byte, _ []float64) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if sum == entry.sum {
				w.done[name] = entry
			} else {
				w.meter.add(-c.to.Length)
			}
			return nil
		}))
	}
	checks.end()
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
			if err != nil || !bytes.Equal(header, s.header) || info.Size() != s.size {
				return fault.New(fault.MergeMismatch, "somebody wrote to the file's header, or changed its length").In(f.Name()).AtByte(0).
					Fix("the backend writes where it was not told to: do not use it; run its conformance test")
			}
			if err := f.Sync(); err != nil {
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
