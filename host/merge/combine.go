package merge

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/host/report"
	"github.com/tenon-ml/tenon/host/safetensors"
)

// Method is how the changes of several adapters become one. All work on what each adapter adds to a weight, ΔW, not on its factors: PEFT's "linear",
// "ties" and "dare" sum A's and B's apart, which is not the sum of the changes. Where PEFT has a method of the same kind for ΔW, its result is the
// same but for rounding: "cat", "svd", "ties_svd" and the like before their SVD.
type Method string

const (
	Linear         Method = "linear"          // Σ w ΔW
	Cat            Method = "cat"             // the same: factors one after the other are the factors of the sum
	SVD            Method = "svd"             // of Σ w ΔW the part of a given rank that is nearest
	TIES           Method = "ties"            // the largest entries of each, and of those the ones of the elected sign, averaged
	DARETIES       Method = "dare_ties"       // entries drawn at random and rescaled, and of those the ones of the elected sign, averaged
	DARELinear     Method = "dare_linear"     // entries drawn at random and rescaled, summed
	MagnitudePrune Method = "magnitude_prune" // the largest entries of each, summed
)

// Methods are all of them.
var Methods = []Method{Linear, Cat, SVD, TIES, DARETIES, DARELinear, MagnitudePrune}

// Prunes reports whether only some entries of each change stay: Mixture.Density.
func (m Method) Prunes() bool { return m.Draws() || m == TIES || m == MagnitudePrune }

// Draws reports whether chance decides which: Mixture.Seed.
func (m Method) Draws() bool { return m == DARETIES || m == DARELinear }

// Elects reports whether a sign is elected for each entry: Mixture.Majority.
func (m Method) Elects() bool { return m == TIES || m == DARETIES }

// Majority is how the sign of an entry is elected.
type Majority string

const (
	Total     Majority = "total"     // of the sum of the entries
	Frequency Majority = "frequency" // of most entries
)

// Mixture says how adapters are combined. What its method does not use is not looked at.
type Mixture struct {
	Method   Method   // "" is Linear
	Density  float64  // share of the entries that stay, above 0 and at most 1; 0 is 0.5
	Majority Majority // "" is Total
	Seed     uint64   // of what is drawn
	Rank     int      // of the SVD; 0 is the largest rank of the adapters
}

// Check refuses what is no way of combining adapters.
func (m Mixture) Check() error {
	_, err := m.settle()
	return err
}

// settle is the mixture with everything that counts and nothing else.
func (m Mixture) settle() (Mixture, error) {
	settled := Mixture{Method: m.Method}
	if m.Method == "" {
		settled.Method = Linear
	}
	if !slices.Contains(Methods, settled.Method) {
		return m, fault.New(fault.UsageFlag, "%q is no method of combining adapters", m.Method).Fix("give one of %v", Methods)
	}
	if settled.Method.Prunes() {
		if settled.Density = m.Density; m.Density == 0 {
			settled.Density = 0.5
		}
		if !(settled.Density > 0 && settled.Density <= 1) {
			return m, fault.New(fault.UsageFlag, "a density of %v is not above 0 and at most 1", m.Density).Fix("give the share of the entries that stay, such as 0.5")
		}
	}
	if settled.Method.Draws() {
		settled.Seed = m.Seed
	}
	if settled.Method.Elects() {
		if settled.Majority = m.Majority; m.Majority == "" {
			settled.Majority = Total
		}
		if settled.Majority != Total && settled.Majority != Frequency {
			return m, fault.New(fault.UsageFlag, "%q is no way to elect a sign", m.Majority).Fix("give total or frequency")
		}
	}
	if settled.Method == SVD {
		if settled.Rank = m.Rank; m.Rank < 0 || m.Rank > maxRank {
			return m, fault.New(fault.UsageFlag, "a rank of %d is not between 1 and %d", m.Rank, maxRank).Fix("give the rank of the result")
		}
	}
	return settled, nil
}

// maxRank bounds what the factors of one weight may come to.
const maxRank = 1 << 16

// MaxPortions bounds how many adapters are combined: each is in memory, and checked beside all others.
const MaxPortions = 64

// Portion is one adapter of a combination, and the user's factor on its own scale.
type Portion struct {
	Binding *adapter.Binding
	Scale   float64
}

// Combination is what a plan says of the adapters that were combined.
type Combination struct {
	Mixture
	portions []Portion
}

// describe writes everything that decides what a combination is of.
func (c *Combination) describe(w io.Writer) {
	fmt.Fprintf(w, "combine %q density %016x majority %q seed %d rank %d\n", c.Method, math.Float64bits(c.Density), c.Majority, c.Seed, c.Rank)
	for _, p := range c.portions {
		fmt.Fprintf(w, "adapter %x %016x\n", p.Binding.Adapter.Digest, math.Float64bits(p.Scale))
	}
}

