package merge

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/durable"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// GGUFRule names the arithmetic of a merge into a GGUF file: Rule or FormsRule on F32 values, which a quantised tensor's are once they are decoded, and
// one encoding into the type that the tensor is stored in. For F32, F16 and BF16 that is the one rounding of a checkpoint's merge.
const GGUFRule = "tenon.merge-gguf/1"

// GGUFOutput says where a merged GGUF file goes, and how.
type GGUFOutput struct {
	Path     string // must not exist; its directory must
	DType    string // "f32", "f16", "bf16" or "q8_0" stores every merged matrix so; "" and "keep" leave each as it is
	Gate     ReceiptGate
	Progress func(Progress) // hears of every few blocks, from several goroutines; may be nil
}

// ggufDTypes are the types that a merged tensor can be stored in, by the words of --dtype.
var ggufDTypes = map[string]gguf.Type{"f32": gguf.F32, "f16": gguf.F16, "bf16": gguf.BF16, "q8_0": gguf.Q8_0}

// ggufPiece is one tensor of a GGUF file and where it comes from.
type ggufPiece struct {
	from, to gguf.Tensor
	item     *Item // nil where no change touches it
}

// ggufLayout is the file that a merge writes.
type ggufLayout struct {
	head   []byte
	size   int64
	pieces []ggufPiece
}

// bytes is how much there is to write, the padding left out.
func (l *ggufLayout) bytes() int64 {
	n := int64(len(l.head))
	for _, piece := range l.pieces {
		n += piece.to.Length
	}
	return n
}

// WriteGGUF merges into a new GGUF file, and writes a receipt beside it, at GGUFReceiptPath. The base must be a GGUF file. Its keys and the tensors that
// nothing changes stay as they are, byte for byte. The file is written under another name, read back, synced, and only then gets its own: whatever
// happens, Path does not exist or is complete.
//
// The receipt tells of each merged tensor how much of the change its type has kept.
func (p *Plan) WriteGGUF(ctx context.Context, o GGUFOutput) (*Receipt, error) {
	out, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fault.New(fault.UsageFlag, "no output file").In(o.Path).Wrap(err).Fix("give --out FILE.gguf")
	}
	if err := errors.Join(refuseExistingFile(out), p.Base.Unchanged()); err != nil {
		return nil, err
	}
	layout, err := p.ggufLayout(o.DType)
	if err != nil {
		return nil, err
	}
	work, err := openGGUFWork(out, layout.size)
	if err != nil {
		return nil, err
	}
	defer work.close()
	w := &ggufWriting{plan: p, layout: layout, file: work.file, seed: newProbeSeed()}
	w.meter = meter{report: o.Progress, total: layout.bytes()}
	if err := w.fill(ctx); err != nil {
		return nil, err
	}
	if err := p.Base.Unchanged(); err != nil {
		return nil, err
	}
	receipt := w.receipt(filepath.Base(out), o)
	text, err := receipt.Marshal()
	if err != nil {
		return nil, err
	}
	return receipt, work.publish(out, text)
}

// ggufLayout decides what every tensor is stored in, and where.
func (p *Plan) ggufLayout(dtype string) (*ggufLayout, error) {
	base := p.Base.GGUF()
	if base == nil {
		return nil, fault.New(fault.UsageFlag, "a GGUF file is merged from a GGUF base, and this is a directory").In(p.Base.Ref).Fix("give a .gguf file with --base")
	}
	var faults fault.List
	for _, item := range p.Added {
		faults.Add(fault.New(fault.ADTarget, "the base has no such tensor, and llama.cpp loads no file that has one more").In(p.Adapter.Ref).Of(item.Name).
			Fix("merge into the Hugging Face directory"))
	}
	items := map[string]*Item{}
	for i := range p.Items {
		items[p.Items[i].Name] = &p.Items[i]
	}
	l := new(ggufLayout)
	tensors := slices.Clone(base.Tensors)
	for i, t := range tensors {
		item := items[t.Name]
		if item != nil {
			to, e := ggufTarget(t, item, dtype)
			if e != nil {
				faults.Add(e.In(base.Name()).Of(t.Name))
				continue
			}
			tensors[i].Type = to
		}
		l.pieces = append(l.pieces, ggufPiece{from: t, item: item})
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	head, laid, size, err := gguf.Layout(base.Pairs, tensors, base.Alignment)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", base.Name(), err)
	}
	l.head, l.size = head, size
	for i, to := range laid {
		l.pieces[i].to = to
	}
	return l, nil
}

// ggufTarget is the type that a merged tensor is stored in. Vectors stay as they are: llama.cpp wants norms and biases in F32.
func ggufTarget(t gguf.Tensor, item *Item, dtype string) (gguf.Type, *fault.Error) {
	to := t.Type
	asked, given := ggufDTypes[dtype]
	if given && len(t.Shape) > 1 {
		to = asked
	}
	if !to.Writable() {
		return 0, fault.New(fault.BSQuantized, "the tensor is stored as %v, which merged values are not written in", to).
			Fix("say how to store what is merged: --dtype q8_0, f16, bf16 or f32")
	}
	_, cols := item.Matrix()
	for _, kind := range []gguf.Type{t.Type, to} {
		if block, _ := kind.Block(); cols%block != 0 || t.RowElements()%block != 0 {
			return 0, fault.New(fault.GGShape, "rows of %d elements are no whole blocks of %v, which have %d", min(cols, t.RowElements()), kind, block).
				Fix("use --dtype f16, bf16 or f32")
		}
	}
	return to, nil
}

// floatItem is an item whose base is read as F32, whatever it is stored in.
func floatItem(item Item) Item {
	item.Base.DType = tensor.F32
	item.Base.Length = 4 * int64(item.Base.Elements())
	return item
}

// GGUFReceiptPath is where the receipt of a merged GGUF file lies.
func GGUFReceiptPath(path string) string { return path + ".receipt.json" }

// refuseExistingFile keeps a merge from ever being written over something. A receipt that was left without its file counts for nothing.
func refuseExistingFile(out string) error {
	if err := refuseExisting(out); err != nil {
		for _, e := range fault.All(err) {
			e.Cause = strings.ReplaceAll(e.Cause, "directory", "file")
		}
		return err
	}
	return refuseForeign(GGUFReceiptPath(out))
}

// ggufFault says that the output could not be written.
func ggufFault(path string, err error) error { return durable.Fault(path, err) }
