// Package merge turns checked adapters into merged weights: the plan every backend computes the same bytes from, the independent
// check of what a backend computed, the checkpoint directory on disk, and its receipt.
package merge

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// Plan is everything that decides the bytes of a generation. It borrows the base and the adapters, which must stay open while it is used.
type Plan struct {
	Base        *base.Base
	Adapter     *adapter.Adapter // of a combination the first
	Multiplier  float64          // user's factor on the adapter's own scale; 1 leaves it alone
	Combination *Combination     // what became of several adapters; nil for one
	Items       []Item           // by tensor name
	Added       []Item           // parameters that the base does not have, by name: a checkpoint on disk gets them, a backend does not
	Unmerged    bool             // the factors stay beside the base: see Unmerge
	Digest      [32]byte         // names the generation
	Notes       fault.List       // what a person should know of how the plan came about; nothing here is refused

	files []*safetensors.File // that the items' tensors lie in, by Ref.File
	owned []*safetensors.File // those of them that Close closes
}

// Item is one tensor and what becomes of it.
type Item struct {
	adapter.Target
	Scale float64 // Multiplier times alpha/r (or alpha/sqrt r), of the factors or of Dense
}

// NewPlan plans the merge of a bound adapter at multiplier times its own scale. The multiplier must be finite and not 0: a merge
// that changes nothing is an error, not a copy.
//
// A multiplier is of what is added. What a tensor is replaced by is not added: beside changes that are it is put in place whole, and a note says so;
// where an adapter only replaces, or scales outputs to magnitudes of their own, as DoRA does, any multiplier but 1 is refused.
func NewPlan(binding *adapter.Binding, multiplier float64) (*Plan, error) {
	if err := checkScale(binding.Adapter.Ref, multiplier); err != nil {
		return nil, err
	}
	p := &Plan{Base: binding.Base, Adapter: binding.Adapter, Multiplier: multiplier, files: binding.Files()}
	if err := p.refuseScaling(binding, multiplier); err != nil {
		return nil, err
	}
	for _, t := range binding.Targets {
		p.add(Item{Target: t, Scale: multiplier * t.Pair.Scale})
	}
	p.sort()
	if err := p.refuseAdded(); err != nil {
		return nil, err
	}
	p.noteAdded()
	p.name()
	return p, nil
}

func checkScale(ref string, scale float64) error {
	if math.IsNaN(scale) || math.IsInf(scale, 0) || scale == 0 {
		return fault.New(fault.MergeScale, "scale %v is not a finite number other than 0", scale).
			In(ref).Fix("give ADAPTER@SCALE with a number such as 0.5")
	}
	return nil
}

// refuseScaling refuses a multiplier that has no meaning for a binding, and notes what it does not reach.
func (p *Plan) refuseScaling(binding *adapter.Binding, multiplier float64) error {
	if multiplier == 1 {
		return nil
	}
	ref := binding.Adapter.Ref
	var replaced []string
	scaled := false
	for i := range binding.Targets {
		t := &binding.Targets[i]
		if t.Magnitude.Shape != nil {
			return fault.New(fault.MergeScale, "the adapter scales each output to a magnitude of its own (DoRA), which %v times its change would be none of", multiplier).
				In(ref).Of(t.Name).Fix("merge it at scale 1")
		}
		if t.Start.Shape != nil {
			replaced = append(replaced, t.Name)
		}
		scaled = scaled || t.LowRank() || t.Dense.Shape != nil
	}
	if len(replaced) == 0 {
		return nil
	}
	if !scaled {
		return fault.New(fault.MergeScale, "the adapter replaces tensors and adds to none, and a replacement has no scale").
			In(ref).Of(replaced[0]).Fix("merge it at scale 1")
	}
	p.Notes.Add(fault.New(fault.MergeScale, "%s replaced whole: scale %v is of what is added only", tensors(len(replaced)), multiplier).In(ref).Of(replaced[0]))
	return nil
}

// tensors is a number of them with its verb.
func tensors(n int) string {
	if n == 1 {
		return "1 tensor is"
	}
	return report.Count(int64(n)) + " tensors are"
}

// add puts an item where it belongs.
func (p *Plan) add(item Item) {
	if item.New() {
		p.Added = append(p.Added, item)
		return
	}
	p.Items = append(p.Items, item)
}

func (p *Plan) sort() {
	for _, items := range [][]Item{p.Items, p.Added} {
		slices.SortFunc(items, func(a, b Item) int { return strings.Compare(a.Name, b.Name) })
	}
}

// noteAdded says what a backend will not hold.
func (p *Plan) noteAdded() {
	for _, item := range p.Added {
		p.Notes.Add(fault.New(fault.ADTarget, "the base has no such parameter: it is written into a merged checkpoint, and not used where the model is served from memory").
			In(p.files[item.Start.File].Name()).Of(item.Name))
	}
}

// Close releases what a combination computed. The base and the adapters are the caller's. It may be called again.
func (p *Plan) Close() error {
	var errs []error
	for _, f := range p.owned {
		errs = append(errs, f.Close())
	}
	p.owned = nil
	return errors.Join(errs...)
}

// Plain reports whether all that the plan does is to add two factors to matrices of the base.
func (p *Plan) Plain() bool {
	for i := range p.Items {
		if !p.Items[i].Plain() {
			return false
		}
	}
	return len(p.Added) == 0
}

// read returns the bytes of a tensor of an item. Not through the mapping: what has been looked at there counts as this process's memory for as
// long as the adapter is open.
func (p *Plan) read(t safetensors.Tensor) ([]byte, error) { return p.files[t.File].Read(t) }

// newProbeSeed draws the probe of one verification: what the backend could not know while it staged.
func newProbeSeed() uint64 {
	var seed [8]byte
	rand.Read(seed[:]) // documented never to fail
	return binary.LittleEndian.Uint64(seed[:])
}
