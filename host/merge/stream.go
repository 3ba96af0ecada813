package merge

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// batchBytes is about how much the backend is asked to merge at a time. It goes no further ahead of the checks than this, so that what is
// to be read back is still in memory, and it holds the factors of no more weights than these.
const batchBytes = 1 << 30

// stream merges, copies and checks everything that is not finished.
func (w *writing) stream(ctx context.Context, client backendpb.BackendClient) error {
	caller := ctx
	group, ctx := errgroup.WithContext(ctx)
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	// Whoever has something to check waits until a processor is free for it.
	checks := &couples{start: func(tensors ...*reading) {
		select {
		case slots <- struct{}{}:
			group.Go(func() error {
				defer func() { <-slots }()
				return readBack(ctx, tensors...)
			})
		case <-ctx.Done():
		}
	}}
	group.Go(func() error {
		writers, ctx := errgroup.WithContext(ctx)
		writers.Go(func() error { return w.copyUntouched(ctx, checks) })
		writers.Go(func() error {
			for _, batch := range w.batches() {
				if err := w.mergeBatch(ctx, client, batch, checks); err != nil {
					return err
				}
			}
			return nil
		})
		err := writers.Wait()
		checks.end()
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if err := caller.Err(); err != nil && len(w.done) < len(w.pieces) {
		return err // a check that was not begun
	}
	if len(w.done) < len(w.pieces) {
		return fault.New(fault.MergeMismatch, "%d of %d tensors were never checked", len(w.pieces)-len(w.done), len(w.pieces)).Fix("report this: it is a fault of Tenon")
	}
	changed := int64(0)
	for _, entry := range w.done {
		changed += entry.changed
	}
	return w.plan.refuseNoEffect(changed)
}

// batches deals the items that are not finished, in turn from each shard: two writers of one file wait for each other.
func (w *writing) batches() [][]piece {
	queues := make([][]piece, len(w.layout.shards))
	left := 0
	for i, s := range w.layout.shards {
		for _, c := range s.pieces {
			if c.item != nil && !w.isDone(c.to.Name) {
				queues[i] = append(queues[i], c)
				left++
			}
		}
	}
	var batches [][]piece
	size := int64(batchBytes)
	for i := 0; left > 0; i++ {
		queue := &queues[i%len(queues)]
		if len(*queue) == 0 {
			continue
		}
		if size >= batchBytes {
			batches, size = append(batches, nil), 0
		}
		last, c := len(batches)-1, (*queue)[0]
		batches[last] = append(batches[last], c)
		*queue, size, left = (*queue)[1:], size+c.to.Length, left-1
	}
	return batches
}

// mergeBatch has the backend write some tensors into the shards, and checks each when it is written.
func (w *writing) mergeBatch(ctx context.Context, client backendpb.BackendClient, batch []piece, checks *couples) error {
	// The files carry no digests: the host has identified the base and finds out whether it changes, and the others are private copies.
	request := new(backendpb.MergeRequest)
	for _, s := range w.plan.Base.Shards {
		request.Inputs = append(request.Inputs, &backendpb.File{Path: s.File.Path(), Size: s.Size})
	}
	first := int32(len(request.Inputs))
	for _, f := range w.plan.files {
		request.Inputs = append(request.Inputs, &backendpb.File{Path: f.Path(), Size: f.Size()})
	}
	for i, s := range w.layout.shards {
		request.Outputs = append(request.Outputs, &backendpb.File{Path: filepath.Join(w.work.model, s.name), Size: w.layout.shards[i].size})
	}
	events := newEvents(len(batch))
	for _, c := range batch {
		events.planned[c.to.Name] = *c.item
		request.Tensors = append(request.Tensors, &backendpb.Output{
			Base: backendTensor(c.from, int32(c.from.File)), Patch: c.item.patch(first), Merged: backendTensor(c.to, int32(c.to.File)),
		})
	}
	stream, err := client.Merge(ctx, request)
	if err != nil {
		return err
	}
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return events.end(w.plan)
		}
		if err != nil {
			return errors.Join(events.overflow.Err(), err)
		}
		if err := events.take(event, false); err != nil {
			return err
		}
		if event.NonFinite == 0 {
			checks.add(w.merged(w.pieces[event.Tensor], event))
		}
	}
}

// merged reads a merged tensor back from its file: it must be what the merge rule makes of the base, and what the backend said of it.
func (w *writing) merged(c piece, event *backendpb.MergeEvent) *reading {
	durable.StartWriteback(w.files[c.to.File], c.to.Offset, c.to.Length)
	return w.reading(c, func(entry finished) error {
		if len(event.Sha256) > 0 && entry.sum != [32]byte(event.Sha256) {
			return mismatch(*c.item, "the file's bytes hash to %x, the backend said %x", entry.sum, event.Sha256)
		}
		if entry.changed != event.Changed {
			return mismatch(*c.item, "%d entries differ from the base's, the backend said %d", entry.changed, event.Changed)
		}
		return w.finish(c, entry)
	})
}

// reading reads a tensor of the output back and holds it against what it must be.
func (w *writing) reading(c piece, done func(finished) error) *reading {
	must := &original{plan: w.plan, piece: c, seed: w.seed}
	return &reading{file: w.files[c.to.File], ref: c.to, must: must, progress: w.meter.add, done: func(sum [32]byte) error {
		must.change = nil
		return done(finished{sum, must.changed})
	}}
}

// copyUntouched copies what no delta touches and is not finished, and hashes it where it has come to lie.
func (w *writing) copyUntouched(ctx context.Context, checks *couples) error {
	copies, copying := errgroup.WithContext(ctx)
	copies.SetLimit(runtime.GOMAXPROCS(0))
	for _, r := range w.layout.runs(func(c piece) bool { return !w.isDone(c.to.Name) }) {
		copies.Go(func() error {
			source, target := r.source, w.files[r.target]
			if !w.cloned[r.target] {
				err := durable.CopyRange(copying, target, r.to, source.Os(), r.from, r.length)
				if errors.Is(err, io.ErrUnexpectedEOF) {
					return fault.New(fault.STChanged, "the file has become shorter since it was opened").In(source.Name()).
						Fix("merge again, on a base that nobody is writing to")
				}
				if copying.Err() != nil {
					return copying.Err()
				}
				if err != nil {
					return durable.Fault(target.Name(), err)
				}
				durable.StartWriteback(target, r.to, r.length)
			}
			for _, c := range r.pieces {
				checks.add(w.reading(c, func(entry finished) error { return w.finish(c, entry) }))
			}
			return nil
		})
	}
	return copies.Wait()
}
