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

	delta   *kernel.Delta // from the first block on
	exact   map[int]bool
	block   []byte
	changed int64 // entries that differ from the base
}

func (o *original) merged() bool { return o.piece.item != nil }

// stride is the bytes of a row of what is merged.
func (o *original) stride() int { return o.piece.to.Shape[1] * o.piece.to.DType.Size() }

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
	from := o.piece.from
	if len(o.block) < len(part) {
		o.block = make([]byte, len(part))
	}
	want := o.block[:len(part)]
	if n, err := o.plan.Base.Reader(from).ReadAt(want, from.Offset+at); n < len(want) {
		if errors.Is(err, io.EOF) {
			return o.changedBase("the file has become shorter since it was opened", at)
		}
		return fault.New(fault.IORead, "the base cannot be read").In(o.plan.Base.Shards[from.File].File.Name()).Of(from.Name).AtByte(from.Offset + at).Wrap(err)
	}
	if !o.merged() {
		if !bytes.Equal(part, want) {
			return o.changedBase("a tensor no delta touches is not what the base holds", at)
		}
		return nil
	}
	return o.merge(part, want, int(at/int64(o.stride())))
}

func (o *original) changedBase(cause string, at int64) error {
	from := o.piece.from
	return fault.New(fault.STChanged, "%s", cause).In(o.plan.Base.Shards[from.File].File.Name()).Of(from.Name).AtByte(from.Offset + at).
		Fix("merge again, on a base that nobody is writing to, into a directory nobody else writes to")
}

// merge merges the base's rows from first on in place and compares them with the output's.
func (o *original) merge(part, base []byte, first int) error {
	item, stride := *o.piece.item, o.stride()
	if o.delta == nil {
		var err error
		if o.delta, err = o.plan.Delta(item); err != nil {
			return err
		}
		o.exact = chooseRows(o.seed, o.piece.to.Shape[0])
	}
	for row := range len(part) / stride {
		if !o.exact[first+row] {
			continue
		}
		if at := row * stride; !bytes.Equal(part[at:at+stride], mergedRow(o.delta, first+row, base[at:at+stride], item.Base.DType)) {
			return mismatch(item, "row %d is not what the definition of the merge rule gives", first+row)
		}
	}
	counts, err := kernel.MergeRows(base, base, item.Base.DType, o.delta, first, len(part)/stride)
	if err != nil {
		return err
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
