package merge

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// ggufWriting is one merge into a GGUF file.
type ggufWriting struct {
	plan   *Plan
	layout *ggufLayout
	file   *os.File
	seed   uint64 // of the rows that are also computed by the definition
	meter  meter

	mu       sync.Mutex
	sums     Digests // of every tensor's bytes, read back
	head     [32]byte
	rounding map[string]ggufRounding
}

// fill writes the head, copies what nothing changes, merges the rest, and reads everything back.
func (w *ggufWriting) fill(ctx context.Context) error {
	w.sums, w.rounding = Digests{}, map[string]ggufRounding{}
	if _, err := w.file.WriteAt(w.layout.head, 0); err != nil {
		return ggufFault(w.file.Name(), err)
	}
	w.meter.add(int64(len(w.layout.head)))
	changed := int64(0)
	for i := range w.layout.pieces {
		piece := &w.layout.pieces[i]
		if piece.item == nil {
			if err := w.copy(ctx, piece); err != nil {
				return err
			}
			continue
		}
		r, err := w.merge(ctx, piece)
		if err != nil {
			return err
		}
		w.rounding[piece.to.Name] = r
		changed += int64(r.Changed)
	}
	if err := w.plan.refuseNoEffect(changed); err != nil {
		return err
	}
	return w.readBack(ctx)
}

// copy copies the bytes of a tensor.
func (w *ggufWriting) copy(ctx context.Context, piece *ggufPiece) error {
	base := w.plan.Base.GGUF()
	err := durable.CopyRange(ctx, w.file, piece.to.Offset, base.Os(), piece.from.Offset, piece.from.Length)
	switch {
	case err == nil:
		w.meter.add(piece.to.Length)
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case err == io.ErrUnexpectedEOF:
		return fault.New(fault.GGChanged, "the file has become shorter since it was opened").In(base.Name()).Of(piece.from.Name).Fix("use a base that nobody is writing to")
	}
	return ggufFault(w.file.Name(), err)
}

// ggufBlock is about how many bytes of F32 are merged at a time by each of the goroutines that share a tensor.
const ggufBlock = 1 << 20

// merge merges a tensor in blocks of rows, as many at a time as there are processors. The blocks do not depend on how many those are, nor does the
// rounding, whose sums are added in the order of the blocks.
func (w *ggufWriting) merge(ctx context.Context, piece *ggufPiece) (ggufRounding, error) {
	c, err := w.plan.change(floatItem(*piece.item), w.seed)
	if err != nil {
		return ggufRounding{}, err
	}
	source := w.plan.Base.GGUF().Floats(piece.from)
	read := func(part []byte, at int64) error { return w.readBase(source, piece, part, at) }
	height := max(1, ggufBlock/c.stride)
	if !c.scaled() {
		if err := c.scale(make([]byte, min(height, c.Rows)*c.stride), read); err != nil {
			return ggufRounding{}, err
		}
	}
	parts := make([]ggufRounding, (c.Rows+height-1)/height)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range parts {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			own := *c // with buffers of its own
			own.denseBytes, own.startBytes = nil, nil
			b := &ggufRows{writing: w, piece: piece, change: &own, first: i * height, rows: min(height, c.Rows-i*height)}
			var err error
			parts[i], err = b.merge(read)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return ggufRounding{}, err
	}
	var total ggufRounding
	for _, part := range parts {
		total.add(part)
	}
	return total, nil
}

// readBase fills part with a tensor's values in F32, from byte at on.
func (w *ggufWriting) readBase(source io.ReaderAt, piece *ggufPiece, part []byte, at int64) error {
	if n, err := source.ReadAt(part, at); n < len(part) {
		name := w.plan.Base.GGUF().Name()
		for _, e := range fault.All(err) {
			return e.In(name)
		}
		return fault.New(fault.IORead, "the base cannot be read").In(name).Of(piece.from.Name).Wrap(err).Fix("check the disk")
	}
	return nil
}

// ggufRows is a block of rows on its way.
type ggufRows struct {
	writing     *ggufWriting
	piece       *ggufPiece
	change      *change
	first, rows int
}

// ggufBuffers are what one block of rows needs.
type ggufBuffers struct {
	before, merged, encoded []byte
	values, stored          []float32
}

var ggufPool = sync.Pool{New: func() any { return new(ggufBuffers) }}

// floatRoom is a buffer of n values, v where that is large enough.
func floatRoom(v []float32, n int) []float32 {
	if cap(v) < n {
		return make([]float32, n)
	}
	return v[:n]
}

