package merge

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// each calls f for every item, as many at a time as there are CPUs, and returns the first error in the order of items.
func (p *Plan) each(ctx context.Context, f func(Item) error) error {
	errs := make([]error, len(p.Items))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, item := range p.Items {
		group.Go(func() error {
			if errs[i] = ctx.Err(); errs[i] == nil {
				errs[i] = f(item)
			}
			return nil
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