// ReceiptCombination is how the adapters of a receipt were combined. Only what the method uses is there.
type ReceiptCombination struct {
	Method   Method        `json:"method"`
	Density  report.Number `json:"density,omitzero"`
	Majority Majority      `json:"majority,omitzero"`
	Seed     uint64        `json:"seed,omitzero,string"`
	Rank     int           `json:"rank,omitzero"`
}

func (c *Combination) receipt() ([]ReceiptAdapter, *ReceiptCombination) {
	adapters := make([]ReceiptAdapter, len(c.portions))
	for i, p := range c.portions {
		adapters[i] = ReceiptAdapter{p.Binding.Adapter.Ref, DigestString(p.Binding.Adapter.Digest), report.Number(p.Scale)}
	}
	return adapters, &ReceiptCombination{c.Method, report.Number(c.Density), c.Majority, c.Seed, c.Rank}
}

// Combine plans the merge of adapters that are bound to one base, each at its scale times its own, as one change. What it computes lies in memory, or
// in a file without a name where it is large; the caller closes the plan. The bindings must stay open while it is used.
//
// A tensor that one adapter replaces begins as it says, and what others add is added to that; adapters that replace it by different bytes are
// refused. So are adapters that scale outputs to magnitudes of their own (DoRA): what they make of a weight is no sum.
func Combine(ctx context.Context, portions []Portion, m Mixture) (*Plan, error) {
	return CombineTelling(ctx, portions, m, nil)
}

// CombineTelling is Combine that tells how many tensors are computed, and of how many. told may be nil.
func CombineTelling(ctx context.Context, portions []Portion, m Mixture, told func(done, total int)) (_ *Plan, err error) {
	if len(portions) == 0 {
		return nil, fault.New(fault.UsageFlag, "there is no adapter to combine")
	}
	if len(portions) > MaxPortions {
		return nil, fault.New(fault.UsageFlag, "%d adapters are more than the %d that are combined", len(portions), MaxPortions)
	}
	first := portions[0].Binding
	p := &Plan{Base: first.Base, Adapter: first.Adapter, Multiplier: portions[0].Scale}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	if m, err = m.settle(); err != nil {
		return nil, err
	}
	if m.Method == SVD && m.Rank == 0 {
		if m.Rank, err = largestRank(portions); err != nil {
			return nil, err
		}
	}
	p.Combination = &Combination{Mixture: m, portions: slices.Clone(portions)}
	for i, portion := range portions {
		if err := p.admit(portion, portions[:i]); err != nil {
			return nil, err
		}
	}
	mixing := &mixing{Plan: p, Mixture: m, told: told}
	if err := mixing.collect(); err != nil {
		return nil, err
	}
	if err := mixing.derive(ctx); err != nil {
		return nil, err
	}
	p.sort()
	if err := p.refuseAdded(); err != nil {
		return nil, err
	}
	p.noteAdded()
	p.name()
	return p, nil
}

// admit refuses an adapter that is no part of a sum, and takes its files in.
func (p *Plan) admit(portion Portion, before []Portion) error {
	binding := portion.Binding
	ref := binding.Adapter.Ref
	if err := checkScale(ref, portion.Scale); err != nil {
		return err
	}
	if binding.Base.Digest != p.Base.Digest {
		return fault.New(fault.UsageFlag, "the adapter is bound to another base than %s", p.Adapter.Ref).In(ref)
	}
	for i := range binding.Targets {
		t := &binding.Targets[i]
		if t.Magnitude.Shape != nil {
			return fault.New(fault.ADUnsupported, "the adapter scales each output to a magnitude of its own (DoRA), and that cannot be combined with another change").
				In(ref).Of(t.Name).Fix("merge it alone")
		}
	}
	return p.refuseScaling(binding, portion.Scale)
}

// largestRank is the rank of an SVD where nobody gave one.
func largestRank(portions []Portion) (int, error) {
	rank := 0
	for _, portion := range portions {
		for i := range portion.Binding.Targets {
			rank = max(rank, portion.Binding.Targets[i].Rank)
		}
	}
	if rank == 0 {
		return 0, fault.New(fault.UsageFlag, "no adapter has a rank that the result could have").Fix("give --svd-rank")
	}
	return rank, nil
}

// file is what a plan calls a file that it does not have yet.
func (p *Plan) file(f *safetensors.File) int {
	if i := slices.Index(p.files, f); i >= 0 {
		return i
	}
	p.files = append(p.files, f)
	return len(p.files) - 1
}
