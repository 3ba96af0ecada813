package gate

import (
	"context"
	"errors"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/tenon-ml/tenon/host/adapter"
	"github.com/tenon-ml/tenon/host/base"
	"github.com/tenon-ml/tenon/host/fault"
	"github.com/tenon-ml/tenon/sdk/abi"
	"github.com/tenon-ml/tenon/wasm/sandbox"
)

// vectors are the singular triples of base weights, by tensor name. Close closes their files.
type vectors struct{ byName map[string]*base.SVD }

// of returns the triples of a weight; zero where nobody asked for them.
func (v *vectors) of(name string) sandbox.BaseSVD {
	svd, ok := v.byName[name]
	if !ok {
		return sandbox.BaseSVD{}
	}
	return sandbox.BaseSVD{U: sandbox.Source{Ref: svd.U, Reader: svd.File}, S: sandbox.Source{Ref: svd.S, Reader: svd.File},
		V: sandbox.Source{Ref: svd.V, Reader: svd.File}}
}

// Close closes every file. Nothing was written, so there is nothing to lose.
func (v *vectors) Close() {
	for _, svd := range v.byName {
		_ = svd.Close()
	}
}

// baseVectors prepares the singular triples that the modules' manifests ask for: of each view as many as the most demanding module.
func (g *Gate) baseVectors(ctx context.Context, b *adapter.Binding, views []view, runs []*run) (*vectors, error) {
	if b.Base == nil {
		return &vectors{}, nil
	}
	found := make([]*base.SVD, len(views))
	wanted, done := 0, atomic.Int64{}
	for _, v := range views {
		if demand(runs, v.target) > 0 {
			wanted++
		}
	}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(max(g.Parallel, 1))
	for i, v := range views {
		k := demand(runs, v.target)
		if k == 0 {
			continue
		}
		group.Go(func() error {
			var err error
			found[i], err = b.Base.SVD(inner, v.base, v.target.FanInFanOut, k, g.CacheDir)
			if finished := int(done.Add(1)); err == nil && g.Progress != nil {
				g.Progress("singular vectors of the base, once", finished, wanted)
			}
			return err
		})
	}
	err := group.Wait()
	all := &vectors{byName: map[string]*base.SVD{}}
	for i, v := range views {
		if found[i] != nil {
			all.byName[v.name] = found[i]
		}
	}
	if err == nil {
		return all, nil
	}
	all.Close()
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = fault.New(fault.Canceled, "the check was stopped before it had a result").In(b.Adapter.Ref).Wrap(err)
	}
	return nil, err
}

// maxTriples bounds what an adapter's rank can make the host compute: all triples of a large weight take minutes, and a stranger's adapter
// of rank 4,096 would have them computed for every weight. Adapters of rank 256 are the largest in use.
const maxTriples = 512

// demand is the largest number of triples that a module which may run asks for, and the policy grants, within maxTriples.
func demand(runs []*run, t *adapter.Target) int {
	k := 0
	for _, r := range runs {
		if r.refused == nil && r.granted(abi.CapBase) && r.requirement.BaseSVD {
			k = max(k, asked(r.module.Manifest.BaseSVDRank, t))
		}
	}
	return min(k, t.In, t.Out, maxTriples)
}

// asked is the number of triples that a manifest asks for of a target.
func asked(rank int, t *adapter.Target) int {
	switch smaller := min(t.In, t.Out); rank {
	case abi.BaseSVDTargetRank:
		return t.Pair.Rank
	case abi.BaseSVDTenth:
		return max((smaller+9)/10, leastTenth)
	case abi.BaseSVDAll:
		return smaller
	}
	return rank
}

// leastTenth is how many triples a tenth of a small weight's come to at least.
const leastTenth = 16
