package merge

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/gguf"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/sdk/tensor"
)

// ReceiptRounding is what storing a merged tensor of a GGUF file has left of the change D = W' - W: W is the base as it is stored, W' the merged values in
// F32, and D' what is stored less W.
type ReceiptRounding struct {
	Gain  report.Number `json:"gain"`     // <D', D> / ||D||^2: 1 where all of the change is kept, 0 where none is
	Lost  report.Number `json:"lost"`     // share of the entries with a change that are stored as they were
	Error report.Number `json:"error"`    // ||D' - D|| / ||D||
	Max   report.Number `json:"maxError"` // the largest |D' - D|
}

// receipt is the rounding in the receipt's words. A tensor without any change has kept all of it.
func (r ggufRounding) receipt() *ReceiptRounding {
	out := &ReceiptRounding{Gain: 1, Max: report.Number(r.largest)}
	if r.NonZero > 0 {
		out.Lost = report.Number(float64(r.Lost) / float64(r.NonZero))
	}
	if r.Delta > 0 {
		out.Gain, out.Error = report.Number(r.Dot/r.Delta), report.Number(math.Sqrt(r.Error/r.Delta))
	}
	return out
}

// readBack hashes every tensor as the disk has it. What was copied is held against the base.
func (w *ggufWriting) readBack(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	base := w.plan.Base.GGUF()
	for _, piece := range w.layout.pieces {
		group.Go(func() error {
			var from, to [32]byte
			output := &reading{file: w.file, ref: ggufRef(piece.to), done: func(sum [32]byte) error { to = sum; return nil }}
			if piece.item != nil {
				if err := readBack(ctx, output); err != nil {
					return err
				}
			} else {
				source := &reading{file: base.Os(), ref: ggufRef(piece.from), done: func(sum [32]byte) error { from = sum; return nil }}
				if err := readBack(ctx, source, output); err != nil {
					return err
				}
				if from != to {
					return fault.New(fault.GGChanged, "a tensor that nothing changes is not what it is copied from").In(base.Name()).Of(piece.from.Name).
						Fix("merge again, on a base that nobody is writing to, into a directory nobody else writes to")
				}
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.sums[piece.to.Name] = to
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	head := make([]byte, len(w.layout.head))
	if _, err := w.file.ReadAt(head, 0); err != nil {
		return fault.New(fault.IORead, "it cannot be read back").In(w.file.Name()).Wrap(err).Fix("check the disk")
	}
	if w.head = sha256.Sum256(head); w.head != sha256.Sum256(w.layout.head) {
		return fault.New(fault.MergeMismatch, "the head is not what was written").In(w.file.Name()).Fix("check the disk")
	}
	return nil
}

// ggufRef is where a tensor's bytes lie.
func ggufRef(t gguf.Tensor) tensor.Ref {
	return tensor.Ref{Name: t.Name, Offset: t.Offset, Length: t.Length}
}

// receipt is the receipt of a file that is complete, under the name it will have.
func (w *ggufWriting) receipt(name string, o GGUFOutput) *Receipt {
	p := w.plan
	generation := sha256.Sum256(fmt.Appendf(nil, "%s\nplan %x\nhead %x\n", GGUFRule, p.Digest, w.head))
	r := &Receipt{
		SchemaVersion: ReceiptSchema, Rule: GGUFRule, Generation: DigestString(generation), Gate: o.Gate,
		Base:     ReceiptBase{p.Base.Ref, DigestString(p.Base.Digest)},
		Adapters: []ReceiptAdapter{{p.Adapter.Ref, DigestString(p.Adapter.Digest), report.Number(p.Multiplier)}},
		Files:    []ReceiptFile{{Name: name, Size: w.layout.size, Header: hexDigest(w.head)}},
	}
	if p.Combination != nil {
		r.Adapters, r.Combination = p.Combination.receipt()
	}
	merged := Digests{}
	for _, piece := range w.layout.pieces {
		t := ReceiptTensor{Name: piece.to.Name, File: name, SHA256: hexDigest(w.sums[piece.to.Name])}
		if piece.item != nil {
			rounding := w.rounding[t.Name]
			t.Merged, t.Stored, t.Changed = true, piece.to.Type.String(), int64(rounding.Changed)
			t.Rounding = rounding.receipt()
			merged[t.Name] = w.sums[t.Name]
		}
		r.Tensors = append(r.Tensors, t)
	}
	slices.SortFunc(r.Tensors, func(a, b ReceiptTensor) int { return strings.Compare(a.Name, b.Name) })
	r.Content = DigestString(merged.content())
	return r
}

// Kept is how much of their changes the tensors have kept that a GGUF file stores as one type.
type Kept struct {
	Stored  string  // the type
	Tensors int     // merged ones
	Gain    float64 // the smallest
	Least   string  // the tensor that has it
	Max     float64 // the largest error of any
}

// Kept is what the types of a merged GGUF file have left of the change, by the names of the types. It is empty for a merged directory, whose dtypes are the
// base's.
func (r *Receipt) Kept() []Kept {
	var all []Kept
	for _, t := range r.Tensors {
		if t.Rounding == nil {
			continue
		}
		i, found := slices.BinarySearchFunc(all, t.Stored, func(k Kept, stored string) int { return strings.Compare(k.Stored, stored) })
		if !found {
			all = slices.Insert(all, i, Kept{Stored: t.Stored, Gain: math.Inf(1)})
		}
		k := &all[i]
		k.Tensors++
		k.Max = max(k.Max, float64(t.Rounding.Max))
		if gain := float64(t.Rounding.Gain); gain < k.Gain {
			k.Gain, k.Least = gain, t.Name
		}
	}
	return all
}
