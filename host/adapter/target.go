package adapter

import (
	"errors"

	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// The files that a Target's tensors lie in: Ref.File of each is one of these.
const (
	InWeights = 0 // Adapter.Weights
	InDerived = 1 // Binding.Derived
)

// Target is one weight of the base, or one that the base does not have, and what the adapter makes of it:
//
//	W' = gain · (start + Scale · delta)
//
// where start is what the base stores, or Start; delta is the product of the Pair, block by block, or Dense, or nothing; and gain is 1, or what
// brings each output to its Magnitude. The arithmetic is that of backendpb.Patch, to the bit.
type Target struct {
	Name string // of the base tensor

	// Pair is zero where the change is no product of two factors. Its Scale is Dense's too.
	Pair
	// Blocks is how many equal blocks of stored rows have factors of their own, as the experts of one tensor do: A is Blocks·Rank x In and B is
	// Blocks·Out x Rank. It is 1 where the weight is one matrix.
	Blocks      int
	In, Out     int // of one block; for Dense, of the whole
	FanInFanOut bool

	Dense     safetensors.Tensor // in the stored order; Shape is nil where there is none
	Start     safetensors.Tensor // Shape is nil where the base's own values are the start
	StartRows []int64            // the rows that Start holds, where it does not hold all

	Magnitude         safetensors.Tensor // one entry for each output, or input; Shape is nil where there is none
	MagnitudeOfInputs bool

	Base base.Tensor // Out x In, In x Out with FanInFanOut, or of another shape of as many entries; Shape is nil where the base has no such tensor
}

// LowRank reports whether the change is the product of two factors.
func (t *Target) LowRank() bool { return t.Rank > 0 }

// Plain reports whether the change is two factors for one matrix of the base and nothing else: the form that every backend merges and
// that can be served beside the base without a merge.
func (t *Target) Plain() bool { return t.LowRank() && t.Base.Shape != nil && len(t.Forms()) == 0 }

// New reports whether the base has no such tensor: it is written as it is stored, into a checkpoint on disk only.
func (t *Target) New() bool { return t.Base.Shape == nil }

// Forms returns what a backend must be able to compute besides two factors for one matrix, by the names of backendpb.DescribeResponse.
func (t *Target) Forms() []string {
	var forms []string
	add := func(has bool, form string) {
		if has {
			forms = append(forms, form)
		}
	}
	add(t.Base.Shape != nil && len(t.Base.Shape) != 2, backendpb.FormReshaped)
	add(t.Blocks > 1, backendpb.FormBlocks)
	add(t.Dense.Shape != nil, backendpb.FormDense)
	add(t.Start.Shape != nil, backendpb.FormStart)
	add(t.Magnitude.Shape != nil, backendpb.FormMagnitude)
	return forms
}

// Matrix returns the rows and columns of the stored tensor as the merge reads it: Blocks·Out x In, or Blocks·In x Out with FanInFanOut; without
// factors its first dimension by all others together, and a vector as n x 1.
func (t *Target) Matrix() (rows, cols int) {
	if t.LowRank() {
		if t.FanInFanOut {
			return max(t.Blocks, 1) * t.In, t.Out
		}
		return max(t.Blocks, 1) * t.Out, t.In
	}
	shape := t.Base.Shape
	if shape == nil {
		shape = t.Start.Shape
	}
	if len(shape) == 0 {
		return 1, 1
	}
	cols = 1
	for _, d := range shape[1:] {
		cols *= d
	}
	return shape[0], cols
}

// Files are the files that the targets' tensors lie in, by Ref.File.
func (b *Binding) Files() []*safetensors.File {
	files := []*safetensors.File{b.Adapter.Weights}
	if b.Derived != nil {
		files = append(files, b.Derived)
	}
	return files
}

// File is the file that a tensor of a target lies in.
func (b *Binding) File(t safetensors.Tensor) *safetensors.File { return b.Files()[t.File] }

// Share is the same binding with files of its own, to be closed by somebody else.
func (b *Binding) Share() (*Binding, error) {
	shared := *b
	var err error
	if shared.Adapter, err = b.Adapter.Share(); err != nil {
		return nil, err
	}
	if b.Derived != nil {
		if shared.Derived, err = b.Derived.Share(); err != nil {
			return nil, errors.Join(err, shared.Adapter.Close())
		}
	}
	return &shared, nil
}

// Close releases the adapter and what was derived from it. It may be called again.
func (b *Binding) Close() error {
	var err error
	if b.Derived != nil {
		err = b.Derived.Close()
	}
	return errors.Join(err, b.Adapter.Close())
}
