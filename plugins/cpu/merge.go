package cpu

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// output is one tensor of a Merge after every claim in it was checked.
type output struct {
	from, to extent
	patch    *patch
}

// Merge writes merged tensors into files that exist. Each worker holds one block of rows, so memory does not grow with the checkpoint: only factors
// and magnitudes are read as a whole. Inputs that carry a digest are read to their end first to check it. It hashes nothing it writes and syncs no file:
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
	held, parts, err := b.heldParts(patches)
	if err != nil {
		return err
	}
	defer held.free()
	if err := inputs.read(ctx, parts, b.options.Workers); err != nil {
		return err
	}

	workers, least := b.options.Workers+ahead, 0
	for _, o := range outputs {
		least = max(least, o.patch.bufferRow(o.from.dtype, false))
	}
	ring, err := b.newRing(least, workers)
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
			events[i], err = o.write(ctx, inputs, target, buffer)
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
	if err := refusePartOverlap(patches); err != nil {
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
func (o *output) write(ctx context.Context, inputs *files, to *target, buffer []byte) (*backendpb.MergeEvent, error) {
	s := &stream{patch: o.patch, dtype: o.from.dtype, file: inputs.open[o.from.file], offset: o.from.offset, inputs: inputs, buffer: buffer}
	counts, err := s.merge(ctx, nil, func(merged []byte, at int64) error {
		if _, err := to.WriteAt(merged, o.to.offset+at); err != nil {
			return writeFailure(to.File, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
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
