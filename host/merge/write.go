package merge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Output says where a merged checkpoint goes, and how.
type Output struct {
	Dir        string // must not exist; its parent must
	Gate       ReceiptGate
	ShardBytes int64          // most bytes of tensors in one file; 0 keeps the base's shards, headers included
	Progress   func(Progress) // hears of every few blocks, from several goroutines; may be nil
}

// Progress is how far a merge to disk is, in bytes of tensors that are written and checked.
type Progress struct{ Done, Total int64 }

// Interrupted is a merge that did not end, and that the same merge will go on with.
type Interrupted struct {
	Dir         string // where it is kept
	Kept, Total int64  // bytes of tensors
	Err         error  // why it did not end
}

func (e *Interrupted) Error() string { return fmt.Sprintf("%v; %s", e.Err, e.Remains()) }

// Remains says what is left to do.
func (e *Interrupted) Remains() string {
	return fmt.Sprintf("%d of %d bytes are finished and kept in %s: the same command goes on from there", e.Kept, e.Total, e.Dir)
}

func (e *Interrupted) Unwrap() error { return e.Err }

// Write merges into a new checkpoint directory: the base's tensors, dtypes and metadata, its other files, and a receipt. Everything is
// written beside it in a work directory, read back and checked as it is written, synced, and only then renamed: whatever happens, Dir
// does not exist or is complete. A parameter that the base does not have is put at the end of the last file, which has a header of its own then.
// A change of a form that the backend does not compute is refused before anything is written.
//
// A merge that is killed, canceled, or that the disk or the backend fails leaves the work directory behind, and the same merge takes over
// what is finished in it: the last two say so with an *Interrupted.
func (p *Plan) Write(ctx context.Context, client backendpb.BackendClient, o Output) (*Receipt, error) {
	out, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fault.New(fault.UsageFlag, "no output directory").In(o.Dir).Wrap(err)
	}
	if err := refuseExisting(out); err != nil {
		return nil, err
	}
	if err := p.checkForms(ctx, client); err != nil {
		return nil, err
	}
	if err := p.Base.Unchanged(); err != nil {
		return nil, err
	}
	layout, err := p.layout(o.ShardBytes)
	if err != nil {
		return nil, err
	}
	work, err := openWork(out, layout.key)
	if err != nil {
		return nil, err
	}
	defer work.close()
	w := newWriting(p, layout, work, o.Progress)
	receipt, err := w.fill(ctx, client, o.Gate)
	w.close()
	if err == nil {
		err = work.publish(out, receipt)
	}
	if err != nil {
		return nil, w.abandon(err)
	}
	work.remove()
	sweepWork(out)
	return receipt, nil
}

// refuseExisting keeps a merge from ever being written over something.
func refuseExisting(out string) error {
	if _, err := os.Lstat(out); err == nil {
		return fault.New(fault.MergeExists, "the output directory exists").In(out).Fix("give a new name; nothing is ever merged over")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.IOWrite, "the output cannot be looked at").In(out).Wrap(err)
	}
	return nil
}

// fill makes the work directory complete, and returns the receipt that is in it.
func (w *writing) fill(ctx context.Context, client backendpb.BackendClient, gate ReceiptGate) (*Receipt, error) {
	p := w.plan
	if err := w.create(); err != nil {
		return nil, err
	}
	if err := w.recheck(ctx); err != nil {
		return nil, err
	}
	if err := w.checkRoom(); err != nil {
		return nil, err
	}
	if err := errors.Join(cutOff(w.stream(ctx, client)), p.Base.Unchanged()); err != nil {
		return nil, err // whatever else went wrong, a base that changed is a reason
	}
	if err := w.settle(); err != nil {
		return nil, err
	}
	receipt := &Receipt{
		SchemaVersion: ReceiptSchema, Rule: p.Rule(), Generation: DigestString(p.Digest), Gate: gate,
		Base:     ReceiptBase{p.Base.Ref, DigestString(p.Base.Digest)},
		Adapters: []ReceiptAdapter{{p.Adapter.Ref, DigestString(p.Adapter.Digest), report.Number(p.Multiplier)}},
	}
	if p.Combination != nil {
		receipt.Adapters, receipt.Combination = p.Combination.receipt()
	}
	if err := w.list(ctx, receipt); err != nil {
		return nil, err
	}
	text, err := receipt.Marshal()
	if err != nil {
		return nil, err
	}
	return receipt, writeText(filepath.Join(w.work.model, ReceiptName), text)
}

// cutOff tells a file that has become shorter, which somebody did, from one that cannot be read.
func cutOff(err error) error {
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return fault.New(fault.MergeMismatch, "a file was cut off while it was written").Wrap(err).
		Fix("use a backend that keeps to its tensors, in a directory nobody else writes to")
}

// abandon decides what becomes of the work directory after err. What a second run cannot mend is removed, and so is what holds nothing
// finished; the rest is kept.
func (w *writing) abandon(err error) error {
	kept := int64(0)
	for name, c := range w.pieces {
		_, earlier := w.work.journal.found[name] // which this run may not have come to
		if _, done := w.done[name]; done || earlier {
			kept += c.to.Length
		}
	}
	if kept == 0 || w.unsynced.Load() || fault.ClassOf(err) != fault.Operational {
		w.work.remove()
		return err
	}
	return &Interrupted{Dir: w.work.dir, Kept: kept, Total: w.layout.bytes(), Err: err}
}
