// Package compress writes an adapter again with fewer directions. The change of each module, ΔW = s B A, is decomposed into U S Vᵀ, the
// first k triples are kept, and the factors become B' = U √S and A' = √S Vᵀ: no other pair of rank k comes closer to ΔW (Eckart and
// Young). The scale is folded into the factors, so the new adapter's own is 1, and the two factors have the same norm, so both keep their
// digits in a type with few of them.
//
// What is kept is energy, the share of ‖ΔW‖² in the directions that stay. It says how close the weights are, and not how good the model is.
package compress

import (
	"cmp"
	"context"
	"math"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/fault"
)

// Choice says how much is kept: exactly one of the two fields is set.
type Choice struct {
	Rank   int     // every module keeps this rank, or its numerical rank where that is lower
	Energy float64 // every module keeps the smallest rank with this share of its ‖ΔW‖², above 0 and at most 1
}

// check refuses a choice that is none.
func (c Choice) check() error {
	switch {
	case (c.Rank != 0) == (c.Energy != 0):
		return fault.New(fault.UsageFlag, "either a rank or a share of the energy must be given").Fix("give --rank 8, or --energy 0.99")
	case c.Rank < 0:
		return fault.New(fault.UsageFlag, "rank %d is none", c.Rank).Fix("give a whole number from 1")
	case c.Energy != 0 && !(c.Energy > 0 && c.Energy <= 1):
		return fault.New(fault.UsageFlag, "%v is no share of the energy", c.Energy).Fix("give a number above 0 and at most 1, such as 0.99")
	}
	return nil
}

// Target is one module before and after. The energies are ‖ΔW‖² in full and in the directions that are kept, of the exact numbers, before
// the new factors are rounded to their type.
type Target struct {
	Module     string
	Rank       int // as stored
	Numerical  int // of ΔW: directions above the noise of float64; 0 where the module changes nothing
	Kept       int // what the new factors have: 1, of zeros, where Numerical is 0
	Energy     float64
	EnergyKept float64
	pair       adapter.Pair
	a, b       []byte  // the new factors, in the types of the old ones
	sum        float64 // of the singular values that are kept: the product of the norms of the new factors
}

// Plan is a compressed adapter before it is written. It borrows the adapter, which must stay open.
type Plan struct {
	Adapter *adapter.Adapter
	Choice  Choice
	Targets []Target // by module
	// Dropped are the tensors of the old file that no reader of adapters reads, and that the new one does not have.
	Dropped     []string
	BytesBefore int64 // of the weights' file
	BytesAfter  int64
	config      []byte
	layout      layout
}

// New decomposes every module of an adapter and chooses its rank. It writes nothing. The same adapter and choice give the same bytes on every
// machine. What is more than the factors of linear modules is refused by name, and so is a factor that is not finite, or that the type of the old
// factors cannot hold; all modules in one list.
func New(ctx context.Context, a *adapter.Adapter, c Choice) (*Plan, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if err := refuseOthers(a); err != nil {
		return nil, err
	}
	p := &Plan{Adapter: a, Choice: c, Targets: make([]Target, len(a.Pairs)), BytesBefore: a.Weights.Size()}
	failed := make([]error, len(a.Pairs))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, pair := range a.Pairs {
		group.Go(func() error {
			if ctx.Err() == nil {
				p.Targets[i], failed[i] = decompose(a, pair, c)
			}
			return nil
		})
	}
	_ = group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fault.New(fault.Canceled, "the adapter was not compressed").In(a.Ref).Wrap(err)
	}
	var problems fault.List
	for _, err := range failed {
		if err != nil && len(fault.All(err)) == 0 {
			return nil, err
		}
		problems = append(problems, fault.All(err)...)
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(p.Targets, func(x, y Target) int { return cmp.Compare(x.Module, y.Module) })
	var err error
	if p.config, err = p.configuration(); err != nil {
		return nil, err
	}
	if err := p.arrange(); err != nil {
		return nil, err
	}
	return p, nil
}

// Energy is the share of ‖ΔW‖² that is kept over all modules together; NaN where the adapter changes nothing.
func (p *Plan) Energy() float64 {
	var all, kept float64
	for _, t := range p.Targets {
		all += t.Energy
		kept += t.EnergyKept
	}
	if all == 0 {
		return math.NaN()
	}
	return kept / all
}

// rank is the largest rank of the new adapter, which becomes the configuration's r: a server that reserves room by r has enough of it.
func (p *Plan) rank() int {
	most := 1
	for _, t := range p.Targets {
		most = max(most, t.Kept)
	}
	return most
}
