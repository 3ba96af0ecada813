package merge

import (
	"context"
	"errors"
	"hash"
	"io"
	"os"
	"sync"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// Of a tensor blockBytes are read back, hashed and compared at a time. Of one that is merged it is about mergedBytes, in whole tiles of rows up to
// tileBytes: two such blocks, and one of the base's, mostly stay in the second-level cache for all three.
const (
	blockBytes  = 192 << 10
	mergedBytes = 96 << 10
	tileBytes   = 1 << 20
)

var blocks = sync.Pool{New: func() any { return new([blockBytes]byte) }}

// reading is a stored tensor on its way past the checks: it is read once, in blocks, hashed, and where it is part of a merge held against what it
// must be.
type reading struct {
	file     *os.File
	ref      tensor.Ref
	must     *original                // nil where only the digest is asked for
	progress func(bytes int64)        // of each block; may be nil
	done     func(sum [32]byte) error // at the end

	at      int64
	block   []byte
	pending []byte // read, not yet hashed
}

// next reads a block, of whole rows where it is compared, once the one before has been hashed. At the end nothing is pending.
func (r *reading) next(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	size := blockBytes
	if r.must != nil {
		if size = r.must.step(); size > len(r.block) {
			r.block = make([]byte, size)
		}
	}
	part := r.block[:min(int64(size), r.ref.Length-r.at)]
	if n, err := r.file.ReadAt(part, r.ref.Offset+r.at); n < len(part) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fault.New(fault.IORead, "it cannot be read back").In(r.file.Name()).Of(r.ref.Name).AtByte(r.ref.Offset + r.at).Wrap(err)
	}
	if r.must != nil && len(part) > 0 {
		if err := r.must.compare(part, r.at); err != nil {
			return err
		}
	}
	r.at += int64(len(part))
	r.pending = part
	if r.progress != nil {
		r.progress(int64(len(part)))
	}
	return nil
}

// end hashes what is left.
func (r *reading) end(ctx context.Context, h hash.Hash) error {
	for {
		h.Write(r.pending)
		if err := r.next(ctx); err != nil {
			return err
		}
		if len(r.pending) == 0 {
			return r.done([32]byte(h.Sum(nil)))
		}
	}
}

// readBack reads one tensor, or two side by side, which takes little longer.
func readBack(ctx context.Context, tensors ...*reading) error {
	base := blocks.Get().(*[blockBytes]byte) // of one tensor, then of the other
	defer blocks.Put(base)
	for _, r := range tensors {
		block := blocks.Get().(*[blockBytes]byte)
		defer blocks.Put(block)
		r.block = block[:]
		if r.must != nil {
			r.must.block = base[:]
		}
	}
	if len(tensors) == 1 {
		return tensors[0].end(ctx, newDigest())
	}
	a, b := tensors[0], tensors[1]
	pair := kernel.NewSHA256Pair()
	for n := -1; n != 0; {
		for _, r := range tensors {
			if len(r.pending) == 0 {
				if err := r.next(ctx); err != nil {
					return err
				}
			}
		}
		n = pair.Write(a.pending, b.pending)
		a.pending, b.pending = a.pending[n:], b.pending[n:]
	}
	first, second := pair.Split()
	if err := a.end(ctx, first); err != nil {
		return err
	}
	return b.end(ctx, second)
}
