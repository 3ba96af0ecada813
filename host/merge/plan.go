// Package merge turns a checked adapter into merged weights: the plan every backend computes the same bytes from, the independent
// check of what a backend computed, the checkpoint directory on disk, and its receipt.
package merge

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/safetensors"
	"github.com/tenon-ml/tenon/internal/kernel"
	"github.com/tenon-ml/tenon/sdk/backend/backendpb"
)

// Rule names the arithmetic of a merge: delta[i,j] = sum over k of fma(f32(s) B[i,k], A[k,j]), k ascending from 0, in f32;
// W' = round-to-nearest-even(f32(W) + delta) into W's dtype. A plan's digest covers it, since other arithmetic gives other bytes.
const Rule = "tenon.merge/1"

// Plan is everything that decides the bytes of a generation. It borrows the base and the adapter, which must stay open while it is used.
type Plan struct {
	Base       *base.Base
	Adapter    *adapter.Adapter
	Multiplier float64  // user's factor on the adapter's own scale; 1 leaves it alone
	Items      []Item   // by tensor name
	Unmerged   bool     // the factors stay beside the base: see Unmerge
	Digest     [32]byte // names the generation
}

// Item is one base tensor and the delta it gets.
type Item struct {
	adapter.Target
	Scale float64 // Multiplier times alpha/r (or alpha/sqrt r)
}

// NewPlan plans the merge of a bound adapter at multiplier times its own scale. The multiplier must be finite and not 0: a merge
// that changes nothing is an error, not a copy.
func NewPlan(binding *adapter.Binding, multiplier float64) (*Plan, error) {
	if math.IsNaN(multiplier) || math.IsInf(multiplier, 0) || multiplier == 0 {
		return nil, fault.New(fault.MergeScale, "scale %v is not a finite number other than 0", multiplier).
			In(binding.Adapter.Ref).Fix("give ADAPTER@SCALE with a number such as 0.5")
	}
	p := &Plan{Base: binding.Base, Adapter: binding.Adapter, Multiplier: multiplier}
	for _, t := range binding.Targets {
		p.Items = append(p.Items, Item{Target: t, Scale: multiplier * t.Pair.Scale})
	}
	slices.SortFunc(p.Items, func(a, b Item) int { return strings.Compare(a.Name, b.Name) })
	p.name(Rule)
	return p, nil
}

// name gives the plan its digest.
func (p *Plan) name(rule string) {
	h := sha256.New()
	fmt.Fprintf(h, "%s\nbase %x\nadapter %x\n", rule, p.Base.Digest, p.Adapter.Digest)
	for _, item := range p.Items {
		fmt.Fprintf(h, "%016x %t %q\n", math.Float64bits(item.Scale), item.FanInFanOut, item.Name)
	}
	h.Sum(p.Digest[:0])
}

// Delta reads an item's factors. The result is owned by the caller.
func (p *Plan) Delta(item Item) (*kernel.Delta, error) {
	// Not through the mapping: what has been looked at there counts as this process's memory for as long as the adapter is open.
	a, err := p.Adapter.Weights.Read(item.A)
	if err != nil {
		return nil, err
	}
	b, err := p.Adapter.Weights.Read(item.B)
	if err != nil {
		return nil, err
	}
	d, err := kernel.NewDelta(a, item.A.DType, b, item.B.DType, item.Rank, item.In, item.Out, item.Scale, item.FanInFanOut)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", item.Name, err)
	}
	return d, nil
}

// StageRequest asks a backend that holds the base to compute this generation.
func (p *Plan) StageRequest() *backendpb.StageRequest {
	request := &backendpb.StageRequest{
		Generation: p.Digest[:], Base: p.Base.Digest[:], Files: []*backendpb.File{backendFile(p.Adapter.Weights)},
		Unmerged: p.Unmerged,
	}
	for _, item := range p.Items {
		request.Patches = append(request.Patches, item.patch(0))
	}
	return request
}

// patch describes the item with its factors in file number file.
func (item Item) patch(file int32) *backendpb.Patch {
	return &backendpb.Patch{
		Tensor: item.Name, A: backendTensor(item.A.Ref, file), B: backendTensor(item.B.Ref, file),
		Scale: item.Scale, FanInFanOut: item.FanInFanOut,
	}
}

// backendFile is a snapshot as another process of this user opens it: what was checked is what is read, whatever has happened to the
// adapter's own path since.
func backendFile(f *safetensors.File) *backendpb.File {
	sum := f.SHA256()
	return &backendpb.File{Path: f.Path(), Size: f.Size(), Sha256: sum[:]}
}

// newProbeSeed draws the probe of one verification: what the backend could not know while it staged.
func newProbeSeed() uint64 {
	var seed [8]byte
	rand.Read(seed[:]) // documented never to fail
	return binary.LittleEndian.Uint64(seed[:])
}