// merge reads the rows, merges and encodes them, and writes them to their place.
func (b *ggufRows) merge(read func(part []byte, at int64) error) (ggufRounding, error) {
	c, to := b.change, b.piece.to
	own := ggufPool.Get().(*ggufBuffers)
	defer ggufPool.Put(own)
	own.before, own.merged = room(own.before, b.rows*c.stride), room(own.merged, b.rows*c.stride)
	before, merged := own.before, own.merged
	if err := read(before, int64(b.first)*int64(c.stride)); err != nil {
		return ggufRounding{}, err
	}
	copy(merged, before)
	counts, err := b.mergeChecked(merged)
	if err != nil {
		return ggufRounding{}, err
	}
	own.values, own.stored = floatRoom(own.values, len(merged)/4), floatRoom(own.stored, len(merged)/4)
	values, stored := own.values, own.stored
	if err := tensor.ToF32(values, merged, tensor.F32); err != nil {
		return ggufRounding{}, err
	}
	if counts.NonFinite > 0 {
		return ggufRounding{}, b.overflow(fmt.Errorf("%d of its merged values are not finite", counts.NonFinite))
	}
	rowBytes, _ := to.Type.RowBytes(c.Cols)
	own.encoded = room(own.encoded, b.rows*rowBytes)
	encoded := own.encoded
	if err := gguf.EncodeRow(encoded, values, to.Type); err != nil {
		return ggufRounding{}, b.overflow(err)
	}
	if err := gguf.Dequantize(stored, encoded, to.Type); err != nil {
		return ggufRounding{}, err
	}
	r := takeGGUFRounding(before, values, stored)
	if r.overflows > 0 {
		return r, b.overflow(fmt.Errorf("%d of its merged values exceed %v", r.overflows, to.Type))
	}
	if _, err := b.writing.file.WriteAt(encoded, to.Offset+int64(b.first)*int64(rowBytes)); err != nil {
		return r, ggufFault(b.writing.file.Name(), err)
	}
	b.writing.meter.add(int64(len(encoded)))
	return r, nil
}

// mergeChecked merges rows in place, and holds those that are chosen against the definition.
func (b *ggufRows) mergeChecked(rows []byte) (kernel.Counts, error) {
	c := b.change
	if err := c.load(b.first, b.rows); err != nil {
		return kernel.Counts{}, err
	}
	defined := map[int][]span{}
	for row := range b.rows {
		if !c.defined.rows[b.first+row] {
			continue
		}
		spans, err := c.definedRow(b.first+row, rows[row*c.stride:][:c.stride], b.first)
		if err != nil {
			return kernel.Counts{}, err
		}
		defined[row] = spans
	}
	counts, err := c.merge(rows, b.first)
	if err != nil {
		return counts, err
	}
	for row, spans := range defined {
		if !agrees(rows[row*c.stride:][:c.stride], spans) {
			return counts, fault.New(fault.MergeMismatch, "row %d is not what the definition of the merge rule gives", b.first+row).Of(b.piece.to.Name).
				Fix("report this: it is a fault of this machine or of Tenon")
		}
	}
	return counts, nil
}

// overflow refuses values that the type cannot hold.
func (b *ggufRows) overflow(err error) error {
	return fault.New(fault.ADOverflowOnMerge, "rows %d to %d cannot be stored as %v", b.first, b.first+b.rows-1, b.piece.to.Type).
		In(b.writing.plan.Adapter.Ref).Of(b.piece.to.Name).Wrap(err).Fix("lower the adapter's scale, or use --dtype f32 or bf16")
}

// ggufRounding is what storing merged values leaves of their change.
type ggufRounding struct {
	kernel.Rounding
	largest   float64 // |stored - merged|
	overflows int     // values that are finite and are not once they are stored
}

// takeGGUFRounding compares the base's values, as F32 bytes, with those that were merged and those that are stored.
func takeGGUFRounding(before []byte, merged, stored []float32) (r ggufRounding) {
	const chunk = 4096 // a multiple of the lanes of kernel.TakeRounding
	var w, d, w1 [chunk]float64
	for at := 0; at < len(merged); at += chunk {
		n := min(chunk, len(merged)-at)
		for i := range n {
			v, s := float64(merged[at+i]), float64(stored[at+i])
			w[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(before[4*(at+i):])))
			d[i], w1[i] = v-w[i], s
			switch off := math.Abs(s - v); {
			case v-v != 0:
			case off-off != 0:
				r.overflows++
			default:
				r.largest = max(r.largest, off)
			}
		}
		r.add(ggufRounding{Rounding: kernel.TakeRounding(w[:n], d[:n], w[:n], w1[:n])})
	}
	return r
}

func (r *ggufRounding) add(o ggufRounding) {
	r.Changed, r.NonZero, r.Lost = r.Changed+o.Changed, r.NonZero+o.NonZero, r.Lost+o.Lost
	r.Overflow, r.NonFinite, r.overflows = r.Overflow+o.Overflow, r.NonFinite+o.NonFinite, r.overflows+o.overflows
	r.Dot, r.Delta, r.Rounded, r.Error = r.Dot+o.Dot, r.Delta+o.Delta, r.Rounded+o.Rounded, r.Error+o.Error
	r.largest = max(r.largest, o.largest)
}
