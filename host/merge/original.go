package merge

import (
	"bytes"
	"errors"
	"io"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/internal/kernel"
)

// original is what a tensor of a merge on disk must be, to the last bit: the base's bytes, or what the merge rule makes of them. The host computes
// it anew, since reading the base again costs more than that does.
type original struct {
	plan  *Plan
	piece piece
	seed  uint64 // of the rows that are also computed by the definition

	change  *change // from the first block on
	block   []byte
	changed int64 // entries that differ from the base
}

func (o *original) merged() bool { return o.piece.item != nil }

// stride is the bytes of a row of what is merged.
func (o *original) stride() int {
	_, cols := o.piece.item.Matrix()
	return cols * o.piece.to.DType.Size()
}

// step is how many bytes are compared at a time: of what is merged whole rows, as many as are merged together, unless they are very long.
func (o *original) step() int {
	if !o.merged() {
		return blockBytes
	}
	stride := o.stride()
	tile := stride * min(kernel.RowsTogether(), max(1, tileBytes/stride))
	return max(tile, mergedBytes/tile*tile)
}

// compare holds a part of the output, at bytes into its tensor, against what it must be.
func (o *original) compare(part []byte, at int64) error {
	if len(o.block) < len(part) {
		o.block = make([]byte, len(part))
	}
	if o.merged() && o.change == nil {
		if err := o.prepare(); err != nil {
			return err
		}
	}
	want := o.block[:len(part)]
	if err := o.read(want, at); err != nil {
		return err
	}
	if o.merged() {
		return o.merge(part, want, int(at/int64(o.stride())))
	}
	if !bytes.Equal(part, want) {
		return o.elsewhere("a tensor no delta touches is not what it is copied from", at)
	}
	if o.piece.added {
		o.changed += int64(len(part)) * 8 / int64(o.piece.to.DType.Bits())
	}
	return nil
}

// prepare readies the merge, and where outputs have magnitudes measures them.
func (o *original) prepare() (err error) {
	if o.change, err = o.plan.change(*o.piece.item, o.seed); err != nil || o.change.scaled() {
		return err
	}
	return o.change.scale(o.block, o.read)
}

// read fills p with what is copied or merged, from byte at of its tensor on.
func (o *original) read(p []byte, at int64) error {
	from := o.piece.from
	n, err := o.piece.source.ReadAt(p, from.Offset+at)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return o.elsewhere("the file has become shorter since it was opened", at)
	}
	return fault.New(fault.IORead, "it cannot be read").In(o.piece.source.Name()).Of(from.Name).AtByte(from.Offset + at).Wrap(err)
}

func (o *original) elsewhere(cause string, at int64) error {
	from := o.piece.from
	return fault.New(fault.STChanged, "%s", cause).In(o.piece.source.Name()).Of(from.Name).AtByte(from.Offset + at).
		Fix("merge again, on a base that nobody is writing to, into a directory nobody else writes to")
}

// merge merges the base's rows from first on in place and compares them with the output's.
func (o *original) merge(part, base []byte, first int) error {
	item, stride := *o.piece.item, o.stride()
	exact := map[int][]span{}
	if err := o.change.load(first, len(part)/stride); err != nil {
		return err
	}
	for row := range len(part) / stride {
		if !o.change.defined.rows[first+row] {
			continue
		}
		spans, err := o.change.definedRow(first+row, base[row*stride:][:stride], first)
		if err != nil {
			return err
		}
		exact[row] = spans
	}
	counts, err := o.change.merge(base, first)
	if err != nil {
		return err
	}
	for row, spans := range exact {
		if !agrees(part[row*stride:][:stride], spans) {
			return mismatch(item, "row %d is not what the definition of the merge rule gives", first+row)
		}
	}
	for row := 0; !bytes.Equal(part, base); row++ {
		if at := row * stride; !bytes.Equal(part[at:at+stride], base[at:at+stride]) {
			return mismatch(item, "row %d is not what the merge rule makes of the base's", first+row)
		}
	}
	if counts.NonFinite > 0 {
		return mismatch(item, "%d merged values do not fit %v, which the backend did not say", counts.NonFinite, item.Base.DType)
	}
	o.changed += counts.Changed
	return nil
}
