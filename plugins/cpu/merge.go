package cpu

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// output is one tensor of a Merge after every claim in it was checked.
type output struct {
	from, to extent
	patch    *patch
}

// Merge writes merged tensors into files that exist. Each worker holds one block of rows, so memory does not grow with the checkpoint: only the
// factors are read as a whole. Inputs that carry a digest are read to their end first to check it. It hashes nothing it writes and syncs no file:
// the caller reads everything back.
func (b *Backend) Merge(req *backendpb.MergeRequest, stream backendpb.Backend_MergeServer) error {
	ctx := stream.Context()
	outputs, err := parseOutputs(req)
	if err != nil {
		return err
	}
	if err := acquire(ctx, b.merging); err != nil {
		return err
	}
	defer func() { <-b.merging }()

	inputs, err := openFiles(req.Inputs, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer inputs.close()
	targets, err := openFiles(req.Outputs, os.O_WRONLY)
	if err != nil {
		return err
	}
	defer targets.close()
	if err := refuseSameFile(inputs, targets); err != nil {
		return err
	}
	patches := make([]*patch, len(outputs))
	for i, out := range outputs {
		patches[i] = out.patch
	}
	factors, parts, err := b.factorParts(patches)
	if err != nil {
		return err
	}
	defer factors.free()
	if err := inputs.read(ctx, parts, b.options.Workers); err != nil {
		return err
	}

	workers := b.options.Workers + ahead
	ring, err := b.newRing(outputs, workers)
	if err != nil {
		return err
	}
	defer ring.free()
	turns := make([]sync.Mutex, len(targets.open))
	events := make([]*backendpb.MergeEvent, len(outputs))
	var overflowed []string
	err = inOrder(ctx, len(outputs), workers,
		func(ctx context.Context, i int) (err error) {
			buffer := ring.take()
			defer ring.give(buffer)
			o := outputs[i]
			target := &target{File: targets.open[o.to.file], turn: &turns[o.to.file]}
			events[i], err = o.write(ctx, inputs.open[o.from.file], target, buffer)
			return err
		},
		func(i int) error {
			if events[i].NonFinite > 0 {
				overflowed = append(overflowed, events[i].Tensor)
			}
			return stream.Send(events[i])
		})
	if err != nil {
		return err
	}
	if len(overflowed) > 0 {
		return tooFar("AD_OVERFLOW_ON_MERGE: merged entries overflow their dtype in %s", strings.Join(overflowed, ", "))
	}
	return nil
}

func parseOutputs(req *backendpb.MergeRequest) ([]*output, error) {
	if len(req.Tensors) == 0 {
		return nil, invalid("a merge of no tensors")
	}
	outputs := make([]*output, len(req.Tensors))
	patches := make([]*patch, len(req.Tensors))
	targets := make([]extent, len(req.Tensors))
	for i, t := range req.Tensors {
		from, err := parseExtent("base tensor", t.GetBase(), req.Inputs)
		if err != nil {
			return nil, err
		}
		to, err := parseExtent("merged tensor", t.Merged, req.Outputs)
		if err != nil {
			return nil, err
		}
		if from.dtype != to.dtype || from.length != to.length || t.Base.Name != t.Merged.Name || t.Base.Name != t.Patch.GetTensor() {
			return nil, invalid("base tensor %q %v %v, merged tensor %q %v %v and patch of %q are not of one weight",
				from.name, from.dtype, from.shape, to.name, to.dtype, to.shape, t.Patch.GetTensor())
		}
		patch, err := parsePatch(t.Patch, from, req.Inputs)
		if err != nil {
			return nil, err
		}
		outputs[i], patches[i], targets[i] = &output{from: from, to: to, patch: patch}, patch, to
	}
	if err := refuseFactorOverlap(patches); err != nil {
		return nil, err
	}
	return outputs, refuseOverlap(targets)
}

// refuseSameFile keeps the base pristine: a merge never writes where it reads.
func refuseSameFile(inputs, targets *files) error {
	for i, target := range targets.open {
		written, err := target.Stat()
		if err != nil {
			return notNow("%v", err)
		}
		for j, input := range inputs.open {
			if read, err := input.Stat(); err == nil && os.SameFile(read, written) {
				return invalid("output %q and input %q are one file, and a base is never written", targets.claims[i].Path, inputs.claims[j].Path)
			}
		}
	}
	return nil
}

// write streams one weight from its file through the merge into the other file, in blocks that fit the buffer.
func (o *output) write(ctx context.Context, from *os.File, to *target, buffer []byte) (*backendpb.MergeEvent, error) {
	p := o.patch
	delta, err := p.delta()
	if err != nil {
		return nil, err
	}
	stride := p.cols * o.from.dtype.Size()
	step := len(buffer) / stride
	var counts kernel.Counts
	for row := 0; row < p.rows; row += step {
		if err := canceled(ctx); err != nil {
			return nil, err
		}
		n := min(step, p.rows-row)
		block, at := buffer[:n*stride], int64(row)*int64(stride)
		if _, err := from.ReadAt(block, o.from.offset+at); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, status.Errorf(codes.DataLoss, "tensor %q: %q at byte %d: %v", o.from.name, from.Name(), o.from.offset+at, err)
		}
		readAhead(from, o.from.offset+at+int64(len(block)), min(int64(len(buffer)), o.from.length-at-int64(len(block))))
		c, err := kernel.MergeRows(block, block, o.from.dtype, delta, row, n)
		if err != nil {
			return nil, invalid("tensor %q: %v", o.from.name, err)
		}
		counts = counts.Add(c)
		if _, err := to.WriteAt(block, o.to.offset+at); err != nil {
			return nil, writeFailure(to.File, err)
		}
	}
	return &backendpb.MergeEvent{Tensor: o.from.name, Changed: counts.Changed, NonFinite: counts.NonFinite}, nil
}

// target is a file that is written to. Its writers take turns here: in the kernel, where a file has one writer at a time, those that wait would
// spin on a processor that others can use.
type target struct {
	*os.File
	turn *sync.Mutex
}

// WriteAt writes as os.File does.
func (t *target) WriteAt(p []byte, offset int64) (int, error) {
	t.turn.Lock()
	defer t.turn.Unlock()
	return t.File.WriteAt(p, offset)
}

func writeFailure(file *os.File, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return noRoom("%q: %v", file.Name(), err)
	}
	return notNow("%q: %v", file.Name(), err)
}
